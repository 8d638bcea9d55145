//! A leader, its feed as files, and a web server that carries them as it is told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::super::server::head;
use crate::config::{Proxy, Source, Verify};
use crate::daemon::source::unix_now;
use crate::feed::manifest::{AttributesRef, DeltaRef, SnapshotRef};
use crate::feed::tests::{Random, data, jumped, written};
use crate::feed::{Manifest, WAITED, attributes, delta, snapshot};
use crate::payload::{DataSet, UnixTime};
use crate::rtr::snapshot::{HistoryLimits, Step, Trigger};
use crate::rtr::{HistoryName, Snapshot, Timing};
use crate::sign::{Algorithm, Digest, SigningKey};

/// Files by name.
pub(super) type Tree = BTreeMap<String, Vec<u8>>;

pub(super) fn key() -> SigningKey {
    let rng = SystemRandom::new();
    let pem = SigningKey::generate(Algorithm::EdDsa, &rng).unwrap();
    SigningKey::from_pem(pem.as_bytes(), &rng).unwrap()
}

/// What a leader has served, and how it says so.
pub(super) struct Leader {
    pub(super) random: Random,
    /// Each serial with its last revision, oldest first.
    pub(super) serials: Vec<Snapshot>,
    /// The place of the set that is a file.
    pub(super) base: usize,
    /// The set of which there are attributes as a file, and its place.
    pub(super) known: Option<Known>,
    /// How many of the oldest steps are not named.
    pub(super) unnamed: usize,
    pub(super) issued: UnixTime,
    pub(super) valid: u64,
    pub(super) key: Option<SigningKey>,
}

/// Attributes as they are kept: of a serial and a revision.
#[derive(Clone)]
pub(super) struct Known {
    set: DataSet,
    named: (crate::rtr::Serial, u64),
}

impl Leader {
    pub(super) fn new(name: u8, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let first = Snapshot::first(HistoryName::new([name; 16]), data(&mut random));
        let mut leader = Self {
            random,
            serials: vec![first],
            base: 0,
            known: None,
            unnamed: 0,
            issued: unix_now(),
            valid: 3_600,
            key: None,
        };
        leader.catch_up();
        leader
    }

    pub(super) fn with_key(mut self) -> Self {
        self.key = Some(key());
        self
    }

    pub(super) fn latest(&self) -> &Snapshot {
        self.serials.last().unwrap()
    }

    /// Writes the set and its attributes.
    pub(super) fn catch_up(&mut self) {
        self.base = self.serials.len() - 1;
        self.learn();
    }

    /// Writes the attributes.
    pub(super) fn learn(&mut self) {
        let latest = self.latest();
        self.known = Some(Known {
            set: latest.data().clone(),
            named: (latest.serial(), latest.revision()),
        });
    }

    /// Publishes something else, with steps where something came and went.
    pub(super) fn go_on(&mut self) {
        let before = self.serials.len();
        while self.serials.len() == before {
            let set = data(&mut self.random);
            self.publish(set);
        }
    }

    /// Publishes other attributes of the same payloads.
    pub(super) fn revise(&mut self) {
        let latest = self.latest();
        let ends = crate::payload::Attribute::new(
            Some(UnixTime::new(90_000 + latest.revision())),
            crate::payload::rows::TrustAnchorId::default(),
        );
        let blank = DataSet::default();
        let set = blank.carried_to(latest.payload().clone(), ends);
        self.publish(set);
    }

    /// Another server goes on with the history.
    pub(super) fn jump(&mut self) {
        let next = jumped(self.latest(), unix_now());
        self.serials.push(next);
    }

    fn publish(&mut self, set: DataSet) {
        let trigger = Trigger::ALL[usize::try_from(self.random.below(4)).unwrap()];
        let now = unix_now();
        match self
            .latest()
            .next(set, trigger, now, HistoryLimits::default())
        {
            Step::Serial(next) => self.serials.push(next),
            Step::Revision(next) => *self.serials.last_mut().unwrap() = next,
            Step::Unchanged => {}
        }
    }

    /// The manifest, and the files that it names.
    pub(super) fn stock(&self) -> (Manifest, Tree) {
        let (latest, base) = (self.latest(), &self.serials[self.base]);
        let set = written(|out| snapshot::write(base.payload(), out));
        let mut blobs = vec![set.clone()];
        let attributes = self.known.as_ref().map(|known| {
            let digest = snapshot::digest(known.set.payload());
            let octets = written(|out| attributes::write(&known.set, &digest, out));
            let digest = Digest::of(&octets);
            blobs.push(octets);
            let (serial, revision) = known.named;
            AttributesRef {
                serial,
                revision,
                digest,
            }
        });
        let mut deltas = Vec::new();
        for entry in latest.entries().skip(self.unnamed) {
            let step = written(|out| delta::write(entry.delta(), out));
            let before = written(|out| delta::write_replaced(entry.delta(), out));
            let replaced = delta::replaces(entry.delta()).then(|| Digest::of(&before));
            deltas.push(DeltaRef {
                from: entry.from(),
                to: entry.serial(),
                time: entry.time(),
                trigger: entry.trigger(),
                digest: Digest::of(&step),
                replaced,
            });
            blobs.push(step);
            blobs.extend(replaced.map(|_| before));
        }
        let manifest = Manifest {
            history: latest.name(),
            serial: latest.serial(),
            revision: latest.revision(),
            timing: Timing::RECOMMENDED,
            issued: self.issued,
            valid_until: self.issued.plus(self.valid),
            snapshot: SnapshotRef {
                serial: base.serial(),
                digest: Digest::of(&set),
            },
            attributes,
            mirrored: false,
            deltas,
        };
        let names: Vec<String> = manifest.files().map(|(name, _)| name.to_string()).collect();
        (manifest, names.into_iter().zip(blobs).collect())
    }

    /// All files, the manifest among them.
    pub(super) fn tree(&self) -> Tree {
        let (manifest, mut tree) = self.stock();
        let (name, text) = self.written(&manifest);
        tree.insert(name.into(), text);
        tree
    }

    pub(super) fn written(&self, manifest: &Manifest) -> (&'static str, Vec<u8>) {
        match &self.key {
            None => ("manifest.json", manifest.to_plain().into()),
            Some(key) => {
                let text = manifest.sign(key, &SystemRandom::new()).unwrap();
                ("manifest.jws", text.into())
            }
        }
    }

    /// Puts the feed into a folder, the manifest last and as one.
    pub(super) fn lay_out(&self, folder: &Path) {
        let (manifest, tree) = self.stock();
        for (name, octets) in tree {
            std::fs::write(folder.join(name), octets).unwrap();
        }
        let (name, text) = self.written(&manifest);
        let new = folder.join(".new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, folder.join(name)).unwrap();
    }

    /// Has a source believe this leader alone.
    pub(super) fn trusted(&self, source: &mut Source, folder: &Path) {
        let path = folder.join("leader.pub");
        let pem = self.key.as_ref().unwrap().public().to_pem();
        std::fs::write(&path, pem).unwrap();
        source.verify = Some(Verify {
            keys: vec![path],
            scheme: Default::default(),
        });
    }
}

/// What a web server does.
#[derive(Clone, Default)]
pub(super) struct Site {
    pub(super) tree: Tree,
    /// What becomes of the tree when a file is asked for that is not there.
    pub(super) then: Option<Tree>,
    /// Whether it waits when it is asked to.
    pub(super) waits: Waits,
    /// What it says instead of a body, to whoever asks for a name that ends so.
    pub(super) odd: Option<(&'static str, Odd)>,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(super) enum Waits {
    /// It does not know what that is.
    #[default]
    Never,
    /// Until there is another manifest.
    Well,
    /// It says that it does, and answers at once.
    Hastily,
    /// It breaks off.
    Badly,
}

#[derive(Clone)]
pub(super) enum Odd {
    /// A whole answer.
    Says(String),
    /// The beginning of an answer, and never its end.
    Stalls,
}

pub(super) struct Web {
    pub(super) site: watch::Sender<Site>,
    asked: watch::Receiver<Vec<String>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Web {
    pub(super) async fn start(tree: Tree) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, tree)
    }

    fn on(listener: TcpListener, tree: Tree) -> Self {
        let address = listener.local_addr().unwrap();
        let site = watch::Sender::new(Site {
            tree,
            ..Site::default()
        });
        let (asking, asked) = watch::channel(Vec::new());
        let (served, asking) = (site.clone(), Arc::new(asking));
        let task = tokio::spawn(async move {
            let mut answers = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                answers.spawn(answer(socket, served.clone(), Arc::clone(&asking)));
            }
        });
        Self {
            site,
            asked,
            address,
            task,
        }
    }

    pub(super) fn show(&self, leader: &Leader) {
        let tree = leader.tree();
        self.site.send_modify(|site| site.tree = tree);
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Site)) {
        self.site.send_modify(change);
    }

    pub(super) fn source(&self) -> Source {
        let mut source = super::super::source(&format!("feed+http://{}/feed", self.address));
        source.refresh = Duration::from_millis(20);
        source.web.proxy = Proxy::Direct;
        source
    }

    /// What was asked for so far: what follows the folder.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// Waits until somebody has asked for this.
    pub(super) async fn until(&self, name: impl Fn(&str) -> bool) {
        let mut asked = self.asked.clone();
        let found = asked.wait_for(|asked| asked.iter().any(|asked| name(asked)));
        timeout(super::super::PATIENCE, found)
            .await
            .unwrap()
            .unwrap();
    }

    /// Is away, and comes back at the same address.
    pub(super) async fn restart(self, away: impl Future<Output = ()>) -> Self {
        let (address, tree) = (self.address, self.site.borrow().tree.clone());
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
        away.await;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        Self::on(socket.listen(64).unwrap(), tree)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    mut socket: TcpStream,
    served: watch::Sender<Site>,
    asking: Arc<watch::Sender<Vec<String>>>,
) -> Option<()> {
    let head = head(&mut socket).await?;
    let target = head.strip_prefix("get /feed/")?.split(' ').next()?;
    let (name, wait) = match target.split_once("?wait=") {
        Some((name, wait)) => (name, Some(wait.to_owned())),
        None => (target, None),
    };
    asking.send_modify(|asked| asked.push(target.to_owned()));
    let mut site = served.borrow().clone();
    let tag = |site: &Site| site.tree.get(name).map(|octets| tag(octets));
    let mut waited = "";
    if let Some(known) = &wait {
        match site.waits {
            Waits::Never => {}
            Waits::Badly => return None,
            Waits::Hastily => waited = "1",
            Waits::Well => {
                waited = "1";
                let mut changes = served.subscribe();
                let other = changes.wait_for(|site| tag(site).as_deref() != Some(known));
                let _ = timeout(Duration::from_millis(1_200), other).await;
                site = served.borrow().clone();
            }
        }
    }
    if let Some((_, odd)) = site.odd.iter().find(|(end, _)| name.ends_with(end)) {
        match odd {
            Odd::Says(text) => socket.write_all(text.as_bytes()).await.ok()?,
            Odd::Stalls => {
                let text = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
                socket.write_all(text).await.ok()?;
                std::future::pending().await
            }
        }
        return Some(());
    }
    let more = match waited {
        "" => "Connection: close".to_owned(),
        _ => format!("Connection: close\r\n{WAITED}: {waited}"),
    };
    let Some(octets) = site.tree.get(name) else {
        served.send_if_modified(|site| match site.then.take() {
            Some(tree) => {
                site.tree = tree;
                true
            }
            None => false,
        });
        let text = format!("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n{more}\r\n\r\n");
        socket.write_all(text.as_bytes()).await.ok()?;
        return Some(());
    };
    let tag = tag(&site)?;
    let same = head.contains(&format!("if-none-match: \"{tag}\"\r\n"));
    let (status, body) = match same || wait.as_ref() == Some(&tag) {
        true => ("304 Not Modified", &[][..]),
        false => ("200 OK", &octets[..]),
    };
    let length = match body {
        [] if status.starts_with('3') => String::new(),
        body => format!("Content-Length: {}\r\n", body.len()),
    };
    let text = format!("HTTP/1.1 {status}\r\nETag: \"{tag}\"\r\n{length}{more}\r\n\r\n");
    socket.write_all(text.as_bytes()).await.ok()?;
    socket.write_all(body).await.ok()?;
    Some(())
}

fn tag(octets: &[u8]) -> String {
    crate::sign::hex::encode(&Digest::of(octets).sha256[..8])
}
