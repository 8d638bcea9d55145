//! Accepting connections, whatever goes wrong with some of them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::md5::Md5Key;
use super::peer;
use super::sys::{self, TcpOptions};

/// A socket that routers connect to. It accepts as long as it exists.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    trouble: Mutex<Trouble>,
    /// The keys that are in force.
    keys: Mutex<Vec<Md5Key>>,
}

impl Listener {
    /// Listens at an address; port 0 lets the system choose. `[::]` takes IPv4 too.
    ///
    /// # Errors
    ///
    /// When the address is in use, is not ours, or its family is switched off.
    pub fn bind(address: SocketAddr, options: &TcpOptions) -> io::Result<Self> {
        Self::bind_signed(address, options, &[])
    }

    /// The same with the keys of TCP MD5 signatures, as [`sign`](Self::sign) takes them: nobody
    /// connects before they are in force.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind), and when the kernel does not take a key.
    pub fn bind_signed(
        address: SocketAddr,
        options: &TcpOptions,
        keys: &[Md5Key],
    ) -> io::Result<Self> {
        let keys = fitting(address, keys);
        let signed = keys.iter().map(|key| (key.prefix(), key.octets()));
        let socket = sys::listen(address, sys::BACKLOG, options, signed)?;
        let mut listener = Self::watch(socket)?;
        listener.keys = Mutex::new(keys);
        Ok(listener)
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
            keys: Mutex::default(),
        })
    }

    /// Sets other options, for the connections to come.
    ///
    /// # Errors
    ///
    /// When the kernel refuses one of them.
    pub fn tune(&self, options: &TcpOptions) -> io::Result<()> {
        options.apply(&self.socket)
    }

    /// The address it listens at, with the port that the system chose.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Exchanges the keys of TCP MD5 signatures: from now on, peers within their prefixes sign each
    /// segment, and those of the longest prefix counts; from others within a prefix nothing is
    /// heard, nor answered. Open connections go on with the key they began with. Gives the keys
    /// that were in force, for a way back.
    ///
    /// A key for a family that cannot come to this socket is of no use and left out.
    ///
    /// # Errors
    ///
    /// When the kernel does not take a key; then those before stay in force.
    pub fn sign(&self, keys: &[Md5Key]) -> io::Result<Vec<Md5Key>> {
        let keys = fitting(self.address, keys);
        let mut held = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.exchange(&held, &keys) {
            // What was there fits in again once the others are gone.
            if let Err(error) = self.exchange(&keys, &held) {
                warn!(listener = %self.address, %error, "keys of signatures are lost");
            }
            return Err(error);
        }
        Ok(std::mem::replace(&mut held, keys))
    }

    /// Sets the keys that are new, and takes those away that are not wanted any more.
    fn exchange(&self, old: &[Md5Key], new: &[Md5Key]) -> io::Result<()> {
        // In this order no peer is without a key in between.
        for key in new.iter().filter(|key| !old.contains(key)) {
            sys::sign_with_md5(&self.socket, key.prefix(), key.octets())?;
        }
        let stays = |prefix| new.iter().any(|key| key.prefix() == prefix);
        for key in old.iter().filter(|key| !stays(key.prefix())) {
            match sys::sign_with_md5(&self.socket, key.prefix(), &[]) {
                // Of an exchange that broke off it may be gone already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
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

/// The keys of peers whose family can come to a socket at this address.
fn fitting(address: SocketAddr, keys: &[Md5Key]) -> Vec<Md5Key> {
    let fits = |key: &&Md5Key| address.is_ipv6() || key.prefix().addr().is_ipv4();
    keys.iter().filter(fits).cloned().collect()
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

    /// The keys of prefixes, each `prefix key`.
    fn keys(texts: &[&str]) -> Vec<Md5Key> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let load = |text: &&str| {
            let (prefix, key) = text.split_once(' ').unwrap();
            std::fs::write(file.path(), key).unwrap();
            Md5Key::load(prefix.parse().unwrap(), file.path()).unwrap()
        };
        texts.iter().map(load).collect()
    }

    /// A connection from an address, whose segments are signed when there is a key.
    async fn dial(from: &str, to: SocketAddr, key: Option<&str>) -> io::Result<TcpStream> {
        let from: std::net::IpAddr = from.parse().unwrap();
        let to = match from {
            std::net::IpAddr::V4(_) => SocketAddr::new([127, 0, 0, 1].into(), to.port()),
            std::net::IpAddr::V6(_) => SocketAddr::new([0, 0, 0, 0, 0, 0, 0, 1].into(), to.port()),
        };
        let socket = match from {
            std::net::IpAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            std::net::IpAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        socket.bind(SocketAddr::new(from, 0))?;
        if let Some(key) = key {
            sys::sign_with_md5(&socket, to.ip().into(), key.as_bytes())?;
        }
        // A segment that is not heard is sent again after a second.
        let patience = Duration::from_millis(700);
        match timeout(patience, socket.connect(to)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Whether octets get through both ways.
    async fn talks(client: &TcpStream, server: &TcpStream) -> bool {
        for (from, to) in [(client, server), (server, client)] {
            from.writable().await.unwrap();
            assert_eq!(from.try_write(b"octets").unwrap(), 6);
            let heard = async {
                loop {
                    to.readable().await.unwrap();
                    match to.try_read(&mut [0; 6]) {
                        Ok(read) => return read == 6,
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
            };
            if !timeout(Duration::from_secs(5), heard)
                .await
                .unwrap_or(false)
            {
                return false;
            }
        }
        true
    }

    /// TCP-01, TCP-05: who does not sign, or with another key, gets no answer at all.
    #[tokio::test]
    async fn only_signed_segments_are_heard() {
        let longest = "k".repeat(80);
        for (at, from, outside) in [
            ("127.0.0.1:0", "127.0.1.1", "127.0.2.1"),
            ("[::]:0", "127.0.1.1", "127.0.2.1"),
        ] {
            let key = format!("127.0.1.0/24 {longest}");
            let keys = keys(&[&key, "2001:db8::/32 six"]);
            let options = TcpOptions::default();
            let listener = Listener::bind_signed(at.parse().unwrap(), &options, &keys).unwrap();
            let to = listener.address();
            let client = dial(from, to, Some(&longest)).await.unwrap();
            let (server, peer) = listener.accept().await;
            assert_eq!(peer, client.local_addr().unwrap());
            assert!(talks(&client, &server).await);
            for wrong in [None, Some("other")] {
                let error = dial(from, to, wrong).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{at} {wrong:?}");
            }
            // Who has no key here may not sign, and is served without.
            dial(outside, to, None).await.unwrap();
            assert!(dial(outside, to, Some(&longest)).await.is_err());
        }
    }

    #[tokio::test]
    async fn ipv6_peers_sign_too() {
        let listener = listener("[::]:0");
        listener
            .sign(&keys(&["::/64 six", "127.0.0.0/8 four"]))
            .unwrap();
        let to = listener.address();
        dial("::1", to, Some("six")).await.unwrap();
        assert!(dial("::1", to, Some("four")).await.is_err());
        assert!(dial("::1", to, None).await.is_err());
        dial("127.0.0.9", to, Some("four")).await.unwrap();
    }

    /// TCP-02: another key counts for new connections; an open one goes on with its own.
    #[tokio::test]
    async fn a_key_changes_under_an_open_connection() {
        let listener = listener("127.0.0.1:0");
        let to = listener.address();
        listener
            .sign(&keys(&["127.0.0.0/8 old", "127.0.3.0/24 three"]))
            .unwrap();
        let client = dial("127.0.1.1", to, Some("old")).await.unwrap();
        let (server, _) = listener.accept().await;
        assert!(talks(&client, &server).await);

        let before = listener.sign(&keys(&["127.0.0.0/8 new"])).unwrap();
        assert_eq!(before.len(), 2);
        assert!(talks(&client, &server).await);
        let fresh = dial("127.0.1.1", to, Some("new")).await.unwrap();
        let (accepted, _) = listener.accept().await;
        assert!(talks(&fresh, &accepted).await);
        assert!(dial("127.0.1.1", to, Some("old")).await.is_err());
        // The longer prefix is gone, so the shorter one counts there.
        dial("127.0.3.1", to, Some("new")).await.unwrap();

        listener.sign(&[]).unwrap();
        assert!(talks(&client, &server).await);
        dial("127.0.1.1", to, None).await.unwrap();
        listener.sign(&before).unwrap();
        dial("127.0.3.1", to, Some("three")).await.unwrap();
        assert!(dial("127.0.1.1", to, None).await.is_err());
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
