//! What is given out, and what must be signed that is taken in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ring::rand::SystemRandom;

use super::{SOURCE, file, file_and, owned};
use crate::config::{Config, ExportKeys, Origin, Scheme, Settings, Source, Verify};
use crate::net::Endpoint;
use crate::sign::key::Algorithm;
use crate::sign::{SigningKey, VerifyKey};

const EXPORT: &str = "[export]\nfile = \"rpki.json\"\nsign-key = \"key.pem\"\n\
    gortr-key = \"key.pem\"\nvalid = \"1h\"\nfeed-valid = \"30m\"\nfeed = true\nfolder = \"feed\"\n";

#[test]
fn every_key_of_the_export_arrives() {
    let text =
        format!("state-dir = \"state\"\n{SOURCE}{EXPORT}[http]\naddress = \"127.0.0.1:1\"\n");
    let loaded = file(&text).unwrap();
    let export = loaded.config.export.clone();
    for (path, name) in [
        (&export.file, "rpki.json"),
        (&export.sign_key, "key.pem"),
        (&export.gortr_key, "key.pem"),
        (&export.folder, "feed"),
    ] {
        assert!(path.as_ref().unwrap().ends_with(name), "{path:?}");
    }
    assert_eq!(export.valid, Duration::from_secs(3_600));
    assert_eq!(export.feed_valid, Some(Duration::from_secs(1_800)));
    assert!(export.feed && export.has_feed());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let shown = loaded.to_toml();
    for line in [
        "valid = \"1h\"",
        "feed-valid = \"30m\"",
        "feed = true",
        "folder = ",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn without_a_state_directory_there_is_no_feed() {
    let loaded = file(SOURCE).unwrap();
    assert!(!loaded.config.export.has_feed());
    assert!(loaded.to_toml().contains("feed = false"));
    let off = file(&format!("{SOURCE}[export]\nfeed = false\n")).unwrap();
    assert!(!off.config.export.feed);
    let on = |settings: &mut Settings| settings.state_dir = Some("state".into());
    let loaded = file_and(SOURCE, on, &[]).unwrap();
    assert!(loaded.config.export.feed);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let set = |settings: &mut Settings| settings.set = owned(&["export.feed=true"]);
    let errors = file_and(SOURCE, set, &[]).unwrap_err();
    assert_eq!(
        errors,
        "--set export.feed=true: needs state-dir: the feed is made of what is there"
    );
}

#[test]
fn what_is_laid_out_is_not_what_it_is_made_of() {
    for folder in ["state", "state/feed", "./state/x"] {
        let head = format!("state-dir = \"state\"\n{SOURCE}[export]\n");
        let errors = file(&format!("{head}folder = \"{folder}\"\n")).unwrap_err();
        assert_eq!(
            errors,
            "r.toml:5:1: export.folder: inside state-dir (expected a folder elsewhere)"
        );
    }
}

#[test]
fn a_bucket_takes_keys_and_a_build_that_has_it() {
    let head = format!("state-dir = \"state\"\n{SOURCE}[export]\nbucket = \"name/a/b/\"\n");
    let errors = file(&head).unwrap_err();
    let storage = "r.toml:5:1: export.bucket: this build has no storage";
    assert_eq!(
        errors.contains(storage),
        !cfg!(feature = "object-store"),
        "{errors}"
    );
    assert!(errors.contains("r.toml:5:1: export.bucket: needs export.sign-key"));
    assert!(errors.contains("r.toml:5:1: export.bucket: needs export.bucket-credentials"));
    let whole = format!("{head}sign-key = \"key.pem\"\nbucket-credentials = \"token\"\n");
    let read = file(&whole);
    if cfg!(feature = "object-store") {
        let bucket = read.unwrap().config.export.bucket.unwrap();
        assert_eq!((&*bucket.name, &*bucket.prefix), ("name", "a/b"));
        assert_eq!((&*bucket.region, bucket.endpoint), ("us-east-1", None));
        let far =
            format!("{whole}bucket-endpoint = \"http://[::1]:9000/\"\nbucket-region = \"x\"\n");
        let bucket = file(&far).unwrap().config.export.bucket.unwrap();
        assert_eq!(bucket.endpoint.unwrap().to_string(), "http://[::1]:9000/");
    } else {
        assert_eq!(read.unwrap_err().lines().count(), 1);
    }
    for (key, wrong) in [
        ("bucket", "ab"),
        ("bucket", "-ab"),
        ("bucket", "name/../x"),
        ("bucket", "name//x"),
        ("bucket", "name/ä"),
        ("bucket-endpoint", "https://u:secret@h/"),
        ("bucket-endpoint", "https://h/path"),
        ("bucket-endpoint", "tcp://h"),
        ("bucket-region", "a b"),
    ] {
        let errors = file(&format!("{SOURCE}[export]\n{key} = {wrong:?}\n")).unwrap_err();
        let [line] = *errors.lines().collect::<Vec<_>>() else {
            panic!("{errors}")
        };
        assert!(
            line.starts_with(&format!("r.toml:4:{}: export.{key}: not a", key.len() + 4)),
            "{line}"
        );
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn what_signs_nothing_is_a_warning() {
    let warned = |lines: &str| {
        let text = format!("state-dir = \"s\"\n{SOURCE}[export]\n{lines}");
        file(&text).unwrap().warnings
    };
    let signs_nothing = warned("sign-key = \"key.pem\"\n");
    assert_eq!(
        signs_nothing,
        ["export.sign-key signs nothing: nothing is given out"]
    );
    assert!(warned("sign-key = \"key.pem\"\nfolder = \"f\"\n").is_empty());
    let [unsigned] = &*warned("folder = \"f\"\n") else {
        panic!()
    };
    assert!(
        unsigned.contains("believe whoever can write there"),
        "{unsigned}"
    );
    let [long] = &*warned("feed-valid = \"3h\"\n") else {
        panic!()
    };
    assert!(long.contains("(3h) is above rtr.expire (2h)"), "{long}");
    let [nowhere] = &*warned("feed = true\n") else {
        panic!()
    };
    assert!(
        nowhere.contains("nothing without http.address"),
        "{nowhere}"
    );
}

fn source(lines: &str) -> (Source, Vec<String>) {
    let loaded = file(&format!("[[source]]\n{lines}")).unwrap();
    (loaded.config.sources[0].clone(), loaded.warnings)
}

#[test]
fn feeds_and_signatures_of_sources_are_read() {
    let (feed, warnings) = source(
        "url = \"feed+https://h/feed/\"\nverify-key = [\"ca.pem\", \"cert.pem\"]\n\
         refresh = \"5s\"\nproxy = \"none\"\nheaders = { A = \"b\" }\n",
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    let verify = feed.verify.unwrap();
    assert_eq!((verify.keys.len(), verify.scheme), (2, Scheme::Jws));
    let (folder, _) = source("url = \"feed+file:leader\"\n");
    let Origin::At(Endpoint::FeedFolder(path)) = &folder.origin else {
        panic!("{:?}", folder.origin)
    };
    assert!(path.is_absolute() && path.ends_with("leader"));
    let (web, _) =
        source("url = \"https://h/\"\nverify-key = \"ca.pem\"\nverify-scheme = \"gortr\"\n");
    assert_eq!(web.verify.unwrap().scheme, Scheme::Gortr);
    let (signed, _) = source("url = \"vrps.json\"\nverify-key = \"ca.pem\"\n");
    assert_eq!(signed.verify.unwrap().scheme, Scheme::Jws);
    // Over http:// somebody has to have signed it, unless it is this host itself.
    let open = "source \"feed+http://h/\" BELIEVES WHOEVER ANSWERS";
    let (_, warnings) = source("url = \"feed+http://h/\"\n");
    assert!(warnings[0].starts_with(open), "{warnings:?}");
    let (_, warnings) = source("url = \"feed+http://h/\"\nverify-key = \"ca.pem\"\n");
    assert!(warnings.is_empty(), "{warnings:?}");
    let (_, warnings) = source("url = \"feed+http://127.0.0.1:1/\"\n");
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn what_is_shown_of_a_source_means_the_same() {
    let text = "[[source]]\nurl = \"feed+https://u:secret@h/\"\nverify-key = \"ca.pem\"\n\
                [[source]]\nurl = \"https://h/\"\nverify-key = \"ca.pem\"\nverify-scheme = \"gortr\"\n\
                [[source]]\nurl = \"feed+file:f\"\nverify-key = \"ca.pem\"\n";
    let shown = file(text).unwrap().to_toml();
    assert_eq!(shown.matches("verify-key = [").count(), 3, "{shown}");
    assert_eq!(shown.matches("verify-scheme = \"gortr\"").count(), 1);
    assert_eq!(shown.matches("max-size").count(), 1, "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

fn key(folder: &Path, name: &str, algorithm: Algorithm) -> SigningKey {
    let rng = SystemRandom::new();
    let pem = SigningKey::generate(algorithm, &rng).unwrap();
    let path = folder.join(name);
    fs::write(&path, &pem).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    SigningKey::from_pem(pem.as_bytes(), &rng).unwrap()
}

#[test]
fn the_files_of_keys_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (p256, ed) = (
        key(folder.path(), "p256.key", Algorithm::Es256),
        key(folder.path(), "ed.key", Algorithm::EdDsa),
    );
    fs::write(at("p256.pub"), p256.public().to_pem()).unwrap();
    fs::write(at("ed.pub"), ed.public().to_pem()).unwrap();
    fs::write(at("not"), "x").unwrap();
    let config = |sign: &str, gortr: &str, verify: &str, scheme| {
        let demo = Settings {
            demo: true,
            ..Settings::default()
        };
        let (mut config, _) = Config::new(&demo).unwrap();
        config.export.sign_key = Some(at(sign));
        config.export.gortr_key = Some(at(gortr));
        config.sources[0].verify = Some(Verify {
            keys: vec![at("p256.pub"), at(verify)],
            scheme,
        });
        config
    };
    let good = config("ed.key", "p256.key", "ed.pub", Scheme::Jws);
    let findings = good.inspect_files();
    assert!(
        findings.errors.is_empty() && findings.warnings.is_empty(),
        "{findings:?}"
    );
    let keys = ExportKeys::load(&good.export).unwrap();
    assert_eq!(keys.sign.unwrap().public(), ed.public());
    assert_eq!(keys.gortr.unwrap().public(), p256.public());
    let verify: Vec<VerifyKey> = good.sources[0].verify.as_ref().unwrap().load().unwrap();
    assert_eq!(verify, [p256.public().clone(), ed.public().clone()]);

    let bad = config("not", "ed.key", "ed.pub", Scheme::Gortr).inspect_files();
    let [scheme, sign, gortr] = &*bad.errors else {
        panic!("{bad:?}")
    };
    assert!(
        scheme.contains("ed.pub: signatures of GoRTR take a key on P-256"),
        "{scheme}"
    );
    assert!(sign.contains("not: no key in PEM form"), "{sign}");
    assert!(
        gortr.contains("ed.key: signatures of GoRTR take a key on P-256"),
        "{gortr}"
    );
    assert!(!format!("{bad:?}").contains("PRIVATE"));

    fs::set_permissions(at("p256.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = config("p256.key", "p256.key", "p256.pub", Scheme::Jws).inspect_files();
    assert_eq!(open.errors, [""; 0]);
    let [public] = &*open.warnings else {
        panic!("{open:?}")
    };
    assert!(
        public.ends_with("p256.key: everybody can read this secret"),
        "{public}"
    );
}

#[test]
fn credentials_of_storage_are_two_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    let bucket = crate::config::Bucket {
        name: "n".into(),
        prefix: "".into(),
        endpoint: None,
        region: "r".into(),
        credentials: path.clone(),
    };
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        bucket.credentials().map_err(|error| error.to_string())
    };
    let both = read(" id \r\nsecret\nmore\n").unwrap();
    assert_eq!((&**both.id, &**both.secret), ("id", "secret"));
    assert_eq!(format!("{both:?}"), "Credentials(…)");
    for (text, line) in [("", 1), ("id", 2), ("id\n\n", 2), ("i d\ns", 1)] {
        let error = read(text).unwrap_err();
        assert!(error.contains(&format!("credentials:{line}: ")), "{error}");
    }
}
