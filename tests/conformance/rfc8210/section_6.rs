//! Timers.

use std::time::Duration;

use rutter::rtr::Timing;
use rutter::rtr::server::ServerConfig;

use crate::pair::{Conn, World, hex};

fn timing(refresh: u64, retry: u64, expire: u64) -> Option<Timing> {
    let [refresh, retry, expire] = [refresh, retry, expire].map(Duration::from_secs);
    Timing::new(refresh, retry, expire).ok()
}

#[test]
fn end_of_data_tells_the_timers_from_version_1_on() {
    let config = ServerConfig {
        timing: timing(1800, 300, 5400).unwrap(),
        ..ServerConfig::default()
    };
    let world = World::of("");
    for version in 0..3u8 {
        let mut conn = Conn::with(&world, config.clone());
        let frames = conn.reset(&world, version);
        let end = frames.last().unwrap();
        let rest = match version {
            0 => "0000000c 00000001",
            _ => "00000018 00000001 00000708 0000012c 00001518",
        };
        assert_eq!(end.0[..2], [version, 7]);
        assert_eq!(end.0[4..], hex(rest));
        // The answer that brings nothing tells them as well.
        let again = conn.since(&world, version, end.field(), 1);
        assert_eq!(again.last(), Some(end));
    }
}

/// OpenBGPD ends a session over timers that RFC 8210 forbids.
#[test]
fn timers_out_of_range_are_refused() {
    assert!(timing(1, 1, 600).is_some() && timing(86_400, 7_200, 172_800).is_some());
    for (refresh, retry, expire) in [
        (0, 600, 7200),
        (86_401, 600, 172_800),
        (3600, 0, 7200),
        (3600, 7_201, 7300),
        (3600, 600, 599),
        (3600, 600, 172_801),
        (7200, 600, 7200),
        (600, 7200, 7200),
        (600, 600, 600),
    ] {
        assert_eq!(
            timing(refresh, retry, expire),
            None,
            "{refresh} {retry} {expire}"
        );
    }
    let wraps = u64::from(u32::MAX) + 601;
    assert_eq!(timing(1, 1, wraps), None);
}
