//! Accepting connections, whatever goes wrong with some of them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::peer;
use super::sys::{self, TcpOptions};

/// A socket that routers connect to. It accepts as long as it exists.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    trouble: Mutex<Trouble>,
}

impl Listener {
    /// Listens at an address; port 0 lets the system choose. `[::]` takes IPv4 too.
    ///
    /// # Errors
    ///
    /// When the address is in use, is not ours, or its family is switched off.
    pub fn bind(address: SocketAddr, options: &TcpOptions) -> io::Result<Self> {
        let socket = sys::listen(address, sys::BACKLOG, options)?;
        Self::watch(socket)
    }

    /// Takes over a socket that listens already, such as one that systemd has opened.
    ///
    /// # Errors
    ///
    /// When it is no listening TCP socket.
    pub fn from_std(socket: std::net::TcpListener, options: &TcpOptions) -> io::Result<Self> {
        options.apply(&socket)?;
        socket.set_nonblocking(true)?;
        Self::watch(socket)
    }

    fn watch(socket: std::net::TcpListener) -> io::Result<Self> {
        let socket = TcpListener::from_std(socket)?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            trouble: Mutex::default(),
        })
    }

    /// The address it listens at, with the port that the system chose.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection; the address is never an IPv4 one mapped into IPv6.
    ///
    /// There is no error for the caller: a connection that was gone before it was accepted is
    /// passed over, and when the system has no descriptors or no memory left, this waits, ever
    /// longer up to a second, while the peers wait in the kernel's queue. The wait outlives a
    /// dropped future, so a loop around this never spins.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped has accepted no connection.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            let until = self.trouble().until;
            if let Some(until) = until {
                tokio::time::sleep_until(until).await;
            }
            match self.socket.accept().await {
                Ok((socket, address)) => {
                    self.recovered();
                    return (socket, peer::canonical(address));
                }
                Err(error) if of_one_connection(&error) => {
                    debug!(listener = %self.address, %error, "connection lost before accept");
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn failed(&self, error: &io::Error) {
        let report = self.trouble().failed(Instant::now());
        if let Some(failures) = report {
            warn!(listener = %self.address, %error, failures, "cannot accept connections");
        }
    }

    fn recovered(&self) {
        let report = self.trouble().recovered();
        if let Some(failures) = report {
            info!(listener = %self.address, failures, "accepting connections again");
        }
    }

    /// A panic while it was locked cannot have left it half-changed in a way that matters.
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failed accept says of the connection alone: the next one may be fine.
/// accept(2) hands on errors of the network that are pending on the new socket.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
    )
}

/// Failures to accept in a row, and when they were last spoken of.
#[derive(Debug, Default)]
struct Trouble {
    /// Failures since the last connection.
    run: u32,
    /// Failures since the last report of failures.
    unreported: u32,
    /// The last report of failures.
    reported: Option<Instant>,
    /// Whether the end of the trouble is still to be reported.
    open: bool,
    /// When to try again, `None` for at once.
    until: Option<Instant>,
}

impl Trouble {
    const FIRST_WAIT: Duration = Duration::from_millis(50);
    /// More than it takes to get from the first wait to the longest.
    const DOUBLINGS: u32 = 5;
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
    /// A line a minute keeps the operator told and the disk free.
    const REPORT_EVERY: Duration = Duration::from_secs(60);

    /// Counts a failure and sets the wait. Gives the failures to report, if it is time to.
    fn failed(&mut self, now: Instant) -> Option<u32> {
        let factor = 1 << self.run.min(Self::DOUBLINGS);
        let wait = Self::FIRST_WAIT
            .saturating_mul(factor)
            .min(Self::LONGEST_WAIT);
        self.until = Some(now + wait);
        self.run = self.run.saturating_add(1);
        self.unreported = self.unreported.saturating_add(1);
        let due = self
            .reported
            .is_none_or(|last| now.saturating_duration_since(last) >= Self::REPORT_EVERY);
        if !due {
            return None;
        }
        self.reported = Some(now);
        self.open = true;
        Some(std::mem::take(&mut self.unreported))
    }

    /// Ends the wait. Gives the failures in a row, if their beginning was reported.
    fn recovered(&mut self) -> Option<u32> {
        self.until = None;
        let failures = std::mem::take(&mut self.run);
        std::mem::take(&mut self.open).then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use tokio::time::timeout;

    use super::*;

    fn listener(address: &str) -> Listener {
        Listener::bind(address.parse().unwrap(), &TcpOptions::default()).unwrap()
    }

    #[tokio::test]
    async fn the_wildcard_takes_ipv4_and_shows_it_as_such() {
        let listener = listener("[::]:0");
        let client = TcpStream::connect(("127.0.0.1", listener.address().port()))
            .await
            .unwrap();
        let (_socket, address) = listener.accept().await;
        assert_eq!(address, client.local_addr().unwrap());
        assert!(address.is_ipv4());
    }

    #[tokio::test]
    async fn a_socket_that_listens_already_is_taken_over() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Listener::from_std(socket, &TcpOptions::default()).unwrap();
        let client = TcpStream::connect(listener.address()).await.unwrap();
        let (_socket, address) = listener.accept().await;
        assert_eq!(address, client.local_addr().unwrap());
    }

    #[test]
    fn waits_double_up_to_a_second_and_reports_are_rare() {
        let mut trouble = Trouble::default();
        let start = Instant::now();
        let mut now = start;
        let mut waits = Vec::new();
        let mut reports = Vec::new();
        while now.saturating_duration_since(start) < Duration::from_secs(100) {
            reports.extend(trouble.failed(now));
            let until = trouble.until.unwrap();
            waits.push(until.saturating_duration_since(now).as_millis());
            now = until;
        }
        assert_eq!(waits[..7], [50, 100, 200, 400, 800, 1000, 1000]);
        assert!(waits[7..].iter().all(|wait| *wait == 1000));
        assert_eq!(reports.len(), 2);
        assert_eq!(reports[0], 1);
    }

    /// Runs in a process of its own, which has few descriptors.
    #[tokio::test]
    #[ignore = "a part of accept_survives_a_lack_of_descriptors"]
    async fn child_with_few_descriptors() {
        let listener = listener("127.0.0.1:0");
        let clients = [
            TcpStream::connect(listener.address()).await.unwrap(),
            TcpStream::connect(listener.address()).await.unwrap(),
        ];
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }

        // Dropped and begun again all the time, as in a `select!` with a busy neighbour.
        let patience = Instant::now() + Duration::from_millis(500);
        while Instant::now() < patience {
            let soon = Duration::from_millis(10);
            assert!(timeout(soon, listener.accept()).await.is_err());
        }
        // At 0, 50, 150 and 350 ms.
        let failures = listener.trouble().run;
        assert!((1..=4).contains(&failures), "{failures}");

        drop(hoard);
        for client in clients {
            let (_socket, address) = listener.accept().await;
            assert_eq!(address, client.local_addr().unwrap());
        }
        assert_eq!(listener.trouble().run, 0);
    }

    #[test]
    fn accept_survives_a_lack_of_descriptors() {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 40 && exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "net::listen::tests::child_with_few_descriptors"])
            .arg("--ignored")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}
