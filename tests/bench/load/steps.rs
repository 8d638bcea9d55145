//! The times of the library's own steps, from rows to what is served: what `cargo bench` prints.
//!
//! A step is a line in [`Steps::run`], in the order of the path of an update: document, rows, set,
//! delta, image. As the library grows, a step is added where its input is made.

use std::error::Error;
use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use clap::Args;
use ipnet::IpNet;
use rutter::json::{Document, Limits, ReadError, Reader};
use rutter::payload::census::{census, lost};
use rutter::payload::merge::{Contribution, agreement, merge};
use rutter::payload::validity::State;
use rutter::payload::{
    Asn, Attribute, DataSet, Delta, Index, Kinds, PayloadSet, Rows, RowsBuilder, UnixTime,
};
use rutter::rtr::Version;
use rutter::rtr::image::Image;

use crate::exceptions::{self, Shape};
use crate::json;
use crate::list::{Aspas, List, Mistake, Plan};
use crate::random::Random;
use crate::report::median;
use crate::wire::{Count, Digest, Framer};

const RUNS: usize = 5;
const LOOK_UPS: usize = 200_000;
/// What a file is read in.
const CHUNK: usize = 64 << 10;

/// A moment that lists are made at here; nothing in these steps reads a clock.
const NOW: UnixTime = UnixTime::new(1_800_000_000);

/// Time the library's steps
#[derive(Args, Clone, Debug)]
pub(crate) struct Steps {
    /// VRPs in the list
    #[arg(long, default_value_t = 800_000)]
    vrps: usize,
    /// Seed of the list
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            vrps: 800_000,
            seed: 1,
        }
    }
}

impl Steps {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let list = List::new(Plan {
            vrps: self.vrps,
            seed: self.seed,
            now: NOW,
            aspas: Aspas::Present,
        })?;
        let changed = list.changed(self.seed, 1_000, 1_000)?;
        let mut shuffled = list.clone();
        Random::new(self.seed).shuffle(&mut shuffled.vrps);

        println!("{} VRPs, medians of {RUNS} runs\n", self.vrps);
        let mut document = Vec::new();
        json::write(&list, &mut document)?;
        step(
            "document read, rows made",
            || (),
            |()| read(&document).is_ok(),
        );
        let read = read(&document)?;
        drop(document);
        let finish = RowsBuilder::finish;
        step(
            "rows from a list in file order",
            || list.to_builder(),
            finish,
        );
        step(
            "rows from a shuffled list",
            || shuffled.to_builder(),
            finish,
        );
        let rows = shuffled.to_builder().finish();
        step("set from rows", || (), |()| DataSet::new(&rows));
        step(
            "rows without what expired",
            || (),
            |()| rows.split_expired(NOW.plus(7 * 3600)),
        );
        local_exceptions(&list, &rows, self.seed)?;
        let set = DataSet::new(&rows).payload().clone();
        let next = DataSet::new(&changed.to_builder().finish())
            .payload()
            .clone();
        step(
            "delta of 1,000 + 1,000",
            || (),
            |()| Delta::between(&set, &next),
        );
        let delta = Delta::between(&set, &next);
        step("delta applied", || (), |()| delta.apply(&set).is_ok());
        step(
            "delta composed with its reverse",
            || (),
            |()| Delta::compose(&[&delta, &Delta::between(&next, &set)]).len(),
        );
        step(
            "image, version 1",
            || (),
            |()| Image::full(Version::V1, &set),
        );
        step(
            "image, version 2",
            || (),
            |()| Image::full(Version::V2, &set),
        );
        step(
            "image of the delta",
            || (),
            |()| Image::increment(Version::V1, &delta),
        );
        several(&rows, &list, self.seed)?;
        look_ups(&set, self.seed);

        // Fast and wrong would not count.
        let served = Image::full(Version::V1, DataSet::new(&read.rows).payload());
        if counted(&served) != list.count() {
            return Err("the image is not that of the list".into());
        }
        Ok(())
    }
}

/// Thousands of filters and of assertions, as people have them and at their worst.
fn local_exceptions(list: &List, rows: &Rows, seed: u64) -> Result<(), Box<dyn Error>> {
    let document = exceptions::document(list, Shape::Mixed, seed);
    step(
        "exceptions, 5,000 + 5,000 read",
        || (),
        |()| exceptions::read(&document).is_ok(),
    );
    for (name, shape) in [
        ("exceptions, 5,000 + 5,000 applied", Shape::Mixed),
        ("exceptions, 5,000 of one prefix applied", Shape::Crowded),
        ("exceptions, 5,000 nested applied", Shape::Nested),
    ] {
        let exceptions = exceptions::read(&exceptions::document(list, shape, seed))?;
        step(name, || (), |()| exceptions.apply(rows, Attribute::LOCAL));
        let effect = exceptions.apply(rows, Attribute::LOCAL).effect;
        if effect.removed() == 0 {
            return Err("no exception matched".into());
        }
    }
    Ok(())
}

fn read(document: &[u8]) -> Result<Document, ReadError> {
    let mut reader = Reader::new(Limits::default());
    for chunk in document.chunks(CHUNK) {
        reader.feed(chunk)?;
    }
    reader.finish()
}

fn counted(image: &Image) -> Count {
    let mut framer = Framer::new(Digest::Yes);
    for segment in image.segments(Kinds::ALL) {
        framer.feed(&mut segment.as_ref());
    }
    framer.take()
}

/// Times one step; what it needs and what it returns cost nothing here.
fn step<I, O>(name: &str, input: impl Fn() -> I, run: impl Fn(I) -> O) {
    let mut times = [Duration::ZERO; RUNS];
    for time in &mut times {
        let input = input();
        let started = Instant::now();
        let output = black_box(run(input));
        *time = started.elapsed();
        drop(output);
    }
    let time = median(&mut times).as_secs_f64() * 1e3;
    println!("{name:<40} {time:>10.3} ms");
}

/// What several sources that differ a little cost, and the guard.
fn several(rows: &Rows, list: &List, seed: u64) -> Result<(), Mistake> {
    let [second, third] = [seed + 1, seed + 2].map(|seed| list.changed(seed, 1_000, 1_000));
    let (second, third) = (second?.to_builder().finish(), third?.to_builder().finish());
    let sources = [rows, &second, &third];
    let sources: Vec<Contribution<'_>> = (0..)
        .zip(sources)
        .map(|(place, rows)| Contribution { place, rows })
        .collect();
    step("union of three sources", || (), |()| merge(&sources, 1));
    step("quorum of two of three", || (), |()| merge(&sources, 2));
    step("agreement of the three", || (), |()| agreement(&sources));
    step("census of 1,000 + 1,000", || (), |()| census(rows, &second));
    step("what is lost, listed", || (), |()| lost(rows, &second, 20));
    Ok(())
}

/// Look-ups of routes that are covered, and of random ones, of which most are not.
fn look_ups(set: &PayloadSet, seed: u64) {
    let vrps: Vec<_> = set.vrps().collect();
    let mut random = Random::new(seed);
    let limit = u64::try_from(vrps.len()).unwrap_or(u64::MAX);
    let covered: Vec<(IpNet, Asn)> = (0..LOOK_UPS)
        .filter_map(|_| {
            let vrp = vrps.get(usize::try_from(random.below(limit)).ok()?)?;
            let longer = vrp.prefix().prefix_len().saturating_add(1);
            let route = IpNet::new(vrp.prefix().addr(), longer).unwrap_or_else(|_| vrp.prefix());
            Some((route, vrp.asn()))
        })
        .collect();
    let anywhere: Vec<(IpNet, Asn)> = covered
        .iter()
        .filter_map(|(route, asn)| {
            let (address, len) = match route {
                IpNet::V4(_) => (Ipv4Addr::from_bits(random.below_u32(u32::MAX)).into(), 24),
                IpNet::V6(_) => (Ipv6Addr::from_bits(random.next_wide() >> 2).into(), 48),
            };
            Some((IpNet::new(address, len).ok()?, *asn))
        })
        .collect();
    asked("validity of a route, no index", &covered, |route, asn| {
        set.validity(route, asn).state
    });
    step("index of a set", || (), |()| Index::new(set));
    let index = Index::new(set);
    asked("validity of a covered route", &covered, |route, asn| {
        index.validity(route, asn).state
    });
    asked("state of a covered route", &covered, |route, asn| {
        index.state(route, asn)
    });
    asked("state of any route", &anywhere, |route, asn| {
        index.state(route, asn)
    });
}

/// Times look-ups in a random order.
fn asked(name: &str, routes: &[(IpNet, Asn)], ask: impl Fn(IpNet, Option<Asn>) -> State) {
    let started = Instant::now();
    let states = routes.iter().map(|(route, asn)| ask(*route, Some(*asn)));
    let covered = states.filter(|state| *state != State::NotFound).count();
    let seconds = started.elapsed().as_secs_f64();
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let (each, share) = (
        seconds / count(routes.len()),
        count(covered) / count(routes.len()),
    );
    let (micros, rate) = (each * 1e6, 1.0 / each);
    println!(
        "{name:<40} {micros:>10.3} us, {rate:.0} a second, {:.0} % covered",
        share * 100.0
    );
}
