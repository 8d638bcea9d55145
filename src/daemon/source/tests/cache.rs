//! A cache that says what the test wants, octet by octet.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::super::{Content, Occasion, Source, SourceError, unix_now};
use super::{PATIENCE, Running, list, source, start};
use crate::payload::{Asn, Vrp};
use crate::rtr::pdu::{Action, ErrorReport};
use crate::rtr::view::SessionId;
use crate::rtr::{ErrorCode, Pdu, Serial, Timing, Version};

const SESSION: SessionId = SessionId::new(7);

struct Cache {
    listener: TcpListener,
}

/// The cache's end of a connection.
struct Connection {
    socket: TcpStream,
    version: Version,
}

impl Cache {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    fn source(&self) -> Source {
        let mut source = source(&format!("tcp://{}", self.listener.local_addr().unwrap()));
        source.timeout = PATIENCE;
        source
    }

    async fn accept(&self) -> Connection {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        Connection {
            socket: accepted.unwrap().unwrap().0,
            version: Version::V2,
        }
    }
}

impl Connection {
    /// The next PDU of the router, which is of the version spoken.
    async fn hear(&mut self) -> Pdu {
        let mut octets = vec![0; 8];
        let read = self.socket.read_exact(&mut octets);
        timeout(PATIENCE, read).await.unwrap().unwrap();
        let length: usize = u32::from_be_bytes([octets[4], octets[5], octets[6], octets[7]])
            .try_into()
            .unwrap();
        octets.resize(length, 0);
        self.socket.read_exact(&mut octets[8..]).await.unwrap();
        assert_eq!(octets[0], self.version.octet());
        Pdu::decode(self.version, &octets).unwrap()
    }

    async fn hear_serial_query(&mut self, number: u32) {
        let (session, serial) = (SESSION, Serial::new(number));
        assert_eq!(self.hear().await, Pdu::SerialQuery { session, serial });
    }

    async fn say(&mut self, pdu: Pdu) {
        let octets = pdu.octets(self.version);
        self.socket.write_all(&octets).await.unwrap();
    }

    async fn answer(&mut self, number: u32, changes: &[(Action, u32)]) {
        self.say(Pdu::CacheResponse { session: SESSION }).await;
        for (action, asn) in changes {
            let (action, vrp) = (*action, vrp(*asn));
            self.say(Pdu::Prefix { action, vrp }).await;
        }
        let (session, serial) = (SESSION, Serial::new(number));
        let seconds = Duration::from_secs;
        let timing = Timing::new(seconds(300), seconds(100), seconds(600)).unwrap();
        let timing = (self.version > Version::V0).then_some(timing);
        let end = Pdu::EndOfData {
            session,
            serial,
            timing,
        };
        self.say(end).await;
    }

    async fn notify(&mut self, number: u32) {
        let (session, serial) = (SESSION, Serial::new(number));
        self.say(Pdu::SerialNotify { session, serial }).await;
    }

    async fn report(&mut self, code: ErrorCode) {
        let report = ErrorReport::new(code, &[], "");
        self.say(Pdu::ErrorReport(report)).await;
    }
}

fn vrp(asn: u32) -> Vrp {
    Vrp::new("192.0.2.0/24".parse().unwrap(), 24, Asn::new(asn)).unwrap()
}

fn origins(result: Result<Content, SourceError>) -> Vec<u32> {
    let rows = list(result).rows;
    let mut origins: Vec<u32> = rows
        .v4()
        .records()
        .iter()
        .map(|vrp| vrp.asn().into_u32())
        .collect();
    origins.sort_unstable();
    origins
}

use Action::{Announce, Withdraw};

/// A source that has AS1 and AS2, of serial 5.
async fn synced() -> (Cache, Connection, Running) {
    let cache = Cache::start().await;
    let mut running = start(cache.source());
    let mut connection = cache.accept().await;
    assert_eq!(connection.hear().await, Pdu::ResetQuery);
    connection.answer(5, &[(Announce, 2), (Announce, 1)]).await;
    assert_eq!(origins(running.next().await), [1, 2]);
    (cache, connection, running)
}

#[tokio::test]
async fn a_cache_is_followed() {
    let before = unix_now();
    let cache = Cache::start().await;
    let mut running = start(cache.source());
    let mut connection = cache.accept().await;
    assert_eq!(connection.hear().await, Pdu::ResetQuery);
    connection.answer(5, &[(Announce, 1)]).await;
    let first = list(running.next().await);
    assert_eq!(&*first.dialect, "RTR version 2");
    assert_eq!((first.listed, first.serial), (1, Some(5)));
    assert!(first.stated.is_none() && first.arrived >= before);
    let (record, attribute) = first.rows.v4().iter().next().unwrap();
    assert_eq!(Vrp::V4(*record), vrp(1));
    assert_eq!(*attribute, crate::payload::Attribute::default());

    connection.notify(6).await;
    connection.hear_serial_query(5).await;
    connection.answer(6, &[(Announce, 2), (Withdraw, 1)]).await;
    assert_eq!(origins(running.next().await), [2]);

    // An answer without changes is an arrival, whatever the serial.
    connection.notify(7).await;
    connection.hear_serial_query(6).await;
    connection.answer(7, &[]).await;
    match running.next().await.unwrap() {
        Content::Unchanged { arrived } => assert!(arrived.unwrap() >= before),
        Content::List(list) | Content::Mirror(list, _) => unreachable!("{list:?}"),
    }
    running.stop().await;
}

#[tokio::test]
async fn a_cache_is_asked_when_it_is_time_and_when_somebody_asks() {
    let cache = Cache::start().await;
    let mut source = cache.source();
    source.refresh = Duration::from_millis(50);
    let mut running = start(source);
    let mut connection = cache.accept().await;
    connection.hear().await;
    connection.answer(5, &[]).await;
    // An empty list is a list.
    assert!(origins(running.next().await).is_empty());
    connection.hear_serial_query(5).await;
    connection.answer(5, &[]).await;
    assert!(matches!(
        running.next().await,
        Ok(Content::Unchanged { .. })
    ));

    let (_cache, mut connection, mut running) = synced().await;
    running.requests.send_replace(3);
    connection.hear_serial_query(5).await;
    connection.answer(6, &[(Announce, 3)]).await;
    let update = running.updates.recv().await.unwrap();
    assert_eq!(update.occasion, Occasion::Asked(3));
    assert_eq!(origins(update.result), [1, 2, 3]);
}

#[tokio::test]
async fn what_a_cache_no_longer_knows_is_asked_for_again() {
    let (_cache, mut connection, mut running) = synced().await;
    connection.notify(9).await;
    connection.hear_serial_query(5).await;
    connection.say(Pdu::CacheReset).await;
    assert_eq!(connection.hear().await, Pdu::ResetQuery);
    connection.answer(9, &[(Announce, 4)]).await;
    assert_eq!(origins(running.next().await), [4]);
}

#[tokio::test]
async fn a_lost_connection_takes_nothing_back() {
    let (cache, connection, mut running) = synced().await;
    drop(connection);
    assert_eq!(running.error().await.kind(), "cut_short");
    running.requests.send_replace(1);
    let mut connection = cache.accept().await;
    connection.hear_serial_query(5).await;
    // It breaks in the middle, and what has come of it does not count.
    connection
        .say(Pdu::CacheResponse { session: SESSION })
        .await;
    let (action, vrp) = (Announce, vrp(9));
    connection.say(Pdu::Prefix { action, vrp }).await;
    drop(connection);
    assert_eq!(running.error().await.kind(), "cut_short");
    running.requests.send_replace(2);
    let mut connection = cache.accept().await;
    connection.hear_serial_query(5).await;
    connection.answer(5, &[]).await;
    assert!(matches!(
        running.next().await,
        Ok(Content::Unchanged { arrived: Some(_) })
    ));
}

#[tokio::test]
async fn a_cache_without_data_is_asked_again() {
    let cache = Cache::start().await;
    let mut running = start(cache.source());
    let mut connection = cache.accept().await;
    connection.hear().await;
    connection.report(ErrorCode::NoDataAvailable).await;
    assert_eq!(running.error().await.kind(), "no_data");
    running.requests.send_replace(1);
    assert_eq!(connection.hear().await, Pdu::ResetQuery);
    connection.answer(1, &[(Announce, 1)]).await;
    assert_eq!(origins(running.next().await), [1]);
}

#[tokio::test]
async fn an_older_cache_is_spoken_to_in_its_version() {
    let cache = Cache::start().await;
    let mut running = start(cache.source());
    let mut connection = cache.accept().await;
    connection.hear().await;
    connection.version = Version::V1;
    connection
        .report(ErrorCode::UnsupportedProtocolVersion)
        .await;
    assert_eq!(connection.hear().await, Pdu::ResetQuery);
    connection.answer(1, &[(Announce, 1)]).await;
    let first = list(running.next().await);
    assert_eq!(&*first.dialect, "RTR version 1");
}

#[tokio::test]
async fn a_cache_that_only_hangs_up_is_tried_with_each_version_and_then_anew() {
    let cache = Cache::start().await;
    let mut running = start(cache.source());
    for version in [Version::V2, Version::V1, Version::V0] {
        let mut connection = cache.accept().await;
        connection.version = version;
        assert_eq!(connection.hear().await, Pdu::ResetQuery);
    }
    assert_eq!(running.error().await.kind(), "cut_short");
    running.requests.send_replace(1);
    // It was only starting.
    let mut connection = cache.accept().await;
    assert_eq!(connection.hear().await, Pdu::ResetQuery);
    connection.answer(1, &[(Announce, 1)]).await;
    assert_eq!(origins(running.next().await), [1]);
}

#[tokio::test]
async fn a_cache_that_breaks_the_protocol_can_read_why() {
    let (_cache, mut connection, mut running) = synced().await;
    connection.notify(6).await;
    connection.hear_serial_query(5).await;
    connection.answer(6, &[(Withdraw, 9)]).await;
    match connection.hear().await {
        Pdu::ErrorReport(report) => {
            assert_eq!(report.code(), Some(ErrorCode::WithdrawalOfUnknownRecord));
        }
        other => unreachable!("{other:?}"),
    }
    drop(connection);
    assert_eq!(running.error().await.kind(), "protocol");
}

#[tokio::test]
async fn a_cache_that_says_nothing_or_not_enough_runs_out_of_time() {
    let cache = Cache::start().await;
    let mut source = cache.source();
    source.timeout = Duration::from_millis(100);
    let mut running = start(source);
    let mut connection = cache.accept().await;
    connection.hear().await;
    assert_eq!(running.error().await.kind(), "timeout");

    // Each octet in time, and the whole not.
    running.requests.send_replace(1);
    let mut connection = cache.accept().await;
    connection.hear().await;
    connection
        .say(Pdu::CacheResponse { session: SESSION })
        .await;
    let endless = async {
        for asn in 1.. {
            let (action, vrp) = (Announce, vrp(asn));
            connection.say(Pdu::Prefix { action, vrp }).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = endless => {}
        error = running.error() => assert_eq!(error.kind(), "timeout"),
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let cache = Cache::start().await;
    let mut source = cache.source();
    source.max_octets = 100;
    let mut running = start(source);
    let mut connection = cache.accept().await;
    connection.hear().await;
    let many: Vec<(Action, u32)> = (1..=6).map(|asn| (Announce, asn)).collect();
    connection.answer(1, &many).await;
    drop(connection);
    assert_eq!(running.error().await.kind(), "too_large");
}

#[tokio::test]
async fn what_a_cache_gave_expires_once_when_it_stays_away() {
    let (cache, connection, mut running) = synced().await;
    tokio::time::pause();
    let began = Instant::now();
    drop(connection);
    drop(cache);
    let mut kinds = Vec::new();
    while began.elapsed() < Duration::from_secs(2_000) {
        let error = running.updates.recv().await.unwrap().result.unwrap_err();
        if let SourceError::Expired { expire, .. } = error {
            assert_eq!(expire, Duration::from_secs(600));
            let age = began.elapsed().as_secs();
            assert!((599..=601).contains(&age), "{age}");
        }
        kinds.push(error.kind());
    }
    assert_eq!(kinds.iter().filter(|kind| **kind == "expired").count(), 1);
    assert_eq!(kinds[0], "cut_short");
    // 30, 60 and then each 100 s, which is the cache's retry interval; later each minute.
    let tries = kinds.iter().take_while(|kind| **kind != "expired");
    assert!((7..=9).contains(&tries.count()), "{kinds:?}");
    assert!(
        kinds[1..]
            .iter()
            .all(|kind| ["expired", "unreachable"].contains(kind))
    );
}
