//! Figures as lines of a name and a value, for people and for the script alike.

use std::time::Duration;

use crate::process::Usage;

/// Prints one figure.
pub(crate) fn figure(name: &str, value: impl std::fmt::Display) {
    println!("{name} {value}");
}

/// Prints a time in milliseconds, to the microsecond.
pub(crate) fn millis(name: &str, time: Duration) {
    figure(name, format_args!("{:.3}", time.as_secs_f64() * 1e3));
}

/// Prints what the server used between two moments, and for each of `count` things.
pub(crate) fn usage(before: Option<Usage>, after: Option<Usage>, count: usize) {
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    let cpu = after.cpu_since(&before);
    millis("cpu_ms", cpu);
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    millis("cpu_ms_each", cpu / count);
    figure("rss_before_kib", before.rss_kib);
    figure("rss_after_kib", after.rss_kib);
    figure("peak_kib", after.peak_kib);
}

/// The middle one; zero of none.
pub(crate) fn median<T: Copy + Default + Ord>(values: &mut [T]) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The one below which 99 of 100 lie; zero of none.
pub(crate) fn percentile_99<T: Copy + Default + Ord>(values: &mut [T]) -> T {
    values.sort_unstable();
    let place = values.len() * 99 / 100;
    values.get(place).copied().unwrap_or_default()
}
