//! The cache's side against the router's over random publications, with lines that are cut.

use std::collections::HashMap;
use std::time::Instant;

use rutter::rtr::client::{ClientConfig, ClientSession, Output};
use rutter::rtr::snapshot::HistoryLimits;
use rutter::rtr::{Version, Versions};

use super::{Model, Rng};
use crate::pair::{Conn, Frame, Pair, World, answer};

/// A payload PDU's place in the order of 8210bis §11.2, to be compared octet by octet.
fn place(frame: &Frame) -> Vec<u8> {
    let octets = &frame.0;
    let (announced, body) = match frame.kind() {
        4 | 6 => {
            let mut body = octets[12..octets.len() - 4].to_vec();
            body.extend([octets[10], octets[9]]);
            body.extend(&octets[octets.len() - 4..]);
            (octets[8] == 1, body)
        }
        9 => {
            let mut body = octets[8..28].to_vec();
            body.extend(((octets.len() - 32) as u32).to_be_bytes());
            body.extend(&octets[32..]);
            body.extend(&octets[28..32]);
            (octets[2] == 1, body)
        }
        11 => (octets[2] == 1, octets[8..12].to_vec()),
        other => panic!("{other}"),
    };
    let mut place = vec![frame.kind(), u8::from(!announced)];
    match (announced, frame.kind()) {
        (true, 4 | 6) => place.extend(body.iter().map(|octet| !octet)),
        _ => place.extend(body),
    }
    place
}

fn is_announced(frame: &Frame) -> bool {
    match frame.kind() {
        4 | 6 => frame.0[8] == 1,
        _ => frame.0[2] == 1,
    }
}

/// A client of one version, and the sets by the serials that they were published under.
struct Run {
    rng: Rng,
    version: Version,
    world: World,
    pair: Pair,
    model: Model,
    published: HashMap<u32, Model>,
    /// What the client has, as far as the answers checked say.
    held: Model,
    full: usize,
    increments: usize,
    resets: usize,
}

impl Run {
    fn new(seed: u64, version: Version) -> Self {
        let mut rng = Rng(seed);
        let mut model = Model::random(&mut rng);
        if seed.is_multiple_of(16) {
            // More than is sent in one piece.
            model
                .v4
                .extend((0..4000).map(|n| (0x0b00_0000 + n, 32, 32, 7)));
        }
        let mut world = World::empty();
        world.limits = HistoryLimits {
            age: std::time::Duration::from_secs(600),
        };
        let pair = Pair::new(&world, version);
        Self {
            rng,
            version,
            world,
            pair,
            model,
            published: HashMap::new(),
            held: Model::default(),
            full: 0,
            increments: 0,
            resets: 0,
        }
    }

    fn publish(&mut self) {
        if self.rng.one_in(20) && self.world.current.is_some() {
            let before = self.world.current.as_ref().unwrap();
            let name = crate::pair::name(self.rng.next() as u8);
            let next = before.begin_anew(name, self.model.data());
            self.world.current = Some(std::sync::Arc::new(next));
        } else {
            if !self.rng.one_in(5) {
                self.model = self.model.changed(&mut self.rng);
            }
            self.world.publish_data(self.model.data());
        }
        let serial = self.world.serial();
        let projected = self.model.projected(self.version.octet());
        let before = self.published.insert(serial, projected.clone());
        assert!(before.is_none_or(|before| before == projected));
    }

    /// Something happens, or several things at once.
    fn round(&mut self) {
        if self.rng.one_in(3) {
            self.publish();
        }
        if self.rng.one_in(4) {
            self.world.pass(self.rng.below(100));
        }
        for _ in 0..self.rng.below(40) {
            let chunk = match self.rng.below(3) {
                0 => 1,
                1 => 1 + self.rng.below(100) as usize,
                _ => usize::MAX,
            };
            let moved = self.pair.step(&self.world, chunk);
            self.check();
            if self.rng.one_in(60) {
                self.pair.cut();
                while self.pair.step(&self.world, usize::MAX) {
                    self.check();
                }
            }
            if self.pair.ended.is_some() {
                self.pair.reconnect(&self.world);
            } else if self.rng.one_in(15) {
                self.publish();
            }
            if !moved {
                break;
            }
        }
    }

    fn check(&mut self) {
        let updates = std::mem::take(&mut self.pair.updates);
        let [update] = updates.as_slice() else {
            assert!(updates.is_empty());
            return;
        };
        let serial = update.epoch.serial.into_u32();
        let expected = &self.published[&serial];
        assert_eq!(&Model::from(&update.epoch.set), expected, "serial {serial}");
        let tap = std::mem::take(&mut self.pair.tap);
        let frames = Frame::split(&tap);
        let end = frames.iter().rposition(|frame| frame.kind() == 7).unwrap();
        let begin = frames[..end]
            .iter()
            .rposition(|frame| frame.kind() == 3)
            .unwrap();
        let (_, told, payload) = answer(&frames[begin..=end]);
        assert_eq!(told, serial);
        assert!(
            payload.is_sorted_by(|a, b| place(a) < place(b)),
            "the total order"
        );
        assert!(
            frames
                .iter()
                .all(|frame| frame.version() == self.version.octet())
        );
        let come = payload.iter().filter(|frame| is_announced(frame)).count();
        let gone = payload.len() - come;
        if self.pair.asked[1] == 2 {
            self.full += 1;
            assert_eq!((come, gone), (expected.records().len(), 0));
        } else {
            self.increments += 1;
            let (news, olds) = expected.difference(&self.held);
            assert_eq!((come, gone), (news.len(), olds.len()), "minimal");
            assert_eq!(update.delta.len(), payload.len());
        }
        self.resets += frames.iter().filter(|frame| frame.kind() == 8).count();
        self.held = expected.clone();
    }

    /// Quiet at last: the client comes to have what is published.
    fn settle(&mut self) {
        self.publish();
        for _ in 0..200 {
            while self.pair.step(&self.world, usize::MAX) {
                self.check();
            }
            if self.pair.ended.is_some() {
                self.pair.reconnect(&self.world);
            }
            self.world.pass(30);
        }
        let epoch = self.pair.client.epoch().unwrap();
        let expected = self.model.projected(self.version.octet());
        assert_eq!(Model::from(&epoch.set), expected);
    }
}

#[test]
fn after_each_end_of_data_a_client_has_the_set_published() {
    for version in Version::ALL {
        let (mut full, mut increments, mut resets) = (0, 0, 0);
        for seed in 0..32 {
            let mut run = Run::new(1000 * u64::from(version.octet()) + seed, version);
            for _ in 0..150 {
                run.round();
            }
            run.settle();
            full += run.full;
            increments += run.increments;
            resets += run.resets;
        }
        assert!(full > 100 && increments > 500, "{full} {increments}");
        assert!(resets > 20, "{resets}");
    }
}

/// Whatever the segments are, and wherever the line is cut.
#[test]
fn answers_may_be_cut_at_every_octet() {
    for version in Version::ALL {
        let mut rng = Rng(11);
        let model = Model::random(&mut rng);
        let mut world = World::empty();
        world.publish_data(model.data());
        let mut conn = Conn::open(&world);
        conn.send(&world, &crate::pair::reset_query(version.octet()));
        let full = conn.take();
        world.publish_data(Model::random(&mut rng).data());
        conn.run(&world);
        let octets = [full.clone(), conn.take()].concat();
        assert!(octets.len() > full.len());
        let expected = model.projected(version.octet());
        for cut in 0..=octets.len() {
            let now = Instant::now();
            let config = ClientConfig {
                versions: Versions::new(version, version).unwrap(),
                ..ClientConfig::default()
            };
            let mut client = ClientSession::new(config, now);
            let asked = |client: &mut ClientSession| {
                loop {
                    match client.output(now) {
                        Output::Send(octets) => break Some(octets[1]),
                        Output::Event(_) => {}
                        Output::Wait => break None,
                        Output::Reconnect(_) => client.connected(now),
                    }
                }
            };
            assert_eq!(asked(&mut client), Some(2));
            client.receive(now, &octets[..cut]);
            let whole = cut >= full.len();
            assert_eq!(
                client.epoch().is_some(),
                whole,
                "nothing before End of Data"
            );
            let mut cut_off = cut;
            if cut % 2 == 0 {
                // The rest arrives later.
                client.receive(now, &octets[cut..]);
                cut_off = octets.len();
            } else {
                client.disconnected();
            }
            let next = asked(&mut client);
            match cut_off >= full.len() {
                true => {
                    assert_eq!(next, Some(1), "a Notify, or another connection");
                    assert_eq!(Model::from(&client.epoch().unwrap().set), expected);
                }
                false => assert_eq!(next, Some(2)),
            }
        }
    }
}

/// Octets that look like PDUs, some of them whole.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..1 + rng.below(6) {
        let body = rng.below(40) as u32;
        let length = match rng.below(6) {
            0 => rng.next() as u32,
            1 => rng.below(70_000) as u32,
            _ => 8 + body,
        };
        octets.extend([
            rng.below(4) as u8,
            rng.below(13) as u8,
            0,
            rng.below(3) as u8,
        ]);
        octets.extend(length.to_be_bytes());
        octets.extend((0..body).map(|_| match rng.below(3) {
            0 => rng.next() as u8,
            _ => rng.below(2) as u8,
        }));
    }
    octets
}

/// Whatever arrives, both sides come to a wait or an end, and say little.
#[test]
fn any_octets_are_survived() {
    let mut rng = Rng(12);
    let world = World::of("10.0.0.0/8 1; key 1 2; aspa 3 4");
    let (mut ended, mut waiting) = (0, 0);
    for turn in 0..20_000 {
        let octets = noise(&mut rng);
        let cut = rng.below(octets.len() as u64) as usize;
        let mut conn = Conn::open(&world);
        conn.send(&world, &octets[..cut]);
        conn.send(&world, &octets[cut..]);
        let reports = conn.frames();
        let reports = reports.iter().filter(|frame| frame.kind() == 10);
        assert!(reports.clone().all(|report| report.0.len() <= 512));
        match conn.closed {
            Some(_) => ended += 1,
            None => waiting += 1,
        }
        let version = Version::ALL[turn % 3];
        let mut client = crate::pair::client_in_answer(version, None, world.now);
        client.receive(world.now, &octets[..cut]);
        client.receive(world.now, &octets[cut..]);
        let mut sent = 0;
        for _ in 0..50 {
            match client.output(world.now) {
                Output::Send(octets) => {
                    sent += 1;
                    assert!(octets.len() <= 512);
                }
                Output::Event(_) => {}
                Output::Wait | Output::Reconnect(_) => break,
            }
        }
        assert!(sent <= 1, "a report or a query");
    }
    assert!(ended > 5000 && waiting > 100, "{ended} {waiting}");
}
