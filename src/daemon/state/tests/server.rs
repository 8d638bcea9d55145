//! A server as far as the state is concerned, which keeps account of all that routers ever saw.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Damage, KeepError, State, Stored};
use super::Random;
use super::sim::Sim;
use crate::payload::{
    Asn, Aspa, Attribute, DataSet, Delta, Kinds, PayloadSet, RowsBuilder, UnixTime, Vrp,
};
use crate::rtr::image::Image;
use crate::rtr::snapshot::{Answer, HistoryLimits, Since, Step, Trigger};
use crate::rtr::{HistoryName, Serial, Snapshot, Version};

pub(super) const ROOT: &str = "/state";
pub(super) const NOW: UnixTime = UnixTime::new(10_000);

/// What routers were told, over all starts.
#[derive(Clone, Default)]
pub(super) struct Account {
    issued: HashMap<(HistoryName, Serial), PayloadSet>,
    /// Every set that was ever to be published.
    sets: Vec<PayloadSet>,
    histories: u8,
}

impl Account {
    fn name(&mut self) -> HistoryName {
        self.histories += 1;
        HistoryName::new([self.histories; 16])
    }

    fn issue(&mut self, snapshot: &Snapshot) {
        let key = (snapshot.name(), snapshot.serial());
        let set = self
            .issued
            .entry(key)
            .or_insert_with(|| snapshot.payload().clone());
        assert_eq!(set, snapshot.payload(), "serial {} has two contents", key.1);
        self.answers(snapshot);
    }

    /// Each serial that is kept and was issued gets exactly what changed since.
    fn answers(&self, snapshot: &Snapshot) {
        for ((name, serial), set) in &self.issued {
            if *name != snapshot.name() {
                continue;
            }
            let Some(Since::Step(place)) = snapshot.since(*serial) else {
                continue;
            };
            let (version, since) = (Version::V2, Some(place));
            let told = snapshot.image(Answer { version, since }).unwrap();
            let exact = Image::increment(version, &Delta::between(set, snapshot.payload()));
            let octets = |image: &Image| -> Vec<u8> {
                image.segments(Kinds::ALL).flatten().copied().collect()
            };
            assert_eq!(octets(told), octets(&exact), "since {serial}");
        }
    }
}

/// What the server knows while it runs.
pub(super) struct Server {
    pub(super) state: State<Sim>,
    pub(super) account: Account,
    pub(super) serving: Option<Arc<Snapshot>>,
    pub(super) damage: Vec<Damage>,
    /// What the next start has to find, if nothing fails until then.
    pub(super) certain: Option<(HistoryName, Serial)>,
    /// What it may find instead, because it was being written.
    pub(super) possible: Option<(HistoryName, Serial)>,
    toggles: [bool; 12],
}

impl Server {
    pub(super) fn start(disk: Sim, mut account: Account) -> Self {
        let (state, loaded) = State::with_disk(disk, Path::new(ROOT), NOW).unwrap();
        let serving = loaded.history.map(|history| Arc::new(history.snapshot));
        if let Some(snapshot) = &serving {
            assert!(account.sets.contains(snapshot.payload()), "no set of ours");
            account.issue(snapshot);
        }
        let certain = serving.as_ref().map(|s| (s.name(), s.serial()));
        Self {
            state,
            account,
            serving,
            damage: loaded.damage,
            certain,
            possible: None,
            toggles: [false; 12],
        }
    }

    /// Publishes the next set; `false` when the power has gone.
    pub(super) fn publish(&mut self, random: &mut Random, disk: &Sim) -> bool {
        let data = self.data(random);
        self.account.sets.push(data.payload().clone());
        let next = match &self.serving {
            None => Snapshot::first(self.account.name(), data),
            Some(serving) => {
                match serving.next(data, Trigger::Slurm, NOW, HistoryLimits::default()) {
                    Step::Serial(next) | Step::Revision(next) => next,
                    Step::Unchanged => return true,
                }
            }
        };
        self.possible = Some((next.name(), next.serial()));
        let kept = self.state.publish(&next, self.serving.as_deref(), NOW);
        if disk.is_dead() {
            return false;
        }
        let next = match kept {
            Ok(Stored::Durable) => {
                self.certain = self.possible;
                next
            }
            Ok(Stored::Behind) => next,
            Err(KeepError::Unstored(_)) => {
                self.certain = None;
                next
            }
            Err(KeepError::Late(error)) => panic!("{error}"),
            Err(KeepError::Lost(_)) => {
                self.certain = None;
                let other = next.begin_anew(self.account.name(), next.data().clone());
                let kept = self.state.publish(&other, None, NOW);
                assert!(
                    !matches!(kept, Err(KeepError::Lost(_))),
                    "a fresh history is lost"
                );
                other
            }
        };
        self.account.issue(&next);
        self.serving = Some(Arc::new(next));
        !disk.is_dead()
    }

    /// Writes behind; `false` when the power has gone.
    pub(super) fn settle(&mut self, disk: &Sim) -> bool {
        let Some(serving) = &self.serving else {
            return true;
        };
        self.possible = Some((serving.name(), serving.serial()));
        let kept = self.state.settle(serving, NOW);
        self.settled(&kept, disk)
    }

    /// Writes behind while updates come; `false` when the power has gone.
    pub(super) fn settle_beside(&mut self, random: &mut Random, disk: &Sim) -> bool {
        let Some(serving) = self.serving.clone() else {
            return true;
        };
        self.possible = Some((serving.name(), serving.serial()));
        let settling = match self.state.begin_settle(&serving, NOW) {
            Ok(Some(settling)) => settling,
            kept => return self.settled(&kept.map(drop), disk),
        };
        for _ in 0..random.below(3) {
            if !self.publish(random, disk) {
                return false;
            }
        }
        let settled = settling.write(&serving);
        for _ in 0..random.below(3) {
            if disk.is_dead() || !self.publish(random, disk) {
                return false;
            }
        }
        let latest = self.serving.clone().unwrap();
        self.possible = Some((latest.name(), latest.serial()));
        let kept = self.state.end_settle(settled, &latest, NOW);
        self.settled(&kept, disk)
    }

    fn settled(&mut self, kept: &Result<(), KeepError>, disk: &Sim) -> bool {
        if disk.is_dead() {
            return false;
        }
        match kept {
            Ok(()) => self.certain = self.state.manifest().and(self.possible),
            Err(KeepError::Late(_)) => {}
            Err(KeepError::Unstored(_) | KeepError::Lost(_)) => self.certain = None,
        }
        true
    }

    /// The files of the feed that have to be there.
    pub(super) fn named(&self) -> Vec<PathBuf> {
        let files = self.state.manifest().unwrap().files();
        let folder = self.state.folder();
        let mut named: Vec<_> = files
            .map(|(name, _)| folder.join(name.to_string()))
            .collect();
        named.push(folder.join("manifest.json"));
        named.sort();
        named
    }

    /// Many payloads that stay, and some that come and go, so that not every step makes the set
    /// be written again.
    fn data(&mut self, random: &mut Random) -> DataSet {
        let place = usize::try_from(random.below(12)).unwrap();
        // Now and then only the attributes change.
        if random.below(4) > 0 {
            self.toggles[place] ^= true;
        }
        let mut rows = RowsBuilder::new();
        let anchor = rows.trust_anchor("anchor");
        let expires = UnixTime::new(50_000 + random.below(3));
        let attribute = Attribute::new(Some(expires), anchor);
        let mut vrp = |number: u32| {
            let prefix = format!("10.{}.{}.0/24", number / 256, number % 256).parse();
            let vrp = Vrp::new(prefix.unwrap(), 24, Asn::new(number)).unwrap();
            rows.push_vrp(vrp, attribute);
        };
        (1_000..1_040).for_each(&mut vrp);
        for (number, on) in (0..).zip(&self.toggles[..10]) {
            if *on {
                vrp(number);
            }
        }
        let provider = 100 + u32::from(self.toggles[10]);
        let aspa = Aspa::new(Asn::new(5), vec![Asn::new(provider)]).unwrap();
        rows.push_aspa(aspa, attribute);
        if self.toggles[11] {
            let aspa = Aspa::new(Asn::new(6), vec![Asn::new(7)]).unwrap();
            rows.push_aspa(aspa, attribute);
        }
        DataSet::new(&rows.finish())
    }
}
