//! The client of the `rpki` crate: what it is told, and whether it is what is served.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rpki::rtr::client::{Client, PayloadError, PayloadTarget};
use rpki::rtr::payload::{Action, Payload, Timing};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::door::{Door, Way};
use crate::scenario::{Habit, same};
use crate::support::payloads::{Key, Payloads, Prng};
use crate::support::report;
use crate::table::cell;

/// How long one step may take, the start of a program in between included.
const PATIENCE: Duration = Duration::from_secs(30);

/// First load and update in version 2, through octets that `connect` brings; the second thing that
/// it brings lives as long.
pub(crate) async fn load_and_update<S, G>(
    name: &str,
    way: Way,
    seed: u64,
    connect: impl AsyncFnOnce(&Door) -> (S, G),
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut random = Prng::new(seed);
    let first = Payloads::all_kinds(1500, &mut random);
    let (door, mut server) = Door::open(way, &first);
    let begin = Instant::now();
    let (socket, _guard) = timeout(PATIENCE, connect(&door)).await.unwrap();
    let mut client = Client::with_initial_version(2, socket, Table::default(), None);
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    client.target().check(&first, 2);
    let loaded = begin.elapsed().as_secs_f32();

    let second = first.changed(30, 20, &mut random);
    let begin = Instant::now();
    server.publish(&second);
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    client.target().check(&second, 2);
    assert_eq!(client.target().last, (35, 22), "no more than what changed");
    let updated = begin.elapsed().as_secs_f32();

    server.is_well();
    let who = format!("{name} over {}", way.name());
    for (step, seconds) in [("first load", loaded), ("update", updated)] {
        report(&format!(
            "interop: {who}: {step} complete after {seconds:.1} s"
        ));
    }
    cell((name, "all"), way, Habit::Live.word());
}

/// What the client holds, as texts, and how it got there.
#[derive(Default)]
pub(crate) struct Table {
    held: BTreeSet<String>,
    pub(crate) resets: u32,
    /// Records of the last update: announced, withdrawn.
    pub(crate) last: (usize, usize),
    /// Whether `start` was told of a full answer.
    resetting: bool,
    /// What no server may send.
    faults: Vec<String>,
}

impl PayloadTarget for Table {
    type Update = Vec<(Action, Payload)>;

    fn start(&mut self, reset: bool) -> Self::Update {
        self.resetting = reset;
        Vec::new()
    }

    fn apply(&mut self, update: Self::Update, timing: Timing) -> Result<(), PayloadError> {
        if self.resetting {
            self.held.clear();
            self.resets += 1;
        }
        self.last = (0, 0);
        for (action, payload) in update {
            let text = text(&payload);
            if action.is_announce() {
                self.last.0 += 1;
                // An ASPA replaces the one of its customer (8210bis 5.12).
                if let Payload::Aspa(aspa) = &payload {
                    self.remove_aspa(aspa.customer.into_u32());
                }
                if !self.held.insert(text.clone()) {
                    self.faults.push(format!("announced twice: {text}"));
                }
            } else {
                self.last.1 += 1;
                let gone = match &payload {
                    Payload::Aspa(aspa) => self.remove_aspa(aspa.customer.into_u32()),
                    _ => self.held.remove(&text),
                };
                if !gone {
                    self.faults.push(format!("withdrawn but unknown: {text}"));
                }
            }
        }
        // Version 0 tells no timers.
        if timing.refresh != 60 && timing.refresh != Timing::default().refresh {
            self.faults.push(format!("{timing:?}"));
        }
        Ok(())
    }
}

impl Table {
    /// Whether it holds all that a client of this version is to hold, and was told nothing wrong.
    #[track_caller]
    pub(crate) fn check(&self, payloads: &Payloads, version: u8) {
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
        same(&wanted(payloads, version), &self.held).unwrap();
    }

    fn remove_aspa(&mut self, customer: u32) -> bool {
        let begin = format!("aspa AS{customer} by");
        let before = self.held.len();
        self.held.retain(|text| !text.starts_with(&begin));
        self.held.len() < before
    }
}

/// A payload as a text that can be compared.
fn text(payload: &Payload) -> String {
    match payload {
        Payload::Origin(origin) => {
            let prefix = origin.prefix;
            let (address, len) = (prefix.addr(), prefix.prefix_len());
            let (max_len, asn) = (prefix.resolved_max_len(), origin.asn.into_u32());
            format!("{address}/{len}-{max_len} AS{asn}")
        }
        Payload::RouterKey(key) => key_text(&Key {
            ski: key.key_identifier.into(),
            asn: key.asn.into_u32(),
            spki: AsRef::<[u8]>::as_ref(&key.key_info).to_vec(),
        }),
        Payload::Aspa(aspa) => {
            let providers = aspa.providers.iter().map(|asn| asn.into_u32()).collect();
            aspa_text(aspa.customer.into_u32(), &providers)
        }
    }
}

fn key_text(key: &Key) -> String {
    format!(
        "key {:02x?} AS{} {}",
        key.ski,
        key.asn,
        STANDARD.encode(&key.spki)
    )
}

fn aspa_text(customer: u32, providers: &BTreeSet<u32>) -> String {
    format!("aspa AS{customer} by {providers:?}")
}

/// What a client of this version is to hold.
fn wanted(payloads: &Payloads, version: u8) -> BTreeSet<String> {
    let mut wanted: BTreeSet<_> = payloads.vrps.iter().map(ToString::to_string).collect();
    if version >= 1 {
        wanted.extend(payloads.keys.iter().map(key_text));
    }
    if version >= 2 {
        let aspas = payloads.aspas.iter();
        wanted.extend(aspas.map(|aspa| aspa_text(aspa.customer, &aspa.providers)));
    }
    wanted
}
