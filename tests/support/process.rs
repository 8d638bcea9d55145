//! Child processes that end with the value that holds them.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running child. Its output goes to a file; it is killed by its id when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    name: String,
}

impl Process {
    /// Starts the command with both of its outputs in `log`.
    #[track_caller]
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let output = File::create(log).unwrap();
        let name = format!("{command:?}");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            child,
            log: log.to_owned(),
            name,
        }
    }

    /// Starts the command with both of its ends in a socket, and its errors in `log`.
    #[track_caller]
    pub(crate) fn piped(command: &mut Command, log: &Path) -> (Self, UnixStream) {
        let name = format!("{command:?}");
        let (ours, its) = UnixStream::pair().unwrap();
        let child = command
            .stdin(OwnedFd::from(its.try_clone().unwrap()))
            .stdout(OwnedFd::from(its))
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // The command holds the child's ends until it is set to others.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = Self {
            child,
            log: log.to_owned(),
            name,
        };
        (process, ours)
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself; that is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Lets it stand still, or go on.
    #[cfg(feature = "object-store")]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        rustix::process::kill_process(id.unwrap(), signal).unwrap();
    }

    /// What it has written so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// `Ok` while it runs, else how it ended and what it wrote.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait().unwrap() {
            None => Ok(()),
            Some(status) => Err(format!(
                "{} ended with {status}:\n{}",
                self.name,
                self.output()
            )),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.name, tail(&self.output(), 4000));
        }
    }
}

/// Runs a command to its end, at most for `patience`; what it printed, or why it failed.
pub(crate) fn run(command: &mut Command, patience: Duration) -> Result<String, String> {
    let name = format!("{command:?}");
    let [output, errors] = [
        tempfile::NamedTempFile::new(),
        tempfile::NamedTempFile::new(),
    ];
    let (output, errors) = (output.unwrap(), errors.unwrap());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.reopen().unwrap())
        .stderr(errors.reopen().unwrap())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let text = fs::read_to_string(output.path()).unwrap();
    match status {
        Some(status) if status.success() => Ok(text),
        status => {
            let how = status.map_or_else(
                || format!("still running after {patience:?}"),
                |status| status.to_string(),
            );
            let errors = fs::read(errors.path()).unwrap();
            let errors = String::from_utf8_lossy(&errors).into_owned();
            Err(format!(
                "{name}: {how}: {} {}",
                tail(&text, 1000),
                tail(&errors, 1000)
            ))
        }
    }
}

/// The last octets of a text, from the beginning of a character.
pub(crate) fn tail(text: &str, octets: usize) -> &str {
    let mut from = text.len().saturating_sub(octets);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
