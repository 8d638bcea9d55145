//! Who gets in, and what each gets: a listener of this process, with its terms made here.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rutter::config::{Carrier, Config, Listener, Profile, Settings};
use rutter::daemon::counters::Refusal;
use rutter::daemon::listener::{self, Terms};
use rutter::daemon::session::Shared;
use rutter::daemon::store::Store;
use rutter::net::gate::Full;
use rutter::net::{self, Acceptor, AccessList, Reason, TcpOptions, Transport};
use rutter::payload::{
    Asn, Aspa, Attribute, DataSet, Kind, Kinds, RouterKey, RowsBuilder, UnixTime, Vrp,
};
use rutter::rtr::snapshot::{HistoryLimits, Step, Trigger};
use rutter::rtr::{HistoryName, Snapshot, Timing, Version, Versions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cache::PATIENCE;
use super::router::{CACHE_RESET, ERROR_REPORT, Has, NOTIFY, RESET_QUERY, Router};
use crate::support::wait_for;

/// A listener with what it publishes.
struct Door {
    runtime: tokio::runtime::Runtime,
    config: Config,
    address: SocketAddr,
    socket: Arc<net::Listener>,
    shared: Arc<Shared>,
    terms: watch::Sender<Arc<Terms>>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// The configuration of a listener on loopback, changed.
fn configured(change: impl FnOnce(&mut Config)) -> Config {
    let settings = Settings {
        demo: true,
        ..Settings::default()
    };
    let mut config = Config::new(&settings).unwrap().0;
    config.rtr.notify_interval = Duration::ZERO;
    config.listeners = vec![Listener {
        address: "127.0.0.1:0".parse().unwrap(),
        carrier: Carrier::Tcp(Vec::new()),
        access: AccessList::default(),
        proxies: Vec::new(),
        versions: Versions::ALL,
        announce_restart: false,
    }];
    change(&mut config);
    config
}

fn terms(config: &Config) -> Arc<Terms> {
    Arc::new(Terms::new(config, &config.listeners[0], Acceptor::Tcp))
}

impl Door {
    #[track_caller]
    fn open(change: impl FnOnce(&mut Config)) -> Self {
        let config = configured(change);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let options = TcpOptions::default();
        let socket = net::Listener::bind(config.listeners[0].address, &options).unwrap();
        let socket = Arc::new(socket);
        let shared = Arc::new(Shared::new(Store::new(), &config.limits));
        let name = HistoryName::new([7; 16]);
        shared
            .store
            .publish(Arc::new(Snapshot::first(name, data(64496))), false);
        let (terms, agreed) = watch::channel(terms(&config));
        let (stop, stopped) = watch::channel(false);
        let run = listener::run(Arc::clone(&socket), agreed, Arc::clone(&shared), stopped);
        let task = Some(runtime.spawn(run));
        drop(_inside);
        Self {
            address: socket.address(),
            runtime,
            config,
            socket,
            shared,
            terms,
            stop,
            task,
        }
    }

    /// Takes other terms, as a reload does.
    fn reload(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.shared.resize(&self.config.limits);
        self.terms.send_replace(terms(&self.config));
    }

    /// Publishes the set of another AS.
    fn publish(&self, asn: u32) {
        let before = self.shared.store.latest().unwrap();
        let limits = HistoryLimits::default();
        let step = before.next(data(asn), Trigger::Source, UnixTime::new(1), limits);
        let Step::Serial(next) = step else {
            panic!("nothing changed")
        };
        self.shared.store.publish(Arc::new(next), false);
    }

    fn from(&self, a: u8, b: u8) -> Router {
        Router::connect_from(a, b, self.address)
    }

    /// Connects, and expects to be closed without a word.
    #[track_caller]
    fn refuses(&self, a: u8, b: u8, refusal: Refusal) {
        let before = self.refused(refusal);
        assert_eq!(self.from(a, b).until_gone(), b"");
        self.refused_by(before + 1, refusal);
    }

    fn refused(&self, refusal: Refusal) -> u64 {
        self.shared.counters.of(Transport::Tcp).refused(refusal)
    }

    /// Waits until so many were refused for this reason.
    #[track_caller]
    fn refused_by(&self, times: u64, refusal: Refusal) {
        wait_for(refusal.word(), PATIENCE, || match self.refused(refusal) {
            found if found == times => Ok(()),
            found => Err(found.to_string()),
        });
    }

    /// Waits until so many connections have a place.
    #[track_caller]
    fn holds(&self, places: usize) {
        let what = format!("{places} places taken");
        wait_for(&what, PATIENCE, || match self.shared.connections() {
            taken if taken == places => Ok(()),
            taken => Err(taken.to_string()),
        });
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.store.stop();
        self.stop.send_replace(true);
        let task = self.task.take().unwrap();
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, task).await });
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A VRP of an AS, beside a router key and an ASPA.
fn data(asn: u32) -> DataSet {
    let mut rows = RowsBuilder::new();
    let attribute = Attribute::default();
    let prefix = "192.0.2.0/24".parse().unwrap();
    rows.push_vrp(Vrp::new(prefix, 24, Asn::new(asn)).unwrap(), attribute);
    let key = RouterKey::new([7; 20], Asn::new(1), &[0x30, 0x59]).unwrap();
    rows.push_router_key(key, attribute);
    rows.push_aspa(
        Aspa::new(Asn::new(1), vec![Asn::new(2)]).unwrap(),
        attribute,
    );
    DataSet::new(&rows.finish())
}

fn profile(name: &str, prefix: &str) -> Profile {
    Profile {
        name: name.into(),
        prefixes: vec![prefix.parse().unwrap()],
        tls_names: Vec::new(),
        ssh_users: Vec::new(),
        highest_version: None,
        kinds: None,
        timing: None,
        notify: None,
        announce_restart: None,
    }
}

fn prefixes(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn who_is_denied_is_closed_without_a_word() {
    let mut door = Door::open(|config| {
        config.listeners[0].access.deny = prefixes(&["127.0.4.0/24", "127.0.5.5/32"]);
    });
    door.refuses(4, 1, Refusal::AccessList);
    door.refuses(5, 5, Refusal::AccessList);
    let mut goes = door.from(5, 6);
    goes.load(1);
    // Another list counts for those who come then, and for those who are there.
    door.reload(|config| config.listeners[0].access.deny = prefixes(&["127.0.5.6/32"]));
    door.from(4, 1).load(1);
    door.refuses(5, 6, Refusal::AccessList);
    assert_eq!(goes.until_gone(), b"");
}

#[test]
fn each_limit_of_connections_holds_and_places_come_back() {
    let mut door = Door::open(|config| {
        config.limits.connections = 10;
        config.limits.connections_per_address = 2;
        config.limits.connections_per_network = 3;
    });
    let mut routers = vec![door.from(1, 1), door.from(1, 1)];
    door.refuses(1, 1, Refusal::Full(Full::Address));
    routers.push(door.from(1, 2));
    door.refuses(1, 3, Refusal::Full(Full::Network));
    routers.extend((0..7).map(|number| door.from(2 + number, 1)));
    for router in &mut routers {
        router.load(1);
    }
    // The eleventh of ten.
    door.refuses(9, 9, Refusal::Full(Full::Total));
    drop(routers.remove(0));
    door.holds(9);
    routers.push(door.from(1, 1));
    door.holds(10);
    // Whoever is there stays when a limit shrinks.
    door.reload(|config| config.limits.connections = 4);
    door.refuses(9, 9, Refusal::Full(Full::Total));
    for router in &mut routers {
        router.load(1);
    }
    drop(routers);
    door.holds(0);
    door.from(9, 9).load(1);
}

/// A header for TCP over IPv4, from this address.
fn proxy_header(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    header.extend(source);
    header.extend([127, 0, 0, 1, 0x12, 0x34, 1, 67]);
    // NOOP: it is skipped.
    header.extend([4, 0, 0]);
    header
}

fn behind_a_proxy() -> Door {
    Door::open(|config| {
        let listener = &mut config.listeners[0];
        listener.proxies = prefixes(&["127.0.6.0/24"]);
        listener.access.allow = prefixes(&["192.0.2.0/24"]);
        listener.access.deny = prefixes(&["192.0.2.66/32", "127.0.6.66/32"]);
        config.limits.connections_per_address = 1;
        config.limits.handshake_timeout = Duration::from_secs(5);
    })
}

#[test]
fn a_proxy_says_for_whom_it_connects() {
    let door = behind_a_proxy();
    // The proxy itself has one address for all of them.
    let mut routers: Vec<_> = (1..5).map(|_| door.from(6, 1)).collect();
    for (router, host) in routers.iter_mut().zip(1..) {
        // The header and the query may come in one segment.
        let mut octets = proxy_header([192, 0, 2, host]);
        octets.extend(RESET_QUERY[1]);
        router.send(&octets);
        assert_eq!(router.answer().payload.len(), 2);
    }
    let cases = [
        ([192, 0, 2, 1], Refusal::Full(Full::Address)),
        ([192, 0, 2, 66], Refusal::AccessList),
        ([198, 51, 100, 1], Refusal::AccessList),
    ];
    for (named, refusal) in cases {
        let before = door.refused(refusal);
        let mut router = door.from(6, 1);
        router.send(&proxy_header(named));
        assert_eq!(router.until_gone(), b"");
        door.refused_by(before + 1, refusal);
    }
    door.holds(4);
    // A check of our health is the proxy's own connection.
    let mut local = door.from(6, 1);
    local.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    local.load(2);
}

#[test]
fn a_proxy_that_says_nothing_right_is_refused() {
    let mut door = behind_a_proxy();
    let refused = Refusal::Peer(Reason::Proxy);
    let mut long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
    long.extend([0; 12]);
    for (times, octets) in (1..).zip([
        b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 323\r\n".to_vec(),
        [RESET_QUERY[1], RESET_QUERY[1]].concat(),
        long,
    ]) {
        let mut router = door.from(6, 1);
        router.send(&octets);
        assert_eq!(router.until_gone(), b"");
        door.refused_by(times, refused);
    }
    door.reload(|config| config.limits.handshake_timeout = Duration::from_millis(300));
    let begin = Instant::now();
    let mut half = door.from(6, 2);
    half.send(&proxy_header([192, 0, 2, 1])[..20]);
    assert_eq!(half.until_gone(), b"");
    assert!(begin.elapsed() >= Duration::from_millis(250));
    door.refused_by(1, Refusal::Peer(Reason::Deadline));
    door.refuses(6, 66, Refusal::AccessList);
    door.holds(0);
}

#[test]
fn a_header_from_elsewhere_is_no_header() {
    let door = behind_a_proxy();
    let mut router = door.from(7, 1);
    router.send(&proxy_header([192, 0, 2, 1]));
    // To a session it begins like an Error Report of a length that cannot be.
    assert_eq!(router.until_gone(), b"");
    assert_eq!(door.refused(Refusal::Peer(Reason::Proxy)), 0);
    door.from(7, 2).load(1);
}

#[test]
fn a_router_that_asks_for_nothing_is_closed_when_that_is_wanted() {
    let mut door = Door::open(|config| config.limits.idle = Some(Duration::from_millis(400)));
    let mut silent = door.from(1, 1);
    let mut polls = door.from(1, 2);
    let begin = Instant::now();
    silent.load(1);
    let mut has = polls.load(1).has;
    let mut closed = false;
    while begin.elapsed() < Duration::from_millis(1_200) {
        has = polls.update(has).has;
        closed |= !silent.is_quiet(Duration::from_millis(100));
        assert!(!closed || begin.elapsed() >= Duration::from_millis(400));
    }
    assert_eq!(silent.until_closed(), b"");
    polls.update(has);
    // It reaches open sessions, and `None` is for ever.
    door.reload(|config| config.limits.idle = None);
    assert!(polls.is_quiet(Duration::from_millis(900)));
    polls.update(has);
}

#[test]
fn the_first_profile_that_fits_says_what_a_router_gets() {
    let day = Duration::from_secs(86_400);
    let timing = Timing::new(Duration::from_secs(120), Duration::from_secs(30), day).unwrap();
    let door = Door::open(|config| {
        config.profiles = vec![
            Profile {
                highest_version: Some(Version::V1),
                timing: Some(timing),
                ..profile("old", "127.0.1.0/24")
            },
            Profile {
                kinds: Some(Kinds::NONE.with(Kind::Aspa)),
                notify: Some(false),
                ..profile("quiet", "127.0.2.0/24")
            },
            Profile {
                timing: Some(timing),
                ..profile("never", "127.0.2.9/32")
            },
        ];
    });
    assert_eq!(door.shared.clients.first(9).total, 0);
    let mut old = door.from(1, 1);
    old.send(&RESET_QUERY[2]);
    let refused = old.expect(ERROR_REPORT);
    assert_eq!((refused.version(), refused.word()), (1, 4));
    let answer = old.load(1);
    assert_eq!(answer.timers, Some([120, 30, 86_400]));
    assert_eq!(answer.payload.len(), 2);
    let mut quiet = door.from(2, 9);
    let answer = quiet.load(2);
    assert_eq!(answer.timers, Some([3_600, 600, 7_200]));
    let types: Vec<u8> = answer.payload.iter().map(|pdu| pdu[1]).collect();
    assert_eq!(types, [11]);
    let mut other = door.from(3, 1);
    assert_eq!(other.load(2).payload.len(), 3);
    let listed = door.shared.clients.first(2);
    assert_eq!((listed.total, listed.clients.len()), (3, 2));
    let [first, second] = [&listed.clients[0], &listed.clients[1]];
    assert_eq!(first.address, old.stream.local_addr().unwrap().to_string());
    assert_eq!((&*first.transport, first.version), ("tcp", Some(1)));
    assert_eq!(first.serial, Some(answer.has.serial));
    let profiles = [first, second].map(|client| client.profile.as_deref());
    assert_eq!(profiles, [Some("old"), Some("quiet")]);
    door.publish(64497);
    other.expect(NOTIFY);
    old.expect(NOTIFY);
    assert!(quiet.is_quiet(Duration::from_millis(200)));
    quiet.update(answer.has);
}

#[test]
fn a_reload_that_changes_a_view_resets_a_router_once() {
    let mut door = Door::open(|_| {});
    let mut router = door.from(1, 1);
    let mut other = door.from(2, 1);
    let has = router.load(2).has;
    let other_has = other.load(2).has;
    door.reload(|config| {
        config.profiles = vec![Profile {
            kinds: Some(Kinds::VRPS),
            ..profile("vrps", "127.0.1.0/24")
        }];
    });
    router.send(&has.query());
    router.expect(CACHE_RESET);
    let answer = router.load(2);
    assert_eq!(answer.payload.len(), 1);
    assert_ne!(answer.has.session, has.session);
    let has = router.update(answer.has).has;
    assert!(other.update(other_has).payload.is_empty());

    // A version that is taken away ends on the same connection, too.
    door.reload(|config| {
        config.profiles[0].highest_version = Some(Version::V0);
    });
    router.send(&has.query());
    router.expect(CACHE_RESET);
    router.send(&RESET_QUERY[2]);
    let refused = router.expect(ERROR_REPORT);
    assert_eq!((refused.version(), refused.word()), (0, 4));
    let has: Has = router.load(0).has;
    assert!(router.update(has).payload.is_empty());
}

#[test]
fn a_stop_is_announced_where_it_is_wanted() {
    let door = Door::open(|config| {
        config.listeners[0].announce_restart = true;
        config.profiles = vec![Profile {
            announce_restart: Some(false),
            ..profile("fragile", "127.0.2.0/24")
        }];
    });
    let cases = [(1, 2, true), (1, 1, false), (1, 0, false), (2, 2, false)];
    let mut routers = cases.map(|(network, version, told)| {
        let mut router = door.from(network, 1);
        router.load(version);
        (router, told)
    });
    door.shared.store.stop();
    for (router, told) in &mut routers {
        if *told {
            let report = router.expect(ERROR_REPORT);
            assert_eq!((report.version(), report.word()), (2, 12));
        }
        assert_eq!(router.until_closed(), b"");
    }
}

#[test]
fn plain_octets_from_a_peer_that_must_sign_get_no_answer() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a key\n").unwrap();
    let door = Door::open(|_| {});
    let key = net::Md5Key::load("127.0.8.0/24".parse().unwrap(), file.path()).unwrap();
    let mut stays = door.from(8, 1);
    let has = stays.load(1).has;
    door.socket.sign(&[key]).unwrap();
    // What is open goes on unsigned; what is new is neither accepted nor refused.
    assert!(stays.update(has).payload.is_empty());
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from: SocketAddr = "127.0.8.1:0".parse().unwrap();
    socket.bind(&from.into()).unwrap();
    let patience = Duration::from_millis(700);
    let error = socket
        .connect_timeout(&door.address.into(), patience)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    door.from(9, 1).load(1);

    // One that signs is served.
    let signed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    signed.bind(&from.into()).unwrap();
    net::sys::sign_with_md5(&signed, door.address.ip().into(), b"a key").unwrap();
    signed
        .connect_timeout(&door.address.into(), PATIENCE)
        .unwrap();
    Router::from_stream(signed.into()).load(2);
}

#[test]
fn half_a_header_does_not_hold_up_a_stop() {
    let door = Door::open(|config| {
        config.listeners[0].proxies = prefixes(&["127.0.6.0/24"]);
    });
    let mut half: TcpStream = door.from(6, 1).stream;
    half.write_all(b"\r\n\r\n").unwrap();
    door.holds(1);
    let begin = Instant::now();
    drop(door);
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(matches!(half.read(&mut [0; 8]), Ok(0) | Err(_)));
}

/// Those whose right is gone, and no others.
#[test]
fn a_reload_ends_who_is_no_longer_allowed() {
    let mut door = Door::open(|_| {});
    let (mut gone, mut stays) = (door.from(1, 1), door.from(2, 1));
    gone.load(1);
    let has = stays.load(1).has;
    door.reload(|config| config.listeners[0].access.deny = prefixes(&["127.0.1.0/24"]));
    assert_eq!(gone.until_gone(), b"");
    assert!(stays.update(has).payload.is_empty());
    wait_for("a count", PATIENCE, || {
        match door.shared.counters.revoked.value() {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    let withdrawn = Arc::new(door.terms.borrow().withdrawn());
    door.terms.send_replace(withdrawn);
    assert_eq!(stays.until_gone(), b"");
    door.holds(0);
}

#[test]
fn a_reload_ends_who_came_through_a_proxy_that_is_none() {
    let mut door = behind_a_proxy();
    let mut routers = [door.from(6, 1), door.from(6, 2), door.from(6, 3)];
    for (router, host) in routers.iter_mut().zip(1..) {
        router.send(&proxy_header([192, 0, 2, host]));
        router.load(2);
    }
    let [mut first, mut second, mut third] = routers;
    door.reload(|config| {
        let listener = &mut config.listeners[0];
        listener.access.deny = prefixes(&["192.0.2.1/32"]);
        listener.proxies = prefixes(&["127.0.6.1/32", "127.0.6.3/32"]);
    });
    assert_eq!(first.until_gone(), b"");
    assert_eq!(second.until_gone(), b"");
    third.load(2);
}

#[test]
fn a_proxy_cannot_make_somebody_this_host() {
    let door = behind_a_proxy();
    let cases = [
        ([127, 0, 0, 1], Refusal::AccessList),
        ([0, 0, 0, 0], Refusal::Peer(Reason::Proxy)),
        ([224, 0, 0, 5], Refusal::Peer(Reason::Proxy)),
        ([255, 255, 255, 255], Refusal::Peer(Reason::Proxy)),
    ];
    for (named, refusal) in cases {
        let before = door.refused(refusal);
        let mut router = door.from(6, 1);
        router.send(&proxy_header(named));
        assert_eq!(router.until_gone(), b"");
        door.refused_by(before + 1, refusal);
    }
}
