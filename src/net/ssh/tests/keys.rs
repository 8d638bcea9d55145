//! Host keys: read, made and refused.

use russh::keys::encode_pkcs8_pem;
use russh::keys::ssh_key::EcdsaCurve;

use super::super::host_keys::{Loaded, load};
use super::*;

/// A key for these tests and nothing else.
pub(super) const RSA: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABFwAAAAdzc2gtcn
NhAAAAAwEAAQAAAQEArQBOHuf5ow3cWNgcXfKUsJ5hA7jiR7vgOkBeYs791gXtchHzdivP
cdwnILAnRsd42omNLxBXy4q2aaZLe89aqT4HFP59QVA+bK3Qbu+zY8cADs7/vHmm+r+/FT
edUg4GuRucUe1Yi7fdztZHHJ83Z9mb3tOHcO5K35ggaE36df8UEhYurB5m4A6qemIzZWD0
xF/D0567bIPWVQfndXTfWzaScDU7zubxsHB3pEYqJcu8a2arLnP7qPCza7K9TKhuCUpPEb
LAYK9gawC22lxRd+fniCGxssTodNsqpWbsYxB/QNy5mcNjC1KNL8GpQrWJ0umveh4d0+86
VR/HsJ3fyQAAA7i7V1kwu1dZMAAAAAdzc2gtcnNhAAABAQCtAE4e5/mjDdxY2Bxd8pSwnm
EDuOJHu+A6QF5izv3WBe1yEfN2K89x3CcgsCdGx3jaiY0vEFfLirZppkt7z1qpPgcU/n1B
UD5srdBu77NjxwAOzv+8eab6v78VN51SDga5G5xR7ViLt93O1kccnzdn2Zve04dw7krfmC
BoTfp1/xQSFi6sHmbgDqp6YjNlYPTEX8PTnrtsg9ZVB+d1dN9bNpJwNTvO5vGwcHekRiol
y7xrZqsuc/uo8LNrsr1MqG4JSk8RssBgr2BrALbaXFF35+eIIbGyxOh02yqlZuxjEH9A3L
mZw2MLUo0vwalCtYnS6a96Hh3T7zpVH8ewnd/JAAAAAwEAAQAAAQAMvybCYrOzRqBrYGL4
rhi0Cbtar5rmj6p2CEucCqXLyOyFmNqAJLq4aDDu2OPP9H8MVRG0u8bIPbxyfNj3cp/6s9
IIQzb94rhyv/zJS7qDOcSgkrJnk+wQciPVX59lDhkDNwxVwf/h7YZ3iLS9IGMP8QnpyVqj
oL8eCeKrZMF1Q5q3ZB/sJeqC7rz/Ke2qbrB5QJIEufDDHD29oOVpeWag1gBtcjOjldkEhu
pKwQG9geAdVl0E+C9IDohkwgIGTzgR1SviogF0vMCvdsCHldq1o28tR6en1Nw+Z0HqyqLB
fX2viycbN+Fc7NFp/Tr91JE8UmXg6qE1N55E0XaHZBmNAAAAgEnJhpfHnJ1kA6/dgU41aW
ammsC9294VqPyCd5U4Nm2sDEIL6/ZgzSAFi3gyiFiiHBhiRZBmgZPxvKqvdrZm+/EVXTiG
riT+SQ/IE7Lfbg/QQ4ueRGdNZKcqlvI5PzALxT/JDHho5yz/BNNrZR4GgO9dJk5xDJLEqE
n18Z7eEP1TAAAAgQDmIsZFTCcq6D++Pb0b74PJIpC+eikxMXoEL5q99/+crEz/VrocZaY5
EwWtesOaBla59a5enXkmBZQhnDhYLBZsW74Q06eTHgSPMipjludpXNX0MBikG+hyQtyZYL
HkrsSVxRswgt1m0Fzm3DzYSQSbTSsxmQpZmoAVnzdLchmP/QAAAIEAwHG2gc6r2cBC0a5h
iDSztC1lnHSKBJafeqaKA4Y9+QuGK1ZPSZHqqGYSfP0bUKYjNoldCj07BfnJhQgQfogOuC
fQ4xQuItER4lJGXHhpjxRQ9NSJ4ocnhy+l/NJSoVnCTNwUvGA06IFob/tmHwZOR3L0yFK+
HObAgpd2/JOger0AAAAAAQID
-----END OPENSSH PRIVATE KEY-----
";

fn files(paths: &[&Path]) -> Result<Loaded, String> {
    let paths = paths.iter().copied().map(Path::to_owned).collect();
    load(&HostKeys::Files(paths)).map_err(|error| error.to_string())
}

fn fails(path: &Path, with: &str) {
    let error = files(&[path]).err().expect("it was loaded");
    assert!(error.contains(with), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn keys_of_all_kinds_and_both_formats_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut keys = vec![ed25519(), PrivateKey::from_openssh(RSA).unwrap()];
    for curve in [
        EcdsaCurve::NistP256,
        EcdsaCurve::NistP384,
        EcdsaCurve::NistP521,
    ] {
        let algorithm = Algorithm::Ecdsa { curve };
        keys.push(PrivateKey::random(&mut safe_rng(), algorithm).unwrap());
    }
    for (index, key) in keys.iter().enumerate() {
        let openssh = key_file(folder.path(), &format!("openssh{index}"), key);
        let mut pem = Vec::new();
        encode_pkcs8_pem(key, &mut pem).unwrap();
        let text = String::from_utf8(pem).unwrap();
        let pkcs8 = secret(folder.path(), &format!("pkcs8{index}"), &text);
        for file in [openssh, pkcs8] {
            let loaded = files(&[&file]).unwrap();
            assert_eq!(
                loaded.keys[0].public_key().key_data(),
                key.public_key().key_data()
            );
            let print = &loaded.fingerprints[0];
            assert_eq!(print.file.as_deref(), Some(&*file));
            assert_eq!(*print.algorithm, *key.algorithm().as_str());
            assert!(print.sha256.starts_with("SHA256:"));
            // Only RSA has something to be said of it.
            assert_eq!(loaded.warnings.len(), usize::from(index == 1));
        }
    }
}

#[test]
fn there_is_one_key_of_each_algorithm() {
    let folder = tempfile::tempdir().unwrap();
    let first = key_file(folder.path(), "first", &ed25519());
    let second = key_file(folder.path(), "second", &ed25519());
    let rsa = secret(folder.path(), "rsa", RSA);
    assert_eq!(files(&[&first, &rsa]).unwrap().keys.len(), 2);
    let error = files(&[&first, &second]).err().unwrap();
    assert!(
        error.ends_with("second: another host key is ssh-ed25519, too"),
        "{error}"
    );
}

#[test]
fn a_missing_ed25519_key_is_made_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/keys/host_ed25519");
    let made = files(&[&path]).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let parent = path.parent().unwrap();
    assert_eq!(
        fs::metadata(parent).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(fs::read_dir(parent).unwrap().count(), 1, "only the key");
    let again = files(&[&path]).unwrap();
    assert_eq!(made.fingerprints, again.fingerprints);
    fails(&folder.path().join("host_rsa"), "No such file");
}

#[test]
fn starts_at_once_agree_on_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("host_ed25519");
    let prints = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| files(&[&path]).unwrap().fingerprints))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(prints.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_a_host_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = ed25519();
    let public = key.public_key().to_openssh().unwrap();
    fails(&secret(folder.path(), "public", &public), "no private key");
    fails(&secret(folder.path(), "empty", ""), "no private key");
    let damaged = key
        .to_openssh(LineEnding::LF)
        .unwrap()
        .replace("AAAA", "ABBA");
    assert!(files(&[&secret(folder.path(), "damaged", &damaged)]).is_err());
    fails(
        &secret(folder.path(), "long", &"x".repeat(65 * 1024)),
        "longer than",
    );
    fails(&secret(folder.path(), "encrypted", ENCRYPTED), "passphrase");
    let pkcs8 =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fails(&secret(folder.path(), "pkcs8", pkcs8), "passphrase");
    fails(
        &secret(folder.path(), "weak", RSA_1024),
        "an RSA key of 1024 bits; expected 2048",
    );
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(folder.path(), "key", &ed25519());
    mode(&path, 0o644);
    fails(
        &path,
        "mode 644 lets everybody at the private key; expected 600",
    );
    mode(&path, 0o640);
    let warnings = files(&[&path]).unwrap().warnings;
    assert!(
        warnings[0].ends_with("key: mode 640; expected 600"),
        "{warnings:?}"
    );
    mode(&path, 0o400);
    assert!(files(&[&path]).unwrap().warnings.is_empty());
}

#[test]
fn an_acceptor_tells_its_fingerprints_and_warnings() {
    let mut host = Host::new();
    assert_eq!(host.acceptor().fingerprints().len(), 1);
    assert_eq!(host.acceptor().fingerprints()[0].file, None);
    assert!(host.acceptor().warnings().is_empty());
    host.options.algorithms.preset = Preset::Legacy;
    assert_eq!(host.acceptor().warnings().len(), 1);
    host.options.keys = None;
    host.options.passwords = None;
    let warnings = host.acceptor().warnings().to_vec();
    assert!(warnings[1].ends_with("nobody can log in"), "{warnings:?}");
    host.options.algorithms.macs = Some(vec!["none".into()]);
    let error = SshAcceptor::load(&host.options).unwrap_err().to_string();
    assert!(error.starts_with("algorithms: no mac `none`"), "{error}");
}

/// The passphrase of this one is `x`.
const ENCRYPTED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDW1mz6Mo
Vui+wIUbWawIJjAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIADajzD4lSSpDYiK
/x/qS310YuzW8AHI23sU2mVeOIYkAAAAkCWaaM4zRO0E//vJ72apJiB+wp51Y5ebvSVIDX
aj5TOR4Zsq7a0WZwGkZFrAr9U8W98hGGyS+L4jVNVd+jdTUCp5D4YnhxTnjk1diJwQgA8D
50MuZvgr4aG2KUJ16c/bDrwkStVknJUUQMweWDe4RUUT0uetqwYlL+B81nKR0W/+qbLc8P
eDjoUwivmaGEltJQ==
-----END OPENSSH PRIVATE KEY-----
";

const RSA_1024: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAlwAAAAdzc2gtcn
NhAAAAAwEAAQAAAIEAvB5W2+MC6nB4LYPBi7wQ1BVk8YGxj4xxb/LJCl3yB7iODsf1K4to
r8dLTd2orHK663Epv/dginB/Hz3rXSVfUlv04bzX7c2T91B/cl2J7Z5yD0Wej6wFs5bp7Q
Pr9HR87Lw3hep1hLXy5Pseid5r7K04hgKjPHQyxg7ujC7Zef8AAAH4chaFQnIWhUIAAAAH
c3NoLXJzYQAAAIEAvB5W2+MC6nB4LYPBi7wQ1BVk8YGxj4xxb/LJCl3yB7iODsf1K4tor8
dLTd2orHK663Epv/dginB/Hz3rXSVfUlv04bzX7c2T91B/cl2J7Z5yD0Wej6wFs5bp7QPr
9HR87Lw3hep1hLXy5Pseid5r7K04hgKjPHQyxg7ujC7Zef8AAAADAQABAAAAgEklluqbQ8
f7AY/ZGooGD5kX1I9fubYyiu1Xvzpruy+rYHl44OkUpRksaiiV1v9vASWJdA1z2DMceSGh
xwIKBRzrgOVENDvyHtc2lZwi102bOJQqzhgfu2IGcfwLRcSyeTMqNfNBpMBFjAx9g2vFj8
FYZFnXixzKXAoHPjNGMPUZAAAAQBmi76NI6XGV6MlpM8nOBEQyRpF6D9onV0DtyGY4wPeV
6NEPubPOuSCL57Rx+RS3dYWsv7hJvVpYBs6R4IPqqtIAAABBANxgtqOvtilDjzHdf9X3De
/HsKGW6MevbfNC/JvlEYnW5vSXqi1RO5PY0K7i4Nb907XSIj6swxHjKOrdDqMAbEUAAABB
ANqGuq76EJ616tUy4fBy2lpJu/F9xcE2HhSHI4wp9477COPP5zxFz0sbJ2EekH9AnuB/ko
zkPMrZuJ0W0dFIa3MAAAAAAQID
-----END OPENSSH PRIVATE KEY-----
";
