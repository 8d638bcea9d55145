//! First load, update, restart: the steps that every peer goes through.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::door::{Door, Way};
use crate::support::payloads::{Payloads, Prng, Vrp};
use crate::support::server::RtrServer;
use crate::support::{Need, not_run, report, wait_for};
use crate::table;

/// How many VRPs the first list has.
const VRPS: usize = 1500;

/// A program that holds what an RTR server has sent.
pub(crate) trait Peer: Sized {
    /// What it can show of what it holds, which is compared whole.
    const SHOWS: &'static str = "VRPs";

    /// How it follows the server.
    const HABIT: Habit = Habit::Live;

    /// How it comes back to a server that was started again.
    const RETURN: Return = match Self::HABIT {
        Habit::Live => Return::Goes,
        Habit::Fetch => Return::Begins,
    };

    /// How long it may take by its own habits to follow the server; a busy machine included.
    const PATIENCE: Duration;

    /// What it is called, with its version.
    fn name() -> String;

    /// Why it cannot run here.
    fn missing() -> Option<String>;

    /// Starts it on the server behind this door.
    fn start(door: &Door) -> Self;

    /// Whether it holds exactly these payloads, as far as it can show them; else what differs.
    fn check(&mut self, payloads: &Payloads) -> Result<(), String>;
}

/// How a client follows the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Habit {
    /// It stays, and takes an update when it is told of one.
    Live,
    /// It ends with the full set, and takes another one.
    Fetch,
}

impl Habit {
    /// As the table has it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Fetch => "fetches",
        }
    }
}

/// How a client comes back to a server that was started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Return {
    /// It goes on from the serial that it has.
    Goes,
    /// It asks for everything by itself, whatever it has.
    Begins,
}

/// A peer and its server, on the way through the three steps.
pub(crate) struct Scenario<P> {
    // Before the server: a peer that lives on would try to come back.
    pub(crate) peer: P,
    pub(crate) server: RtrServer,
    pub(crate) payloads: Payloads,
    door: Door,
    name: String,
    random: Prng,
}

impl<P: Peer> Scenario<P> {
    /// The first load. `None` when the peer is not there and need not be.
    #[track_caller]
    pub(crate) fn begin(way: Way, seed: u64) -> Option<Self> {
        if let Some(why) = P::missing() {
            let what = std::any::type_name::<P>();
            not_run(&format!("{what} over {}", way.name()), Need::Peers, &why);
            return None;
        }
        let mut random = Prng::new(seed);
        let payloads = Payloads::all_kinds(VRPS, &mut random);
        let (door, server) = Door::open(way, &payloads);
        let mut run = Self {
            peer: P::start(&door),
            server,
            payloads,
            door,
            name: P::name(),
            random,
        };
        run.converge("first load");
        Some(run)
    }

    /// Another list is renamed into place.
    #[track_caller]
    pub(crate) fn update(&mut self) {
        self.change(30, 20);
        self.server.publish(&self.payloads);
        self.converge("update");
        self.server.is_well();
        let client = (self.name.as_str(), P::SHOWS);
        table::cell(client, self.door.way, P::HABIT.word());
    }

    /// The server is killed, and started again on another list.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.server.kill();
        self.change(10, 5);
        self.server.publish(&self.payloads);
        self.server.start_again();
        self.converge("restart");
        self.server.is_well();
        self.was_not_reset();
    }

    /// Since its last start the server has let the peer go on from where it was: one connection,
    /// no Cache Reset and, unless the peer asked for everything by itself, no full answer.
    #[track_caller]
    fn was_not_reset(&self) {
        let answers = |kind| self.server.counted("rutter_rtr_answers_total", &[kind]);
        let [full, increments, resets] = ["full", "increment", "cache_reset"].map(answers);
        let connections = self.server.counted("rutter_rtr_accepted_total", &[]);
        report(&format!(
            "interop: {} over {}: after the restart {connections} connections, {increments} \
             increments, {full} full answers, {resets} resets",
            self.name,
            self.door.way.name()
        ));
        assert_eq!(resets, 0, "Cache Reset after a restart");
        if P::RETURN == Return::Goes {
            assert_eq!((connections, full), (1, 0), "connections and full answers");
            // One that comes before the source was read gets an empty one first.
            assert!((1..=2).contains(&increments), "{increments} increments");
        }
    }

    fn change(&mut self, add: usize, remove: usize) {
        let next = self.payloads.changed(add, remove, &mut self.random);
        assert_eq!(next.vrp_steps_from(&self.payloads), (add, remove));
        self.payloads = next;
    }

    #[track_caller]
    fn converge(&mut self, step: &str) {
        let begin = Instant::now();
        let who = format!("{} over {}", self.name, self.door.way.name());
        let what = format!("{who} after {step}");
        wait_for(&what, P::PATIENCE, || self.peer.check(&self.payloads));
        let seconds = begin.elapsed().as_secs_f32();
        report(&format!(
            "interop: {who}: {step} complete after {seconds:.1} s"
        ));
    }
}

/// Whether two sets are one; else how they differ.
pub(crate) fn same<T: Display + Ord>(
    wanted: &BTreeSet<T>,
    held: &BTreeSet<T>,
) -> Result<(), String> {
    if wanted == held {
        return Ok(());
    }
    let some = |left: &BTreeSet<T>, right: &BTreeSet<T>| {
        let list: Vec<String> = left.difference(right).map(T::to_string).collect();
        let shown = list.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        format!("{} ({shown})", list.len())
    };
    Err(format!(
        "{} held; missing: {}; not served: {}",
        held.len(),
        some(wanted, held),
        some(held, wanted)
    ))
}

/// The VRP of `address/len`, as it stands in a list.
pub(crate) fn vrp(prefix: &str, max_len: &str, asn: &str) -> Result<Vrp, String> {
    let parse = || {
        let (address, len) = prefix.split_once('/')?;
        Some(Vrp {
            address: address.parse().ok()?,
            len: len.parse().ok()?,
            max_len: max_len.parse().ok()?,
            asn: asn.parse().ok()?,
        })
    };
    parse().ok_or_else(|| format!("no VRP: {prefix} {max_len} {asn}"))
}

/// As [`vrp`], from a Go program: these print `::ffff:192.0.2.0/120` as `192.0.2.0/24`, with the
/// greatest length of the IPv6 prefix that it is.
pub(crate) fn go_vrp(prefix: &str, max_len: &str, asn: &str) -> Result<Vrp, String> {
    let mut vrp = vrp(prefix, max_len, asn)?;
    if let IpAddr::V4(address) = vrp.address
        && vrp.max_len > 32
    {
        vrp.address = address.to_ipv6_mapped().into();
        vrp.len += 96;
    }
    Ok(vrp)
}
