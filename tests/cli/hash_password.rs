//! `rutter hash-password`: from a pipe and at a terminal.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rutter::net::Reason;
use rutter::net::ssh::{Authority, Passwords};

use super::program::{Ran, command, run, rutter};
use crate::support::temp_dir;

/// How long the program may take to say something on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options that cost little.
const CHEAP: &str = "hash-password --memory 4096 --passes 1";

/// Hashes with this on standard input.
fn hash(options: &str, input: impl AsRef<[u8]>) -> Ran {
    let folder = temp_dir();
    let path = folder.path().join("input");
    fs::write(&path, input).unwrap();
    let mut program = command(options.split(' '));
    run(program.stdin(File::open(path).unwrap()))
}

/// Whether a line of a users file lets a user in with a password.
fn lets_in(line: &str, user: &str, password: &str) -> Result<(), Reason> {
    let folder = temp_dir();
    let path = folder.path().join("users");
    fs::write(&path, line).unwrap();
    let authority = Authority::load(None, Some(&Passwords::Users(path))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    runtime.block_on(authority.password(user, password, from))
}

#[test]
fn a_pipe_gives_a_line_that_lets_the_user_in() {
    let line = hash(
        &format!("{CHEAP} --user router1"),
        " pass word\u{fc}\r\nmore\n",
    )
    .done();
    assert!(
        line.starts_with("router1:$argon2id$v=19$m=4096,t=1,p=1$"),
        "{line}"
    );
    assert_eq!(line.matches('\n').count(), 1);
    assert_eq!(lets_in(&line, "router1", " pass word\u{fc}"), Ok(()));
    let wrong = lets_in(&line, "router1", "pass word\u{fc}");
    assert_eq!(wrong, Err(Reason::Password));
    // Without a user it is the hash alone, by default at the cost that OWASP recommends.
    let bare = hash("hash-password", "secret").done();
    assert!(
        bare.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{bare}"
    );
    assert_eq!(lets_in(&format!("a:{bare}"), "a", "secret"), Ok(()));
    let lanes = hash(&format!("{CHEAP} --lanes 2"), "secret").done();
    assert!(lanes.contains("p=2"), "{lanes}");
}

#[test]
fn what_is_no_password_or_cost_is_refused() {
    hash(CHEAP, "").fails_with("nothing on standard input");
    hash(CHEAP, "\n").fails_with("empty");
    hash(CHEAP, "\r\n").fails_with("empty");
    hash(CHEAP, b"\xff\n").fails_with("UTF-8");
    hash(CHEAP, "x".repeat(1025)).fails_with("longer than 1024");
    assert!(
        hash(CHEAP, "x".repeat(1024) + "\r\n")
            .done()
            .contains("argon2id")
    );
    for options in [
        "--memory 4095",
        "--memory 65537",
        "--passes 0",
        "--passes 11",
        "--lanes 0",
        "--lanes 17",
        "--user a:b",
        "--user a/b",
        "--password secret",
        "secret",
    ] {
        rutter(format!("hash-password {options}").split(' ')).fails_with("--help");
    }
    rutter(["hash-password", "--user", ""]).fails_with("the name is empty");
}

/// The program at a terminal.
struct Terminal {
    keys: File,
    shown: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// Types what belongs to each question and gives what came of it, and all that was shown.
    fn answer(answers: &[(&str, &str)]) -> (Ran, String) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let inner = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let folder = temp_dir();
        let out = folder.path().join("out");
        let mut child = command(CHEAP.split(' '))
            .stdin(inner.try_clone().unwrap())
            .stderr(inner)
            .stdout(Stdio::from(File::create(&out).unwrap()))
            .spawn()
            .unwrap();
        let keys = File::from(terminal);
        let mut screen = keys.try_clone().unwrap();
        let (show, shown) = mpsc::channel();
        thread::spawn(move || {
            let mut octets = [0; 256];
            // A terminal that nobody has open any more cannot be read.
            while let Ok(length @ 1..) = screen.read(&mut octets) {
                let _ = show.send(octets[..length].to_vec());
            }
        });
        let mut this = Self {
            keys,
            shown,
            seen: String::new(),
        };
        for (question, keys) in answers {
            this.wait_for(question);
            this.keys.write_all(keys.as_bytes()).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
            }
            this.look(Duration::from_millis(20));
        }
        while this.look(Duration::from_millis(100)) {}
        let ran = Ran {
            code: child.wait().unwrap().code(),
            out: fs::read_to_string(out).unwrap(),
            err: String::new(),
        };
        (ran, this.seen)
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.ends_with(text) {
            assert!(
                Instant::now() < deadline,
                "{text:?} is not in {:?}",
                self.seen
            );
            self.look(Duration::from_millis(100));
        }
    }

    fn look(&mut self, patience: Duration) -> bool {
        match self.shown.recv_timeout(patience) {
            Ok(octets) => {
                self.seen.push_str(&String::from_utf8_lossy(&octets));
                true
            }
            Err(_) => false,
        }
    }
}

#[test]
fn a_terminal_is_asked_twice_and_shows_nothing() {
    let answers = [
        ("password: ", "secrex\x7ft\n"),
        ("password again: ", "oops\x15secret\n"),
    ];
    let (ran, seen) = Terminal::answer(&answers);
    assert_eq!(ran.code, Some(0), "{seen}");
    assert_eq!(lets_in(&format!("a:{}", ran.out), "a", "secret"), Ok(()));
    assert_eq!(seen, "password: \r\npassword again: \r\n");
}

#[test]
fn a_terminal_gets_a_reason() {
    for (answers, reason) in [
        (
            &[("password: ", "secret\n"), ("again: ", "secrets\n")][..],
            "the same both times",
        ),
        (&[("password: ", "\n")], "empty"),
        (&[("password: ", "sec\x03")], "given up"),
        (&[("password: ", "\x04")], "given up"),
        (
            &[("password: ", "secret\n"), ("again: ", "\x04")],
            "given up",
        ),
    ] {
        let (ran, seen) = Terminal::answer(answers);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{seen}");
        assert!(seen.contains(reason), "{reason:?} is not in {seen:?}");
        assert!(!seen.contains("sec"), "{seen}");
    }
}
