//! What a server process has used: processor time and memory, from `/proc`.

use std::fs;
use std::time::Duration;

/// Linux counts the times in `/proc/PID/stat` in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Processor time and memory at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    scheduled: Duration,
    ticks: Duration,
    /// Resident memory, KiB.
    pub(crate) rss_kib: u64,
    /// The most resident memory ever, KiB.
    pub(crate) peak_kib: u64,
}

impl Usage {
    /// The usage of this process, `None` when it is gone or none of ours to look at.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Self {
            scheduled: scheduled(pid)?,
            ticks: ticks(pid)?,
            rss_kib: field("VmRSS:")?,
            peak_kib: field("VmHWM:")?,
        })
    }

    /// The processor time used since the process began.
    pub(crate) fn cpu(&self) -> Duration {
        self.scheduled.max(self.ticks)
    }

    /// The processor time used since `earlier`. Exact to the microsecond unless a thread ended
    /// in between and took its count with it; then to the tick.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Duration {
        let exact = self.scheduled.saturating_sub(earlier.scheduled);
        let coarse = self.ticks.saturating_sub(earlier.ticks);
        if exact + 3 * TICK >= coarse {
            exact
        } else {
            coarse
        }
    }
}

/// The time on a processor of all threads that live.
fn scheduled(pid: u32) -> Option<Duration> {
    let mut total = 0u64;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let path = task.ok()?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(path) else {
            continue;
        };
        total += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(total))
}

/// User and system time of the process, ended threads included.
fn ticks(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}
