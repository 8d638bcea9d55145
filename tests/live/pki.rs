//! A CA with its files: certificates of servers and routers, good and bad, and revocation lists.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// A CA that keeps its files in a folder of somebody else.
pub(crate) struct Ca {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate of somebody, and the files with it and its key.
pub(crate) struct Leaf {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    der: CertificateDer<'static>,
    pair: KeyPair,
}

impl Ca {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.crt")), issuer.pem()).unwrap();
        Self {
            folder: folder.to_owned(),
            issuer,
        }
    }

    /// A certificate for these names and addresses, apart by spaces, for everything and for the
    /// next years unless it is changed.
    pub(crate) fn leaf(
        &self,
        file: &str,
        names: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let name = |name: &str| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into().unwrap()),
        };
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, file);
        params.subject_alt_names = names.split_whitespace().map(name).collect();
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        let leaf = Leaf {
            chain: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
            der: certificate.der().clone(),
            pair,
        };
        fs::write(&leaf.chain, certificate.pem()).unwrap();
        secret(&leaf.key, &leaf.pair.serialize_pem());
        leaf
    }

    /// The list that revokes the certificate with this serial number.
    pub(crate) fn revoke(&self, serial: u64) -> PathBuf {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
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
        let path = self.folder.join("ca.crl");
        let list = params.signed_by(&self.issuer).unwrap();
        fs::write(&path, list.pem().unwrap()).unwrap();
        path
    }

    /// A client that trusts this CA, and shows a certificate or none.
    pub(crate) fn client(&self, shown: Option<&Leaf>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match shown {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let key = PrivateKeyDer::Pkcs8(leaf.pair.serialize_der().into());
                builder
                    .with_client_auth_cert(vec![leaf.der.clone()], key)
                    .unwrap()
            }
        })
    }
}

/// For routers only, as `certs/rutter-certs` makes them.
pub(crate) fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

pub(crate) fn for_servers(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

/// Writes a file that only its owner may read.
pub(crate) fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
