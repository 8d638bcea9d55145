//! What is negotiated: names of the IANA registry, and which of them go together.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

use super::{Algorithms, Preset};

/// A name in a list that is not to be had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownAlgorithm {
    /// The list: `key exchange`, `cipher` or `mac`.
    pub list: &'static str,
    /// The name; `None` when the list is empty.
    pub name: Option<Box<str>>,
    /// What can be had.
    pub known: Box<[&'static str]>,
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "no {} `{name}`", self.list)?,
            None => write!(f, "an empty list of every {}", self.list)?,
        }
        write!(f, "; expected some of {}", self.known.join(", "))
    }
}

impl Error for UnknownAlgorithm {}

impl Algorithms {
    /// Checks the lists.
    ///
    /// # Errors
    ///
    /// When a list is empty, or a name is not known, or is weak and the preset is not `Legacy`.
    pub fn check(&self) -> Result<(), UnknownAlgorithm> {
        self.preferred().map(drop)
    }

    /// What russh offers. RFC 4253 §7.1: of what both have, the client's order decides, so what
    /// some client computes wrongly must not be offered at all.
    pub(super) fn preferred(&self) -> Result<Preferred, UnknownAlgorithm> {
        let preset = self.preset;
        let mut exchanges = KEY_EXCHANGES.chosen(preset, self.key_exchanges.as_deref())?;
        // RFC 8308, and OpenSSH's answer to CVE-2023-48795.
        exchanges.push(kex::EXTENSION_SUPPORT_AS_SERVER);
        exchanges.push(kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER);
        Ok(Preferred {
            kex: Cow::Owned(exchanges),
            key: Cow::Owned(keys(preset)),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Owned(CIPHERS.chosen(preset, self.ciphers.as_deref())?),
            mac: Cow::Owned(MACS.chosen(preset, self.macs.as_deref())?),
            compression: Cow::Borrowed(&[compression::NONE]),
        })
    }
}

/// The algorithms of the keys of hosts and users.
fn keys(preset: Preset) -> Vec<Algorithm> {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let rsa = |hash| Algorithm::Rsa { hash };
    let mut keys = vec![
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        ecdsa(EcdsaCurve::NistP256),
        rsa(Some(HashAlg::Sha512)),
        rsa(Some(HashAlg::Sha256)),
    ];
    if preset == Preset::Legacy {
        keys.push(rsa(None));
    }
    keys
}

/// All names of one kind, the preferred first.
struct Table<T: 'static> {
    list: &'static str,
    rows: &'static [(T, Use)],
}

/// When a name is offered without being listed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Use {
    Always,
    /// With the preset `Modern`: FRR on Debian computes SHA-256 wrongly.
    Modern,
    /// With the preset `Legacy`, although it is not weak.
    Legacy,
    /// With the preset `Legacy`, and only there can it be listed at all.
    Weak,
    /// Never: it has to be listed.
    Listed,
}

impl Use {
    fn is_in(self, preset: Preset) -> bool {
        match self {
            Self::Always => true,
            Self::Modern => preset == Preset::Modern,
            Self::Legacy | Self::Weak => preset == Preset::Legacy,
            Self::Listed => false,
        }
    }
}

impl<T: AsRef<str> + Copy> Table<T> {
    fn chosen(
        &self,
        preset: Preset,
        listed: Option<&[Box<str>]>,
    ) -> Result<Vec<T>, UnknownAlgorithm> {
        let Some(listed) = listed else {
            let offered = self.rows.iter().filter(|(_, when)| when.is_in(preset));
            return Ok(offered.map(|(name, _)| *name).collect());
        };
        let known = || {
            let weak_too = preset == Preset::Legacy;
            let allowed = move |row: &&(T, Use)| weak_too || row.1 != Use::Weak;
            self.rows.iter().filter(allowed).map(|(name, _)| name)
        };
        let unknown = |name| UnknownAlgorithm {
            list: self.list,
            name,
            known: known().map(AsRef::as_ref).collect(),
        };
        if listed.is_empty() {
            return Err(unknown(None));
        }
        let find = |name: &str| {
            let found = known().find(|known| known.as_ref() == name);
            found.copied().ok_or_else(|| unknown(Some(name.into())))
        };
        listed.iter().map(|name| find(name)).collect()
    }
}

/// Not among them: group exchange, for which a server has to have groups of its own, and `none`.
const KEY_EXCHANGES: Table<kex::Name> = Table {
    list: "key exchange",
    rows: &[
        (kex::MLKEM768X25519_SHA256, Use::Modern),
        (kex::CURVE25519, Use::Modern),
        (kex::CURVE25519_PRE_RFC_8731, Use::Modern),
        (kex::ECDH_SHA2_NISTP384, Use::Always),
        (kex::ECDH_SHA2_NISTP521, Use::Always),
        (kex::ECDH_SHA2_NISTP256, Use::Listed),
        // Last: as measured, they cost a server 70 ms and more, before anybody has logged in.
        (kex::DH_G16_SHA512, Use::Always),
        (kex::DH_G15_SHA512, Use::Listed),
        (kex::DH_G17_SHA512, Use::Listed),
        (kex::DH_G18_SHA512, Use::Listed),
        (kex::DH_G14_SHA256, Use::Legacy),
        (kex::DH_G14_SHA1, Use::Weak),
        (kex::DH_G1_SHA1, Use::Weak),
    ],
};

const CIPHERS: Table<cipher::Name> = Table {
    list: "cipher",
    rows: &[
        (cipher::CHACHA20_POLY1305, Use::Always),
        (cipher::AES_256_GCM, Use::Always),
        (cipher::AES_128_GCM, Use::Always),
        (cipher::AES_256_CTR, Use::Always),
        (cipher::AES_192_CTR, Use::Always),
        (cipher::AES_128_CTR, Use::Always),
        (cipher::AES_256_CBC, Use::Weak),
        (cipher::AES_192_CBC, Use::Weak),
        (cipher::AES_128_CBC, Use::Weak),
    ],
};

const MACS: Table<mac::Name> = Table {
    list: "mac",
    rows: &[
        (mac::HMAC_SHA512_ETM, Use::Always),
        (mac::HMAC_SHA512, Use::Always),
        (mac::HMAC_SHA256_ETM, Use::Modern),
        (mac::HMAC_SHA256, Use::Modern),
        (mac::HMAC_SHA1_ETM, Use::Weak),
        (mac::HMAC_SHA1, Use::Weak),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn names<T: AsRef<str>>(list: &[T]) -> Vec<&str> {
        list.iter().map(AsRef::as_ref).collect()
    }

    fn of(preset: Preset) -> Preferred {
        let algorithms = Algorithms {
            preset,
            ..Algorithms::default()
        };
        algorithms.preferred().unwrap()
    }

    #[test]
    fn the_default_has_no_sha256_where_frr_would_meet_it() {
        let offer = of(Preset::Default);
        let exchanges = [
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
            "diffie-hellman-group16-sha512",
            "ext-info-s",
            "kex-strict-s-v00@openssh.com",
        ];
        assert_eq!(names(&offer.kex), exchanges);
        let macs = ["hmac-sha2-512-etm@openssh.com", "hmac-sha2-512"];
        assert_eq!(names(&offer.mac), macs);
        let ciphers = [
            "chacha20-poly1305@openssh.com",
            "aes256-gcm@openssh.com",
            "aes128-gcm@openssh.com",
            "aes256-ctr",
            "aes192-ctr",
            "aes128-ctr",
        ];
        assert_eq!(names(&offer.cipher), ciphers);
        assert_eq!(names(&offer.compression), ["none"]);
        assert!(!offer.key.contains(&Algorithm::Rsa { hash: None }));
    }

    #[test]
    fn modern_begins_with_what_is_newest() {
        let offer = of(Preset::Modern);
        assert!(names(&offer.kex).starts_with(&[
            "mlkem768x25519-sha256",
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "ecdh-sha2-nistp384",
        ]));
        assert!(names(&offer.mac).contains(&"hmac-sha2-256"));
        assert!(!names(&offer.mac).contains(&"hmac-sha1"));
    }

    #[test]
    fn legacy_ends_with_what_is_weak() {
        let offer = of(Preset::Legacy);
        let exchanges = names(&offer.kex);
        assert_eq!(exchanges[0], "ecdh-sha2-nistp384");
        assert!(exchanges.contains(&"diffie-hellman-group14-sha1"));
        assert!(names(&offer.cipher).ends_with(&["aes128-cbc"]));
        assert!(names(&offer.mac).ends_with(&["hmac-sha1"]));
        assert!(offer.key.contains(&Algorithm::Rsa { hash: None }));
    }

    #[test]
    fn lists_take_what_is_known_in_their_order() {
        let lists = Algorithms {
            key_exchanges: Some(vec![
                "ecdh-sha2-nistp256".into(),
                "curve25519-sha256".into(),
            ]),
            ciphers: Some(vec!["aes128-ctr".into()]),
            ..Algorithms::default()
        };
        let offer = lists.preferred().unwrap();
        assert_eq!(
            names(&offer.kex)[..2],
            ["ecdh-sha2-nistp256", "curve25519-sha256"]
        );
        assert!(names(&offer.kex).contains(&"kex-strict-s-v00@openssh.com"));
        assert_eq!(names(&offer.cipher), ["aes128-ctr"]);
        assert_eq!(names(&offer.mac).len(), 2);
    }

    #[test]
    fn what_is_unknown_or_dangerous_is_an_error_that_says_what_is_known() {
        let macs = |preset, names: &[&str]| Algorithms {
            preset,
            macs: Some(names.iter().copied().map(Box::from).collect()),
            ..Algorithms::default()
        };
        for name in ["none", "hmac-md5", "hmac-sha1", ""] {
            let error = macs(Preset::Modern, &[name])
                .check()
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!(
                    "no mac `{name}`; expected some of hmac-sha2-512-etm"
                )),
                "{error}"
            );
            assert!(!error.contains(", hmac-sha1"), "{error}");
        }
        macs(Preset::Legacy, &["hmac-sha1"]).check().unwrap();
        assert!(macs(Preset::Default, &[]).check().is_err());
        for (name, known) in [
            ("none", false),
            ("kex-strict-s-v00@openssh.com", false),
            ("diffie-hellman-group-exchange-sha256", false),
            ("diffie-hellman-group18-sha512", true),
        ] {
            let lists = Algorithms {
                key_exchanges: Some(vec![name.into()]),
                ..Algorithms::default()
            };
            assert_eq!(lists.check().is_ok(), known, "{name}");
        }
        let clear = Algorithms {
            preset: Preset::Legacy,
            ciphers: Some(vec!["clear".into()]),
            ..Algorithms::default()
        };
        assert!(clear.check().is_err());
    }
}
