//! Storage between a leader and its follower, and another leader that takes over.

#[cfg(not(feature = "object-store"))]
#[test]
fn a_second_leader_goes_on_where_storage_is() {
    use crate::support::{Need, not_run};

    let why = "built without the feature object-store";
    not_run("the feed in storage", Need::Peers, why);
}

#[cfg(feature = "object-store")]
mod stored {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use rustix::process::Signal;
    use rutter::feed::Manifest;
    use rutter::sign::VerifyKey;

    use super::super::cache::{Cache, PATIENCE};
    use super::super::followers::keygen;
    use super::super::restart::ANYWHERE;
    use super::super::router::{CACHE_RESET, Has, NOTIFY, Router, announced, increment};
    use crate::support::payloads::{Payloads, Prng};
    use crate::support::process::Process;
    use crate::support::{Need, free_port, not_run, report, temp_dir, wait_for};

    /// moto, an S3 server that is tested with.
    struct Storage {
        process: Process,
        port: u16,
        _folder: tempfile::TempDir,
    }

    impl Storage {
        /// One with an empty bucket that everybody may read.
        fn start() -> Option<Self> {
            let program = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/target/peers/pypi/bin/moto_server"
            );
            let program = Path::new(program).exists().then_some(program)?;
            let (folder, port) = (temp_dir(), free_port());
            let mut command = Command::new(program);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            let process = Process::start(&mut command, &folder.path().join("log"));
            let storage = Self {
                process,
                port,
                _folder: folder,
            };
            wait_for("a bucket", PATIENCE, || storage.ask("PUT", "/routes"));
            Some(storage)
        }

        /// The body of an answer.
        fn ask(&self, method: &str, path: &str) -> Result<Vec<u8>, String> {
            let all = || {
                let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
                socket.set_read_timeout(Some(PATIENCE))?;
                let head = "Host: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\
                            x-amz-acl: public-read";
                write!(socket, "{method} {path} HTTP/1.1\r\n{head}\r\n\r\n")?;
                let mut answer = Vec::new();
                socket.read_to_end(&mut answer).map(|_| answer)
            };
            let answer = all().map_err(|error| error.to_string())?;
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
            let (head, body) = answer.split_at(end.ok_or("no answer")? + 4);
            match head.starts_with(b"HTTP/1.1 200") {
                true => Ok(body.to_vec()),
                false => Err(String::from_utf8_lossy(head).into_owned()),
            }
        }

        /// The manifest that is there.
        #[track_caller]
        fn manifest(&self, key: &str) -> Manifest {
            let text = self.ask("GET", "/routes/feed/manifest.jws").unwrap();
            let key = VerifyKey::from_pem(&fs::read(key).unwrap()).unwrap();
            Manifest::read_signed(&text, &[key]).unwrap()
        }

        /// What a server that writes there is told.
        fn config(&self) -> String {
            format!(
                "[[source]]\nurl = \"vrps.json\"\n[export]\nsign-key = \"export.key\"\n\
                 bucket = \"routes/feed\"\nbucket-endpoint = \"http://127.0.0.1:{}\"\n\
                 bucket-credentials = \"credentials\"\n",
                self.port
            )
        }

        /// A server that writes there, with its own list and this key.
        fn leader(&self, payloads: &Payloads, key: &Path) -> Cache {
            let folder = temp_dir();
            let secret = |name: &str, octets: &[u8]| {
                let path = folder.path().join(name);
                fs::write(&path, octets).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
            };
            payloads.write_json(&folder.path().join("vrps.json"));
            secret("export.key", &fs::read(key).unwrap());
            secret("credentials", b"an-id\na-secret\n");
            Cache::with_state(folder, ANYWHERE, &self.config())
        }
    }

    /// Takes what is new for a router of this serial, until it is this.
    #[track_caller]
    fn gets(cache: &Cache, has: Has, before: &Payloads, after: &Payloads) -> Has {
        let wanted = increment(before, after, has.version);
        wait_for("the increment", PATIENCE, || {
            let update = Router::connect(cache.address()).update(has);
            assert_eq!(update.has.session, has.session);
            match update.set() == wanted {
                true => Ok(update.has),
                false => Err(cache.log()),
            }
        })
    }

    #[test]
    fn a_second_leader_goes_on_where_storage_is() {
        let Some(storage) = Storage::start() else {
            let why = "tests/peers/pypi has not fetched moto";
            return not_run("the feed in storage", Need::Peers, why);
        };
        let mut random = Prng::new(11);
        let first = Payloads::vrps(800, &mut random);
        let second = first.changed(30, 20, &mut random);
        let third = second.changed(10, 5, &mut random);
        let other = second.changed(7, 9, &mut random);
        let keys = temp_dir();
        let public = keygen(keys.path());
        let private: PathBuf = keys.path().join("export.key");

        // A follower needs nothing but HTTP.
        let leader = storage.leader(&first, &private);
        leader.says(&["the feed is laid out"]);
        let follows = format!(
            "[[source]]\nname = \"leader\"\nproxy = \"none\"\nrefresh = \"1s\"\n\
             url = \"feed+http://127.0.0.1:{}/routes/feed/\"\nverify-key = \"{public}\"\n",
            storage.port
        );
        let follower = Cache::with_state(temp_dir(), ANYWHERE, &follows);
        let mut router = Router::connect(follower.address());
        let loaded = router.load(1);
        assert!(loaded.set() == announced(&first, 1));
        leader.publish(&second);
        router.expect(NOTIFY);
        let has = gets(&follower, loaded.has, &first, &second);
        assert_eq!(gets(&leader, loaded.has, &first, &second), has);

        // Storage stands still: the leader tells its routers of a serial that nobody else hears of.
        wait_for("all is there", PATIENCE, || {
            let there = storage.manifest(&public);
            let known = there.attributes.map(|known| known.serial.into_u32());
            match (there.serial.into_u32(), known) == (has.serial, Some(has.serial)) {
                true => Ok(()),
                false => Err(format!("{there:?}")),
            }
        });
        storage.process.signal(Signal::STOP);
        leader.publish(&third);
        let lost = gets(&leader, has, &second, &third);
        let folder = leader.kill();
        storage.process.signal(Signal::CONT);

        // Another one goes on with what is there, but not from that serial.
        let heir = storage.leader(&other, &private);
        heir.says(&["the history in storage is gone on with"]);
        let gone_on = gets(&heir, has, &second, &other);
        assert!(gone_on.serial > lost.serial + 1_000, "{gone_on:?}");
        let mut stranger = Router::connect(heir.address());
        stranger.send(&lost.query());
        stranger.expect(CACHE_RESET);
        let followed = gets(&follower, has, &second, &other);
        assert_eq!(followed, gone_on);

        // The first one comes back with a history that has gone on without it.
        let config = storage.config();
        let back = Cache::with_state(folder, ANYWHERE, &config);
        back.says(&["SOMEBODY ELSE WRITES THE FEED THERE"]);
        let fenced = "rutter_publish_fenced{place=\"s3://routes/feed\"} 1\n";
        assert!(back.metrics().contains(fenced), "{}", back.metrics());
        assert_eq!(storage.manifest(&public).serial.into_u32(), gone_on.serial);
        assert_eq!(gets(&follower, has, &second, &other), gone_on);
        report(
            "chain: storage: a second leader goes on with the history there, past every serial of \
             the first, which is refused when it comes back",
        );
    }
}
