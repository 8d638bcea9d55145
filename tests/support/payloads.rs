//! Lists of payloads, made from a seed and written as rpki-client writes them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rutter::payload::UnixTime;
use serde_json::json;

/// Far enough away: `expires` of everything that is served.
const EXPIRES: u64 = 4_000_000_000;

/// SplitMix64: small, seeded, and the same on every machine.
pub(crate) struct Prng(u64);

impl Prng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A VRP as a router shows it. Its text is `192.0.2.0/24-24 AS64496`, as BIRD prints it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Vrp {
    pub(crate) address: IpAddr,
    pub(crate) len: u8,
    pub(crate) max_len: u8,
    pub(crate) asn: u32,
}

impl Vrp {
    /// The VRP of `address/len`, with the bits beyond the prefix cleared.
    pub(crate) fn new(address: IpAddr, len: u8, max_len: u8, asn: u32) -> Self {
        let address = match address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
            }
        };
        Self {
            address,
            len,
            max_len,
            asn,
        }
    }

    fn random(random: &mut Prng) -> Self {
        let asn = match random.below(50) {
            0 => 0,
            1 => u32::MAX,
            2..10 => u32::try_from(4_200_000_000 + random.below(90_000_000)).unwrap(),
            _ => u32::try_from(1 + random.below(400_000)).unwrap(),
        };
        let (address, len, widest) = if random.below(4) == 0 {
            let bits = u128::from(random.next()) << 64 | u128::from(random.next());
            let global = (0x2 << 124) | (bits >> 4);
            let len = u8::try_from(20 + random.below(45)).unwrap();
            (IpAddr::V6(Ipv6Addr::from_bits(global)), len, 64)
        } else {
            // Within 1/8 to 126/8: BIRD takes no prefix of 0/8, 127/8 and 224/3.
            let bits = 0x0100_0000 + random.below(0x7e00_0000);
            let len = u8::try_from(8 + random.below(25)).unwrap();
            let address = Ipv4Addr::from_bits(u32::try_from(bits).unwrap());
            (IpAddr::V4(address), len, 32)
        };
        let max_len = match random.below(3) {
            0 => len + u8::try_from(random.below(u64::from(widest - len) + 1)).unwrap(),
            _ => len,
        };
        Self::new(address, len, max_len, asn)
    }
}

impl fmt::Display for Vrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            len,
            max_len,
            asn,
        } = self;
        write!(f, "{address}/{len}-{max_len} AS{asn}")
    }
}

/// A BGPsec router key.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    pub(crate) ski: [u8; 20],
    pub(crate) asn: u32,
    pub(crate) spki: Vec<u8>,
}

impl Key {
    /// A key with the outer shape of a P-256 SubjectPublicKeyInfo.
    fn random(random: &mut Prng) -> Self {
        let mut octet = || random.next().to_be_bytes()[0];
        let ski = std::array::from_fn(|_| octet());
        let mut spki = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a".to_vec();
        spki.extend(b"\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04");
        spki.extend((0..64).map(|_| octet()));
        Self {
            ski,
            asn: u32::try_from(1 + random.below(100_000)).unwrap(),
            spki,
        }
    }
}

/// A customer and its providers.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Aspa {
    pub(crate) customer: u32,
    pub(crate) providers: BTreeSet<u32>,
}

impl fmt::Display for Aspa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{} by {:?}", self.customer, self.providers)
    }
}

impl Aspa {
    fn random(random: &mut Prng) -> Self {
        let providers = 1 + random.below(8);
        Self {
            customer: u32::try_from(1 + random.below(50_000)).unwrap(),
            providers: (0..providers)
                .map(|_| u32::try_from(50_001 + random.below(50_000)).unwrap())
                .collect(),
        }
    }
}

/// Everything that a server is to serve.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Payloads {
    pub(crate) vrps: BTreeSet<Vrp>,
    pub(crate) keys: BTreeSet<Key>,
    pub(crate) aspas: BTreeSet<Aspa>,
}

impl Payloads {
    /// This many VRPs, the odd ones among them: the whole Internet, mapped addresses, AS0, one
    /// prefix with several lengths and origins.
    pub(crate) fn vrps(count: usize, random: &mut Prng) -> Self {
        let v4: IpAddr = Ipv4Addr::new(192, 0, 2, 0).into();
        let v6: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).into();
        let mapped = Ipv4Addr::new(192, 0, 2, 0).to_ipv6_mapped().into();
        let odd = [
            Vrp::new(Ipv4Addr::UNSPECIFIED.into(), 0, 0, 0),
            Vrp::new(Ipv6Addr::UNSPECIFIED.into(), 0, 0, 0),
            Vrp::new(mapped, 120, 120, 64496),
            Vrp::new(v4, 24, 24, 64496),
            Vrp::new(v4, 24, 32, 64496),
            Vrp::new(v4, 24, 24, 64497),
            Vrp::new(v4, 32, 32, 0),
            Vrp::new(v6, 32, 48, 64496),
            Vrp::new(v6, 32, 128, 64496),
            Vrp::new(v6, 32, 48, u32::MAX),
        ];
        let mut payloads = Self::default();
        payloads.vrps.extend(odd);
        payloads.add_vrps(count - odd.len(), random);
        payloads
    }

    /// As [`vrps`](Self::vrps), with a few router keys and ASPAs.
    pub(crate) fn all_kinds(count: usize, random: &mut Prng) -> Self {
        let mut payloads = Self::vrps(count, random);
        payloads.keys = (0..40).map(|_| Key::random(random)).collect();
        payloads.add_aspas(40, random);
        payloads
    }

    /// This list with so many VRPs more and so many of the old ones fewer. Each other kind, where
    /// there is one, gains two and loses one; one ASPA changes its providers.
    pub(crate) fn changed(&self, add: usize, remove: usize, random: &mut Prng) -> Self {
        let mut next = self.clone();
        for _ in 0..remove {
            next.vrps.remove(&pick(&next.vrps, random));
        }
        while next.vrps.len() < self.vrps.len() - remove + add {
            let vrp = Vrp::random(random);
            if !self.vrps.contains(&vrp) {
                next.vrps.insert(vrp);
            }
        }
        if !self.keys.is_empty() {
            next.keys.remove(&pick(&next.keys, random));
            next.keys.extend([Key::random(random), Key::random(random)]);
        }
        if !self.aspas.is_empty() {
            next.aspas.remove(&pick(&next.aspas, random));
            let mut other = pick(&next.aspas, random);
            next.aspas.remove(&other);
            other.providers.insert(64496);
            next.aspas.insert(other);
            next.add_aspas(2, random);
        }
        next
    }

    fn add_vrps(&mut self, count: usize, random: &mut Prng) {
        let wanted = self.vrps.len() + count;
        while self.vrps.len() < wanted {
            self.vrps.insert(Vrp::random(random));
        }
    }

    fn add_aspas(&mut self, count: usize, random: &mut Prng) {
        let wanted = self.aspas.len() + count;
        while self.aspas.len() < wanted {
            let aspa = Aspa::random(random);
            if !self.aspas.iter().any(|a| a.customer == aspa.customer) {
                self.aspas.insert(aspa);
            }
        }
    }

    /// How many VRPs a change from `old` announces and withdraws.
    pub(crate) fn vrp_steps_from(&self, old: &Self) -> (usize, usize) {
        (
            self.vrps.difference(&old.vrps).count(),
            old.vrps.difference(&self.vrps).count(),
        )
    }

    /// Writes rpki-client's JSON beside `path` and renames it into place.
    pub(crate) fn write_json(&self, path: &Path) {
        self.write_json_of(SystemTime::now(), path);
    }

    /// The same, made at another moment as it says.
    pub(crate) fn write_json_of(&self, made: SystemTime, path: &Path) {
        let made = made.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let made = UnixTime::new(made.as_secs()).to_string();
        let roas: Vec<_> = self
            .vrps
            .iter()
            .map(|v| {
                json!({
                    "asn": v.asn, "prefix": format!("{}/{}", v.address, v.len),
                    "maxLength": v.max_len, "ta": "test", "expires": EXPIRES,
                })
            })
            .collect();
        let keys: Vec<_> = self
            .keys
            .iter()
            .map(|k| {
                let ski: String = k.ski.iter().map(|octet| format!("{octet:02X}")).collect();
                json!({
                    "asn": k.asn, "ski": ski, "pubkey": STANDARD.encode(&k.spki),
                    "ta": "test", "expires": EXPIRES,
                })
            })
            .collect();
        let aspas: Vec<_> = self
            .aspas
            .iter()
            .map(|a| {
                json!({
                    "customer_asid": a.customer, "expires": EXPIRES, "providers": a.providers,
                })
            })
            .collect();
        let document = json!({
            "metadata": {
                "buildmachine": "test", "buildtime": made,
                "roas": roas.len(), "vrps": roas.len(), "uniquevrps": roas.len(),
                "bgpsec_pubkeys": keys.len(), "aspas": aspas.len(),
            },
            "roas": roas, "bgpsec_keys": keys, "aspas": aspas,
        });
        let beside = path.with_extension("new");
        fs::write(&beside, document.to_string()).unwrap();
        fs::rename(&beside, path).unwrap();
    }
}

fn pick<T: Clone>(set: &BTreeSet<T>, random: &mut Prng) -> T {
    let at = random.below(u64::try_from(set.len()).unwrap());
    set.iter()
        .nth(usize::try_from(at).unwrap())
        .unwrap()
        .clone()
}
