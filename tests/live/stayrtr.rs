//! StayRTR as a follower of our document, and we as one of its document and of its RTR.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use super::cache::{Cache, PATIENCE};
use super::router::{Router, announced};
use crate::support::payloads::{Payloads, Prng, Vrp};
use crate::support::process::Process;
use crate::support::{Need, free_port, not_run, program, report, temp_dir, wait_for};

/// A server with HTTP on a port.
fn server(folder: tempfile::TempDir, source: &str, http: u16) -> Cache {
    let rest = format!("[[source]]\n{source}[http]\naddress = \"127.0.0.1:{http}\"\n");
    Cache::configured(folder, &rest)
}

/// What a server of version 1 serves.
fn served(at: SocketAddr) -> Result<BTreeSet<Vec<u8>>, String> {
    let answer = Router::try_load(at, 1).map_err(|error| error.to_string())?;
    Ok(answer.set())
}

/// What StayRTR takes of a document: it drops every VRP of a default route (its issue 177).
fn taken(payloads: &Payloads) -> BTreeSet<Vec<u8>> {
    let mut payloads = payloads.clone();
    payloads.vrps.retain(|vrp| vrp.len > 0);
    announced(&payloads, 1)
}

#[test]
fn stayrtr_follows_us_and_we_follow_stayrtr() {
    let Some(stayrtr) = program("stayrtr") else {
        return not_run("StayRTR and our documents", Need::Peers, "no stayrtr");
    };
    let mut random = Prng::new(3);
    let mut payloads = Payloads::vrps(800, &mut random);
    // It sends a prefix of mapped addresses as an IPv4 prefix of 120 bits, which nobody can take.
    let mapped = |vrp: &Vrp| matches!(vrp.address, IpAddr::V6(a) if a.to_ipv4_mapped().is_some());
    payloads.vrps.retain(|vrp| !mapped(vrp));
    let folder = temp_dir();
    payloads.write_json(&folder.path().join("vrps.json"));
    let http = free_port();
    let leader = server(folder, "url = \"vrps.json\"\n", http);
    let (rtr, its_http) = (free_port(), free_port());
    let logs = temp_dir();
    let mut command = Command::new(stayrtr);
    command
        .args(["-cache", &format!("http://127.0.0.1:{http}/rpki.json")])
        .args(["-bind", &format!("127.0.0.1:{rtr}")])
        .args(["-metrics.addr", &format!("127.0.0.1:{its_http}")])
        .args(["-refresh", "1", "-protocol", "1"])
        .env("NO_PROXY", "127.0.0.1");
    let mut process = Process::start(&mut command, &logs.path().join("stayrtr"));
    let its = SocketAddr::from((Ipv4Addr::LOCALHOST, rtr));
    let follows = |payloads: &Payloads, process: &mut Process| {
        let wanted = taken(payloads);
        wait_for("StayRTR serves what we serve", 2 * PATIENCE, || {
            process.check()?;
            let held = served(its)?;
            let differing = wanted.symmetric_difference(&held).count();
            match differing {
                0 => Ok(()),
                _ => Err(format!("{differing} differ: {}", process.output())),
            }
        });
    };
    follows(&payloads, &mut process);
    let by_web = format!("url = \"http://127.0.0.1:{its_http}/rpki.json\"\nproxy = \"none\"\n");
    let by_rtr = format!("url = \"tcp://127.0.0.1:{rtr}\"\n");
    let followers = [by_web, by_rtr].map(|source| server(temp_dir(), &source, free_port()));
    let same = |payloads: &Payloads| {
        // What it drops is in its document all the same.
        let wanted = [announced(payloads, 1), taken(payloads)];
        for (follower, wanted) in followers.iter().zip(wanted) {
            wait_for("we serve what StayRTR serves", 2 * PATIENCE, || {
                // Nothing is sent for what it has already.
                follower.control(&["refresh"]);
                let held = served(follower.address())?;
                let differing = wanted.symmetric_difference(&held).count();
                match differing {
                    0 => Ok(()),
                    _ => Err(format!("{differing} differ")),
                }
            });
        }
    };
    same(&payloads);
    payloads = payloads.changed(30, 20, &mut random);
    leader.publish(&payloads);
    follows(&payloads, &mut process);
    same(&payloads);
    report("chain: StayRTR follows our document, and we follow its document and its RTR");
}
