//! Running the program to its end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// It could not be determined: exit code 2, the reason on standard error, and nothing else.
    #[track_caller]
    pub(crate) fn fails_with(&self, reason: &str) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        assert!(self.err.contains(reason), "{reason:?} is not in {self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
    }

    /// It is done, with not a word about it; gives what was printed.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }
}

/// Runs the program with these arguments.
#[track_caller]
pub(crate) fn rutter<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    run(&mut command(arguments))
}

/// The program with these arguments and without input.
pub(crate) fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let mut child = command
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            let err = fs::read_to_string(&err).unwrap();
            panic!("{command:?} still runs after {PATIENCE:?}: {err}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ran {
        code: status.code(),
        out: fs::read_to_string(&out).unwrap(),
        err: fs::read_to_string(&err).unwrap(),
    }
}
