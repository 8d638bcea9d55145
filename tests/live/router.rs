//! A router of raw octets.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::cache::PATIENCE;
use crate::support::payloads::{Payloads, Vrp};

/// A PDU as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Raw {
    pub(crate) fn version(&self) -> u8 {
        self.0[0]
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0[1]
    }

    /// Octets 2 and 3: a Session ID or an error code.
    pub(crate) fn word(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Octets 8 to 11.
    pub(crate) fn serial(&self) -> u32 {
        u32::from_be_bytes(self.0[8..12].try_into().unwrap())
    }
}

pub(crate) const NOTIFY: u8 = 0;
pub(crate) const CACHE_RESPONSE: u8 = 3;
pub(crate) const END_OF_DATA: u8 = 7;
pub(crate) const CACHE_RESET: u8 = 8;
pub(crate) const ERROR_REPORT: u8 = 10;

pub(crate) const RESET_QUERY: [[u8; 8]; 3] = [
    [0, 2, 0, 0, 0, 0, 0, 8],
    [1, 2, 0, 0, 0, 0, 0, 8],
    [2, 2, 0, 0, 0, 0, 0, 8],
];

/// What a router has after an answer: a version, a session and a serial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Has {
    pub(crate) version: u8,
    pub(crate) session: u16,
    pub(crate) serial: u32,
}

impl Has {
    /// The Serial Query that goes on from here.
    pub(crate) fn query(self) -> [u8; 12] {
        let [a, b] = self.session.to_be_bytes();
        let [w, x, y, z] = self.serial.to_be_bytes();
        [self.version, 1, a, b, 0, 0, 0, 12, w, x, y, z]
    }
}

/// An answer from Cache Response to End of Data.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) has: Has,
    /// The payload PDUs, in order.
    pub(crate) payload: Vec<Vec<u8>>,
    /// Refresh, retry and expire, which version 0 does not tell.
    pub(crate) timers: Option<[u32; 3]>,
}

impl Answer {
    /// The payload PDUs, each of which must be there once.
    #[track_caller]
    pub(crate) fn set(&self) -> BTreeSet<Vec<u8>> {
        let set: BTreeSet<Vec<u8>> = self.payload.iter().cloned().collect();
        assert_eq!(set.len(), self.payload.len(), "a PDU came twice");
        set
    }
}

#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) stream: TcpStream,
}

impl Router {
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::from_stream(TcpStream::connect_timeout(&to, PATIENCE).unwrap())
    }

    /// Connects from 127.0.`a`.`b`: the server remembers addresses.
    #[track_caller]
    pub(crate) fn connect_from(a: u8, b: u8, to: SocketAddr) -> Self {
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, a, b)), 0);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SockAddr::from(from)).unwrap();
        socket.connect(&SockAddr::from(to)).unwrap();
        Self::from_stream(socket.into())
    }

    /// Connects with room for a few octets only, so that the server soon has to wait for us.
    #[track_caller]
    pub(crate) fn connect_narrow(to: SocketAddr) -> Self {
        Self::connect_with_room(4_096, to)
    }

    /// Connects with room for so many octets.
    #[track_caller]
    pub(crate) fn connect_with_room(octets: usize, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_recv_buffer_size(octets).unwrap();
        socket.connect(&SockAddr::from(to)).unwrap();
        Self::from_stream(socket.into())
    }

    pub(crate) fn from_stream(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    /// Says that nothing more will come from here.
    pub(crate) fn end_output(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next PDU.
    #[track_caller]
    pub(crate) fn pdu(&mut self) -> Raw {
        match self.try_pdu() {
            Ok(pdu) => pdu,
            Err(error) => panic!("no PDU: {error}"),
        }
    }

    pub(crate) fn try_pdu(&mut self) -> io::Result<Raw> {
        let mut octets = vec![0; 8];
        self.stream.read_exact(&mut octets)?;
        let length = u32::from_be_bytes(octets[4..8].try_into().unwrap());
        let length = usize::try_from(length).unwrap();
        assert!((8..=65_535).contains(&length), "{octets:?}");
        octets.resize(length, 0);
        self.stream.read_exact(&mut octets[8..])?;
        Ok(Raw(octets))
    }

    /// The next PDU, which must be of this kind.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: u8) -> Raw {
        let pdu = self.pdu();
        assert_eq!(pdu.kind(), kind, "{pdu:?}");
        pdu
    }

    /// An answer with data, whole.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let response = self.expect(CACHE_RESPONSE);
        self.rest_of_answer(&response)
    }

    /// What follows a Cache Response.
    #[track_caller]
    pub(crate) fn rest_of_answer(&mut self, response: &Raw) -> Answer {
        self.try_rest_of_answer(response).unwrap()
    }

    fn try_rest_of_answer(&mut self, response: &Raw) -> io::Result<Answer> {
        let mut payload = Vec::new();
        loop {
            let pdu = self.try_pdu()?;
            assert_eq!(pdu.version(), response.version());
            match pdu.kind() {
                4 | 6 | 9 | 11 => payload.push(pdu.0),
                END_OF_DATA => {
                    assert_eq!(pdu.word(), response.word());
                    let has = Has {
                        version: pdu.version(),
                        session: pdu.word(),
                        serial: pdu.serial(),
                    };
                    let timers = pdu.0.get(12..24).map(|octets| {
                        let word = |at: usize| octets[at..at + 4].try_into().unwrap();
                        [0, 4, 8].map(|at| u32::from_be_bytes(word(at)))
                    });
                    return Ok(Answer {
                        has,
                        payload,
                        timers,
                    });
                }
                _ => panic!("in an answer: {pdu:?}"),
            }
        }
    }

    /// Asks for everything.
    #[track_caller]
    pub(crate) fn load(&mut self, version: u8) -> Answer {
        self.send(&RESET_QUERY[usize::from(version)]);
        self.answer()
    }

    /// What somebody serves, who may not listen yet, or may have nothing yet and say so or close.
    pub(crate) fn try_load(to: SocketAddr, version: u8) -> io::Result<Answer> {
        let mut router = Self::from_stream(TcpStream::connect_timeout(&to, PATIENCE)?);
        router
            .stream
            .write_all(&RESET_QUERY[usize::from(version)])?;
        let response = router.try_pdu()?;
        match response.kind() {
            CACHE_RESPONSE => router.try_rest_of_answer(&response),
            _ => Err(io::Error::other(format!("no data: {response:?}"))),
        }
    }

    /// Asks for what changed, which must be an increment.
    #[track_caller]
    pub(crate) fn update(&mut self, has: Has) -> Answer {
        self.send(&has.query());
        self.answer()
    }

    /// Whether nothing comes for so long.
    pub(crate) fn is_quiet(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let result = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        result.is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
        })
    }

    /// Everything until the server closes in an orderly way.
    #[track_caller]
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.stream.read_to_end(&mut octets).unwrap();
        octets
    }

    /// Everything until the connection ends in whatever way.
    #[track_caller]
    pub(crate) fn until_gone(&mut self) -> Vec<u8> {
        let (mut octets, mut buffer) = (Vec::new(), [0; 65_536]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "the server goes on and on");
            match self.stream.read(&mut buffer) {
                Ok(0) => return octets,
                Ok(read) => octets.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return octets,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The PDUs that announce these payloads in a version.
pub(crate) fn announced(payloads: &Payloads, version: u8) -> BTreeSet<Vec<u8>> {
    let mut set: BTreeSet<_> = payloads.vrps.iter().map(|v| vrp(v, version, 1)).collect();
    if version >= 1 {
        for key in &payloads.keys {
            let mut pdu = header(version, 9, [1, 0], 32 + key.spki.len());
            pdu.extend_from_slice(&key.ski);
            pdu.extend_from_slice(&key.asn.to_be_bytes());
            pdu.extend_from_slice(&key.spki);
            set.insert(pdu);
        }
    }
    if version >= 2 {
        for aspa in &payloads.aspas {
            let mut pdu = header(version, 11, [1, 0], 12 + 4 * aspa.providers.len());
            pdu.extend_from_slice(&aspa.customer.to_be_bytes());
            for provider in &aspa.providers {
                pdu.extend_from_slice(&provider.to_be_bytes());
            }
            set.insert(pdu);
        }
    }
    set
}

/// The PDUs that lead from some VRPs to others, without keys and ASPAs.
pub(crate) fn increment(old: &Payloads, new: &Payloads, version: u8) -> BTreeSet<Vec<u8>> {
    let announced = new.vrps.difference(&old.vrps).map(|v| vrp(v, version, 1));
    let withdrawn = old.vrps.difference(&new.vrps).map(|v| vrp(v, version, 0));
    announced.chain(withdrawn).collect()
}

fn vrp(vrp: &Vrp, version: u8, flags: u8) -> Vec<u8> {
    let lengths = [flags, vrp.len, vrp.max_len, 0];
    let mut pdu = match vrp.address {
        IpAddr::V4(address) => {
            let mut pdu = header(version, 4, [0, 0], 20);
            pdu.extend_from_slice(&lengths);
            pdu.extend_from_slice(&address.octets());
            pdu
        }
        IpAddr::V6(address) => {
            let mut pdu = header(version, 6, [0, 0], 32);
            pdu.extend_from_slice(&lengths);
            pdu.extend_from_slice(&address.octets());
            pdu
        }
    };
    pdu.extend_from_slice(&vrp.asn.to_be_bytes());
    pdu
}

fn header(version: u8, kind: u8, word: [u8; 2], length: usize) -> Vec<u8> {
    let mut octets = vec![version, kind, word[0], word[1]];
    octets.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    octets
}
