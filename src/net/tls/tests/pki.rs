//! Certificates and their files.

use std::fs;
use std::path::{Path, PathBuf};

use der::asn1::AnyRef;
use der::{Reader, SliceReader};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// A key that `rcgen` cannot make, for tests alone.
pub(super) const RSA_KEY: &str = include_str!("rsa-key.pem");

/// A CA with a folder for its files.
pub(super) struct Ca {
    pub(super) folder: TempDir,
    /// Its certificate.
    pub(super) file: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate of somebody, and the files with it and its key.
pub(super) struct Leaf {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
    pub(super) der: CertificateDer<'static>,
    pair: KeyPair,
}

impl Leaf {
    pub(super) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.pair.serialize_der().into())
    }
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        Self::below(name, None)
    }

    /// A CA that is certified by another one, or by itself.
    pub(super) fn below(name: &str, parent: Option<&Self>) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let issuer = match parent {
            None => CertifiedIssuer::self_signed(params, key),
            Some(parent) => CertifiedIssuer::signed_by(params, key, &parent.issuer),
        };
        let issuer = issuer.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, issuer.pem()).unwrap();
        Self {
            folder,
            file,
            issuer,
        }
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(super) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.leaf_with(KeyPair::generate().unwrap(), change)
    }

    /// A certificate for everything for the next years, unless it is changed.
    pub(super) fn leaf_with(
        &self,
        pair: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        let place = fs::read_dir(self.folder.path()).unwrap().count();
        let leaf = Leaf {
            chain: self.folder.path().join(format!("{place}.crt")),
            key: self.folder.path().join(format!("{place}.key")),
            der: certificate.der().clone(),
            pair,
        };
        fs::write(&leaf.chain, certificate.pem()).unwrap();
        write_key(&leaf.key, &leaf.pair.serialize_pem());
        leaf
    }

    /// A list in PEM that revokes a serial number, and counts until the end of a year.
    pub(super) fn crl(&self, serial: u64, year: i32) -> PathBuf {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 12, 31),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        let path = self.folder.path().join(format!("{serial}-{year}.crl"));
        fs::write(&path, list.pem().unwrap()).unwrap();
        fs::write(path.with_extension("der"), list.der()).unwrap();
        path
    }
}

/// Writes a key that nobody else can read.
pub(super) fn write_key(path: &Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, pem).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The names of a certificate, apart by spaces.
pub(super) fn names(text: &str) -> Vec<SanType> {
    let name = |name: &str| match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    };
    text.split_whitespace().map(name).collect()
}

pub(super) fn for_servers(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

pub(super) fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

/// The key inside of PKCS#8 (RFC 5208 §5), in the PEM form of its kind alone.
pub(super) fn without_pkcs8(pair: &KeyPair, label: &str) -> String {
    let octets = pair.serialize_der();
    let inner = SliceReader::new(&octets)
        .unwrap()
        .sequence(|fields| {
            fields.tlv_bytes()?;
            fields.tlv_bytes()?;
            let inner: AnyRef<'_> = fields.decode()?;
            let inner = inner.value();
            fields.drain(fields.remaining_len())?;
            Ok::<_, der::Error>(inner)
        })
        .unwrap();
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(inner);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
