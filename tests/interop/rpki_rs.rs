//! The RTR client of the `rpki` crate (RTRTR, Routinator), in all versions and with all kinds.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rpki::rtr::client::{Client, PayloadError, PayloadTarget};
use rpki::rtr::payload::{Action, Payload, Timing};
use rpki::rtr::state::State;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::scenario::same;
use crate::support::payloads::{Key, Payloads, Prng};
use crate::support::report;
use crate::support::server::RtrServer;

/// How long one step of the client may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the client holds, as texts, and how it got there.
#[derive(Default)]
struct Table {
    held: BTreeSet<String>,
    updates: u32,
    resets: u32,
    /// Records of the last update: announced, withdrawn.
    last: (usize, usize),
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
        self.updates += 1;
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

async fn connect(
    version: u8,
    port: u16,
    table: Table,
    state: Option<State>,
) -> Client<TcpStream, Table> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    Client::with_initial_version(version, socket, table, state)
}

#[track_caller]
fn check(table: &Table, payloads: &Payloads, version: u8) {
    assert!(table.faults.is_empty(), "{:#?}", table.faults);
    same(&wanted(payloads, version), &table.held).unwrap();
}

/// First load, update and restart, over one client that keeps its state.
async fn follows(version: u8) {
    let mut random = Prng::new(100 + u64::from(version));
    let first = Payloads::all_kinds(1500, &mut random);
    let mut server = RtrServer::start(&first);

    let mut client = connect(version, server.port(), Table::default(), None).await;
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    check(client.target(), &first, version);

    // A Notify wakes it, and the answer is the difference and nothing else: VRPs +30 −20, each
    // other kind +2 −1, and one ASPA announced anew.
    let second = first.changed(30, 20, &mut random);
    server.publish(&second);
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    check(client.target(), &second, version);
    assert_eq!(client.target().resets, 1, "an update is an increment");
    let steps = [(30, 20), (32, 21), (35, 22)][usize::from(version)];
    assert_eq!(client.target().last, steps, "no more than what changed");

    // The session is lost with the process: Cache Reset, which the client answers by itself. An
    // error report would end the step.
    server.kill();
    let state = client.state();
    let third = second.changed(10, 5, &mut random);
    server.publish(&third);
    server.start_again();
    let mut client = connect(version, server.port(), client.into_target(), state).await;
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    check(client.target(), &third, version);
    let how = if client.target().resets == 1 {
        "an increment"
    } else {
        "a full answer"
    };
    report(&format!(
        "interop: rpki-rs version {version}: {how} after the restart"
    ));
}

#[tokio::test]
async fn rpki_rs_version_0_follows_load_update_and_restart() {
    follows(0).await;
}

#[tokio::test]
async fn rpki_rs_version_1_follows_load_update_and_restart() {
    follows(1).await;
}

#[tokio::test]
async fn rpki_rs_version_2_follows_load_update_and_restart() {
    follows(2).await;
}
