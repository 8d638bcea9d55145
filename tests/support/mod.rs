//! What the tests that run programs share: payload lists, processes, waiting, and the server.
//!
//! A test binary takes it in with `#[cfg(test)] #[path = "../support/mod.rs"] mod support;`.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub(crate) mod payloads;
pub(crate) mod process;
pub(crate) mod server;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// How often a condition that is waited for is looked at.
const POLL: Duration = Duration::from_millis(100);

/// A folder that vanishes with the value, and that other users may read.
pub(crate) fn temp_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// A loopback port that nobody listens on at this moment. For our own server use port 0.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Looks until there is a value, and fails with `last` when there was none in time.
#[track_caller]
pub(crate) fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        let last = match look() {
            Ok(value) => return value,
            Err(last) => last,
        };
        assert!(
            Instant::now() < deadline,
            "{what}: not within {patience:?}; last seen: {last}"
        );
        thread::sleep(POLL);
    }
}

/// The path of a program, searched where administrators have theirs, too.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The folder of the shared test data, where there is one.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let folder = env::var_os("RUTTER_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// What a test may need that is not part of the repository.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// Router programs and clients.
    Peers,
    /// The shared test data.
    Shared,
}

/// Reports that `what` was not run; fails instead when `RUTTER_REQUIRE` says that it must.
#[track_caller]
pub(crate) fn not_run(what: &str, need: Need, why: &str) {
    let word = match need {
        Need::Peers => "peers",
        Need::Shared => "shared",
    };
    let required = env::var("RUTTER_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|required| required == word),
        "{what} must run (RUTTER_REQUIRE={required}): {why}"
    );
    report(&format!("not run: {what}: {why}"));
}

/// Leaves a line for whoever reads the run: the test harness hides what a passing test prints.
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
    if let Some(path) = env::var_os("RUTTER_REPORT") {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        // One write, so that parallel tests do not mix their lines.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
