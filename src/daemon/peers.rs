//! What is remembered of addresses beyond a connection.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that had trouble lately, a bounded number of them, an hour each.
///
/// BIRD comes back at once and without end after most Error Reports, 10,973 times in 4 s as
/// measured, so reports to an address that gets many of them are sent later and later.
#[derive(Debug, Default)]
pub struct Peers {
    records: Mutex<HashMap<IpAddr, Record>>,
}

#[derive(Debug)]
struct Record {
    last: Instant,
    reports: u32,
    distrusted: bool,
}

impl Peers {
    /// What the table may hold. Beyond it the oldest record is forgotten.
    const CAPACITY: usize = 4_096;

    /// How long a record counts.
    const MEMORY: Duration = Duration::from_secs(3_600);

    /// How long an address must be quiet until its reports are prompt again.
    const CALM: Duration = Duration::from_secs(60);

    /// How long the next Error Report to this address is to be held back: nothing for the first,
    /// then half a second doubling to 16 s while they keep coming.
    pub fn report_delay(&self, address: IpAddr, now: Instant) -> Duration {
        let mut records = self.records();
        let record = entry(&mut records, address, now);
        if now.duration_since(record.last) >= Self::CALM {
            record.reports = 0;
        }
        let reports = record.reports;
        record.reports = reports.saturating_add(1);
        record.last = now;
        match reports {
            0 => Duration::ZERO,
            more => Duration::from_millis(500 << (more - 1).min(5)),
        }
    }

    /// Notes that what a router at this address has is in doubt: it sent error 6 or 7.
    pub fn distrust(&self, address: IpAddr, now: Instant) {
        let mut records = self.records();
        let record = entry(&mut records, address, now);
        record.distrusted = true;
        record.last = now;
    }

    /// Whether what a router at this address has is in doubt. Says so once.
    pub fn take_distrust(&self, address: IpAddr, now: Instant) -> bool {
        let mut records = self.records();
        let Some(record) = records.get_mut(&host(address)) else {
            return false;
        };
        let fresh = now.duration_since(record.last) < Self::MEMORY;
        std::mem::take(&mut record.distrusted) && fresh
    }

    fn records(&self) -> MutexGuard<'_, HashMap<IpAddr, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered together: a host of IPv6 has all the addresses of its 64 bits.
fn host(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
    }
}

fn entry(records: &mut HashMap<IpAddr, Record>, address: IpAddr, now: Instant) -> &mut Record {
    let address = host(address);
    if records.len() >= Peers::CAPACITY && !records.contains_key(&address) {
        records.retain(|_, record| now.duration_since(record.last) < Peers::CALM);
        if records.len() >= Peers::CAPACITY
            && let Some(oldest) = records.iter().min_by_key(|(_, record)| record.last)
        {
            let oldest = *oldest.0;
            records.remove(&oldest);
        }
    }
    records.entry(address).or_insert(Record {
        last: now,
        reports: 0,
        distrusted: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_slow_down_and_recover() {
        let (peers, start) = (Peers::default(), Instant::now());
        let address = "192.0.2.1".parse().unwrap();
        let delays: Vec<u128> = (0..9)
            .map(|_| peers.report_delay(address, start).as_millis())
            .collect();
        assert_eq!(
            delays,
            [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]
        );
        assert_eq!(
            peers.report_delay("192.0.2.2".parse().unwrap(), start),
            Duration::ZERO
        );
        assert_eq!(
            peers.report_delay(address, start + Peers::CALM),
            Duration::ZERO
        );
    }

    #[test]
    fn a_host_of_ipv6_has_one_record() {
        let (peers, start) = (Peers::default(), Instant::now());
        let delay = |address: &str| peers.report_delay(address.parse().unwrap(), start);
        assert_eq!(delay("2001:db8::1"), Duration::ZERO);
        assert_ne!(delay("2001:db8::ffff:0:0:2"), Duration::ZERO);
        assert_eq!(delay("2001:db8:0:1::1"), Duration::ZERO);
    }

    #[test]
    fn distrust_is_told_once_within_an_hour() {
        let (peers, start) = (Peers::default(), Instant::now());
        let address = "192.0.2.1".parse().unwrap();
        peers.distrust(address, start);
        assert!(peers.take_distrust(address, start) && !peers.take_distrust(address, start));
        peers.distrust(address, start);
        assert!(!peers.take_distrust(address, start + Peers::MEMORY));
    }

    #[test]
    fn the_table_is_bounded() {
        let (peers, start) = (Peers::default(), Instant::now());
        for number in 0..10_000u32 {
            peers.distrust(IpAddr::V4(number.into()), start);
        }
        assert!(peers.records().len() <= Peers::CAPACITY);
    }
}
