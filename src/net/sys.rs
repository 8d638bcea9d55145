//! What the system is told about our sockets and our memory.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use ipnet::IpNet;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
#[cfg(target_os = "linux")]
use zeroize::{Zeroize, Zeroizing};

/// Connections that may wait to be accepted. After a restart every router comes at once; the
/// kernel cuts this to `net.core.somaxconn`.
pub const BACKLOG: i32 = 1024;

/// How a TCP connection is kept alive, given up and filled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpOptions {
    /// Silence after which the kernel asks whether the peer is there.
    pub keepalive_idle: Duration,
    /// Time between two such questions.
    pub keepalive_interval: Duration,
    /// Questions without an answer that end the connection.
    pub keepalive_probes: u32,
    /// How long sent octets may stay unacknowledged, or the peer's window closed, before the
    /// kernel ends the connection. A caller that allows a longer stall has to raise this.
    pub user_timeout: Duration,
    /// How many octets may wait in the kernel that were not sent yet. `send` waits for less than
    /// that: a slow peer then holds a slice of a shared image instead of a copy in the kernel.
    pub unsent_octets: u32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            // 60 + 4 * 15: a peer that is gone is found in two minutes, by either rule.
            keepalive_idle: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(15),
            keepalive_probes: 4,
            user_timeout: Duration::from_secs(120),
            // 20 ms at 100 Mbit/s: enough to keep the wire busy between two turns.
            unsent_octets: 256 * 1024,
        }
    }
}

impl TcpOptions {
    /// Sets the options of a connection, or of a listener for all its connections: on Linux they
    /// are inherited, which saves their system calls for each one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses one of them.
    pub fn apply<'s>(&self, socket: impl Into<SockRef<'s>>) -> io::Result<()> {
        let socket = socket.into();
        // Answers are written in large pieces; Nagle would hold back the last one of each.
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(self.keepalive_idle)
            .with_interval(self.keepalive_interval)
            .with_retries(self.keepalive_probes);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(self.user_timeout))?;
        socket.set_tcp_notsent_lowat(self.unsent_octets)
    }
}

/// Closes a connection in both directions, for whoever else holds it too.
///
/// # Errors
///
/// When it is not connected any more.
pub fn shut(socket: &tokio::net::TcpStream) -> io::Result<()> {
    SockRef::from(socket).shutdown(Shutdown::Both)
}

/// Closes our half of a connection.
///
/// # Errors
///
/// When it is not connected any more.
pub fn shut_writing(socket: &tokio::net::TcpStream) -> io::Result<()> {
    SockRef::from(socket).shutdown(Shutdown::Write)
}

/// Raises this process's limit of open files to what it may have: each router is one.
///
/// # Errors
///
/// When the kernel refuses.
pub fn raise_open_files() -> io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Blocks of memory from this size on are given back to the system as soon as they are freed.
#[cfg(target_env = "gnu")]
const GIVEN_BACK: i32 = 1 << 20;

/// Keeps freed memory from staying with the process.
///
/// Every update frees the tables and images of one before: blocks of megabytes. The allocator of
/// glibc takes the first of these as a sign that such blocks come and go, and keeps later ones in
/// heaps that they leave holes in. As measured, a server of 800,000 VRPs then holds three times
/// of what it needs. Told where the limit is, it leaves it there.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no safe function sets this")]
pub fn give_memory_back() {
    // SAFETY: the function takes two numbers and is safe to call from any thread. A refusal
    // changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK);
    }
}

/// Other allocators have no such habit.
#[cfg(not(target_env = "gnu"))]
pub const fn give_memory_back() {}

/// Opens a listener that does not block. `[::]` takes IPv4 too, whatever the system's default.
/// Peers within the prefixes sign their segments with the key beside it, as [`sign_with_md5`] says.
///
/// # Errors
///
/// When the address is in use, is not ours, or its family is switched off, or when the kernel does
/// not take a key.
pub fn listen<'k>(
    address: SocketAddr,
    backlog: i32,
    options: &TcpOptions,
    keys: impl IntoIterator<Item = (IpNet, &'k [u8])>,
) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the process before us linger in TIME-WAIT and shall not stop our start.
    socket.set_reuse_address(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    options.apply(&socket)?;
    for (prefix, key) in keys {
        sign_with_md5(&socket, prefix, key)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Makes the kernel sign segments to peers within a prefix with this key, and drop unheard what
/// comes from there without that signature (RFC 2385). A key of the same prefix is replaced; one
/// without octets takes it away. For a listener, or for a client before it connects.
///
/// A connection keeps the key that its listener had for it when it was made: what changes here
/// counts for new ones.
///
/// # Errors
///
/// When the kernel knows no signatures, has no memory for another key, when the key is longer
/// than 80 octets, or when there is no key to take away.
#[cfg(target_os = "linux")]
pub fn sign_with_md5(socket: impl AsFd, prefix: IpNet, key: &[u8]) -> io::Result<()> {
    let family = SockRef::from(&socket).domain()?;
    // A prefix of IPv4 stays one when it is written in the form of IPv6: its length counts the
    // bits of the IPv4 address, unlike that of a route.
    let address = match prefix.addr() {
        IpAddr::V4(address) if family == Domain::IPV6 => address.to_ipv6_mapped().into(),
        address => address,
    };
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut octets = Zeroizing::new([0; libc::TCP_MD5SIG_MAXKEYLEN]);
    let place = octets.get_mut(..key.len()).ok_or_else(invalid)?;
    place.copy_from_slice(key);
    let mut option = Md5Signature {
        address: socket2::SockAddr::from(SocketAddr::new(address, 0)).as_storage(),
        flags: MD5_FLAG_PREFIX,
        prefix_len: prefix.prefix_len(),
        key_len: u16::try_from(key.len()).map_err(|_| invalid())?,
        interface: 0,
        key: *octets,
    };
    let done = set_option(socket, libc::TCP_MD5SIG_EXT, &option);
    option.key.zeroize();
    done
}

/// Other systems want the keys elsewhere.
///
/// # Errors
///
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn sign_with_md5(_socket: impl AsFd, _prefix: IpNet, _key: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The length of the prefix counts.
#[cfg(target_os = "linux")]
const MD5_FLAG_PREFIX: u8 = 1;

/// `struct tcp_md5sig` of the kernel, which libc does not have.
#[cfg(target_os = "linux")]
#[repr(C)]
struct Md5Signature {
    address: socket2::SockAddrStorage,
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    interface: libc::c_int,
    key: [u8; libc::TCP_MD5SIG_MAXKEYLEN],
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe function sets this option")]
fn set_option(socket: impl AsFd, option: libc::c_int, value: &Md5Signature) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<Md5Signature>())
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the pointer and the length are those of a value that lives through the call and has
    // the layout that the kernel reads; the descriptor is open as long as it is borrowed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn connections_inherit_the_options_of_their_listener() {
        let options = TcpOptions {
            unsent_octets: 4321,
            ..TcpOptions::default()
        };
        let listener = listen("127.0.0.1:0".parse().unwrap(), BACKLOG, &options, []).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), options.keepalive_idle);
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            options.keepalive_interval
        );
        assert_eq!(
            socket.tcp_keepalive_retries().unwrap(),
            options.keepalive_probes
        );
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(options.user_timeout)
        );
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 4321);
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let address = "127.0.0.1:0".parse().unwrap();
        let first = listen(address, BACKLOG, &TcpOptions::default(), []).unwrap();
        let taken = first.local_addr().unwrap();
        let error = listen(taken, BACKLOG, &TcpOptions::default(), []).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
