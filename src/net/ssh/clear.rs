//! What a client says in the clear: its name, and the packets of its first key exchange
//! (RFC 4253 §§4.2, 6, 7).
//!
//! It is cut where its pieces end, so that it is known which of them russh gets next, and what
//! that will cost.

use std::io;

use russh::{Preferred, kex};

/// The part of a connection before the client's first NEWKEYS, piece by piece.
pub(super) struct Clear {
    stage: Stage,
    /// What was read of a piece.
    piece: Vec<u8>,
    /// How much of a whole piece russh has had.
    given: usize,
    /// The methods that we offer.
    offered: Box<[kex::Name]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// The line with the client's name.
    Name,
    /// Packets up to KEXINIT.
    Init,
    /// Packets up to NEWKEYS, of this method.
    Exchange(Method),
    /// All was said.
    Over,
}

/// What KEXINIT says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Method {
    pub(super) cost: Cost,
    /// Whether the client wants to hear of extensions (RFC 8308 §2.1).
    pub(super) extensions: bool,
}

/// What our part of a key exchange takes of a processor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cost {
    /// A finite field: up to a tenth of a second, or more with the largest groups.
    Heavy,
    /// A curve: a few milliseconds at most.
    Light,
}

/// The most octets of the line, its end included (RFC 4253 §4.2).
const LONGEST_NAME: usize = 255;

/// The most octets of a packet (RFC 4253 §6.1).
const LONGEST_PACKET: usize = 35_000;

/// The octets of the length of a packet.
const LENGTH: usize = 4;

/// Where the type of a packet stands: after the lengths of it and of its padding.
const TYPE: usize = 5;

/// Where the list of methods stands in KEXINIT: after the type and 16 random octets.
const METHODS: usize = TYPE + 17;

const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;

impl Clear {
    pub(super) fn new(preferred: &Preferred) -> Self {
        let extensions = [
            kex::EXTENSION_SUPPORT_AS_SERVER,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ];
        let methods = preferred.kex.iter().copied();
        Self {
            stage: Stage::Name,
            piece: Vec::new(),
            given: 0,
            offered: methods
                .filter(|method| !extensions.contains(method))
                .collect(),
        }
    }

    /// How many octets are to be read before anything can be given; none when there is something.
    pub(super) fn wants(&self) -> usize {
        if self.stage == Stage::Name {
            return usize::from(self.piece.last() != Some(&b'\n'));
        }
        match self.length() {
            None => LENGTH.saturating_sub(self.piece.len()),
            Some(length) => (LENGTH + length).saturating_sub(self.piece.len()),
        }
    }

    /// Takes what was read, never more than is wanted.
    ///
    /// # Errors
    ///
    /// When it cannot be the beginning of what the client has to say.
    pub(super) fn add(&mut self, octets: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(octets);
        match self.stage {
            Stage::Name if self.piece.len() > LONGEST_NAME => Err(broken("a name without an end")),
            Stage::Name => Ok(()),
            _ if self.length().is_some_and(|length| length > LONGEST_PACKET) => {
                Err(broken("a packet longer than 35,000 octets"))
            }
            _ if self.wants() == 0 => self.check(),
            _ => Ok(()),
        }
    }

    /// What the whole piece costs us: only packets of the exchange itself (RFC 4250 §4.1.2) do.
    pub(super) fn cost(&self) -> Option<Cost> {
        match (self.stage, self.kind()) {
            (Stage::Exchange(method), Some(30..=49)) => Some(method.cost),
            _ => None,
        }
    }

    /// What of the whole piece is still to be given.
    pub(super) fn left(&self) -> &[u8] {
        self.piece.get(self.given..).unwrap_or_default()
    }

    /// Whether nothing of a piece is here.
    pub(super) fn is_between_pieces(&self) -> bool {
        self.piece.is_empty()
    }

    /// Counts what was given. With the last octet of NEWKEYS the client falls silent for us:
    /// what it had said it wants then.
    pub(super) fn gave(&mut self, octets: usize) -> Option<Method> {
        self.given += octets;
        if self.given < self.piece.len() {
            return None;
        }
        let (kind, method) = (self.kind(), self.method());
        let mut end = None;
        self.stage = match (self.stage, kind) {
            (Stage::Name, _) => Stage::Init,
            (Stage::Init, Some(KEXINIT)) => Stage::Exchange(method),
            (Stage::Exchange(method), Some(NEWKEYS)) => {
                end = Some(method);
                Stage::Over
            }
            (stage, _) => stage,
        };
        self.piece.clear();
        self.given = 0;
        end
    }

    /// What is out of order ends the connection here, so that what follows cannot be taken for
    /// something else than russh takes it for.
    fn check(&self) -> io::Result<()> {
        match (self.stage, self.kind()) {
            (Stage::Exchange(_), Some(KEXINIT)) => Err(broken("a second KEXINIT")),
            (Stage::Init, Some(NEWKEYS | 30..=49)) => Err(broken("no KEXINIT")),
            (_, None) => Err(broken("a packet without a type")),
            _ => Ok(()),
        }
    }

    fn length(&self) -> Option<usize> {
        let length: &[u8; LENGTH] = self.piece.first_chunk()?;
        usize::try_from(u32::from_be_bytes(*length)).ok()
    }

    fn kind(&self) -> Option<u8> {
        self.piece.get(TYPE).copied()
    }

    /// What KEXINIT says. RFC 4253 §7.1: the first of the client's methods that we have, too.
    /// Without any the connection comes to nothing.
    fn method(&self) -> Method {
        let list = self.piece.get(METHODS..).and_then(|rest| {
            let (length, names) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            str::from_utf8(names.get(..length)?).ok()
        });
        let names = || list.unwrap_or_default().split(',');
        let offered = |name: &&str| self.offered.iter().any(|method| method.as_ref() == *name);
        let chosen = names().find(offered);
        let heavy = chosen.is_some_and(|name| name.starts_with("diffie-hellman"));
        Method {
            cost: if heavy { Cost::Heavy } else { Cost::Light },
            extensions: names().any(|name| name == "ext-info-c"),
        }
    }
}

/// At least as many octets as our KEXINIT has (RFC 4253 §7.1), its lists of what goes in each
/// direction included: what is written before the login and is smaller is none.
pub(super) fn smallest_init(preferred: &Preferred) -> usize {
    let list = |names: &mut dyn Iterator<Item = usize>| names.fold(LENGTH, |sum, name| sum + name);
    let methods = list(&mut preferred.kex.iter().map(|name| name.as_ref().len()));
    let ciphers = list(&mut preferred.cipher.iter().map(|name| name.as_ref().len()));
    let codes = list(&mut preferred.mac.iter().map(|name| name.as_ref().len()));
    17 + methods + 2 * ciphers + 2 * codes
}

fn broken(cause: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

#[cfg(test)]
mod tests {
    use super::super::Algorithms;
    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 5).unwrap();
        [&length.to_be_bytes(), &[4][..], payload, &[0; 4]].concat()
    }

    fn init(methods: &str) -> Vec<u8> {
        let length = u32::try_from(methods.len()).unwrap();
        let cookie = [7; 16];
        packet(
            &[
                &[KEXINIT][..],
                &cookie,
                &length.to_be_bytes(),
                methods.as_bytes(),
            ]
            .concat(),
        )
    }

    /// What each piece costs, and what is known at the end.
    fn hear(mut said: &[u8]) -> io::Result<(Vec<Option<Cost>>, Option<Method>)> {
        let mut clear = Clear::new(&Algorithms::default().preferred().unwrap());
        let (mut costs, mut end) = (Vec::new(), None);
        while end.is_none() {
            while clear.wants() > 0 {
                // As if each octet came alone.
                let Some((octet, rest)) = said.split_first() else {
                    return Ok((costs, None));
                };
                clear.add(&[*octet])?;
                said = rest;
            }
            costs.push(clear.cost());
            assert_eq!(clear.gave(1), None);
            end = clear.gave(clear.left().len());
            assert!(clear.is_between_pieces());
        }
        assert_eq!(said, b"sealed");
        Ok((costs, end))
    }

    #[test]
    fn the_method_that_russh_chooses_says_what_it_costs() {
        let heavy = "diffie-hellman-group16-sha512";
        for (methods, cost, extensions) in [
            (heavy.to_owned(), Cost::Heavy, false),
            ("ecdh-sha2-nistp384".to_owned(), Cost::Light, false),
            (
                format!("ext-info-c,unknown,{heavy},ecdh-sha2-nistp384"),
                Cost::Heavy,
                true,
            ),
            (
                format!("ecdh-sha2-nistp521,{heavy},ext-info-c"),
                Cost::Light,
                true,
            ),
            // Not offered, so not chosen.
            (
                format!("diffie-hellman-group1-sha1,ecdh-sha2-nistp384,{heavy}"),
                Cost::Light,
                false,
            ),
        ] {
            let said = [
                b"SSH-2.0-x\r\n",
                &packet(&[2])[..],
                &init(&methods),
                &packet(&[30, 0]),
                &packet(&[NEWKEYS]),
                b"sealed",
            ];
            let (costs, end) = hear(&said.concat()).unwrap();
            assert_eq!(costs, [None, None, None, Some(cost), None], "{methods}");
            assert_eq!(end, Some(Method { cost, extensions }), "{methods}");
        }
    }

    #[test]
    fn what_is_out_of_order_or_too_large_ends_it() {
        let name = b"SSH-2.0-x\n".to_vec();
        let twice = [name.clone(), init("x"), init("x")].concat();
        for (said, why) in [
            (vec![b'x'; 300], "without an end"),
            ([name.clone(), packet(&[30])].concat(), "no KEXINIT"),
            ([name.clone(), packet(&[NEWKEYS])].concat(), "no KEXINIT"),
            (twice, "second KEXINIT"),
            ([name.clone(), vec![0; 4]].concat(), "without a type"),
            ([name, vec![0, 1, 0, 0]].concat(), "35,000"),
        ] {
            let error = hear(&said).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
