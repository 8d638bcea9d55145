//! Invented lists of payloads that look like the real ones: the mix of prefix lengths, the share
//! of the families, five trust anchors, expiries spread to the second. They come from a seed, so
//! the same arguments give the same list.

use std::collections::HashSet;

use rutter::payload::rows::Attribute;
use rutter::payload::{Asn, Aspa, RouterKey, RowsBuilder, UnixTime, Vrp, aspa, router_key, vrp};

use crate::random::Random;
use crate::wire::Count;

/// The five trust anchors, by weight.
const TRUST_ANCHORS: [(u32, &str); 5] = [
    (42, "ripe"),
    (28, "apnic"),
    (16, "arin"),
    (10, "lacnic"),
    (4, "afrinic"),
];

/// IPv4 prefix lengths, by weight.
const LENGTHS_V4: [(u32, u8); 14] = [
    (560, 24),
    (80, 23),
    (130, 22),
    (45, 21),
    (60, 20),
    (40, 19),
    (25, 18),
    (14, 17),
    (26, 16),
    (6, 15),
    (6, 14),
    (4, 13),
    (3, 12),
    (1, 28),
];

/// IPv6 prefix lengths, by weight.
const LENGTHS_V6: [(u32, u8); 12] = [
    (480, 48),
    (190, 32),
    (70, 44),
    (60, 40),
    (55, 36),
    (40, 29),
    (25, 47),
    (20, 46),
    (20, 45),
    (20, 33),
    (10, 64),
    (10, 56),
];

/// The header of every P-256 key: SEQUENCE, the two object identifiers, BIT STRING, point.
const P256_HEADER: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

const SIX_HOURS: u64 = 6 * 3600;
const TEN_DAYS: u64 = 240 * 3600;
const ROUTER_KEYS: usize = 20;
const ASPAS: u32 = 1_000;

/// A payload, the name of its trust anchor and when it expires.
#[derive(Clone, Debug)]
pub(crate) struct Row<T> {
    pub(crate) payload: T,
    pub(crate) trust_anchor: &'static str,
    pub(crate) expires: UnixTime,
}

/// What a list shall have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) vrps: usize,
    pub(crate) seed: u64,
    pub(crate) now: UnixTime,
    pub(crate) aspas: Aspas,
}

/// Whether a list has ASPAs: some servers take them badly, and are then compared without.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Aspas {
    Present,
    Absent,
}

/// A list of payloads in the order in which validators write them.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) vrps: Vec<Row<Vrp>>,
    pub(crate) router_keys: Vec<Row<RouterKey>>,
    pub(crate) aspas: Vec<Row<Aspa>>,
    pub(crate) now: UnixTime,
}

/// A value the generator made that is no payload: a mistake in this file.
#[derive(Debug)]
pub(crate) struct Mistake(String);

impl List {
    /// The list of this plan.
    ///
    /// # Errors
    ///
    /// When the generator is wrong about the bounds of a payload.
    pub(crate) fn new(plan: Plan) -> Result<Self, Mistake> {
        let mut maker = Maker {
            random: Random::new(plan.seed),
            seen: HashSet::with_capacity(plan.vrps),
            now: plan.now,
        };
        let v6 = plan.vrps / 5;
        let mut vrps = Vec::with_capacity(plan.vrps);
        maker.vrps(&mut vrps, Family::V4, plan.vrps - v6)?;
        maker.vrps(&mut vrps, Family::V6, v6)?;
        in_file_order(&mut vrps);
        let router_keys = maker.router_keys()?;
        let aspas = match plan.aspas {
            Aspas::Present => maker.aspas()?,
            Aspas::Absent => Vec::new(),
        };
        Ok(Self {
            vrps,
            router_keys,
            aspas,
            now: plan.now,
        })
    }

    /// This list with as many random VRPs withdrawn and as many new ones announced; all others
    /// stay as they are, to the second of their expiry.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(crate) fn changed(
        &self,
        seed: u64,
        announce: usize,
        withdraw: usize,
    ) -> Result<Self, Mistake> {
        let mut maker = Maker {
            random: Random::new(!seed),
            seen: self.vrps.iter().map(|row| row.payload).collect(),
            now: self.now,
        };
        let mut vrps = self.vrps.clone();
        maker.random.shuffle(&mut vrps);
        vrps.truncate(vrps.len().saturating_sub(withdraw));
        let v6 = announce / 5;
        maker.vrps(&mut vrps, Family::V4, announce - v6)?;
        maker.vrps(&mut vrps, Family::V6, v6)?;
        in_file_order(&mut vrps);
        Ok(Self {
            vrps,
            ..self.clone()
        })
    }

    /// What a full answer in version 1 has, which is all but the ASPAs.
    pub(crate) fn count(&self) -> Count {
        let mut count = Count::default();
        self.vrps.iter().for_each(|row| count.add_vrp(&row.payload));
        let keys = self.router_keys.iter();
        keys.for_each(|row| count.add_router_key(&row.payload));
        count
    }

    /// The same payloads as the library takes them.
    pub(crate) fn to_builder(&self) -> RowsBuilder {
        let mut builder = RowsBuilder::new();
        for row in &self.vrps {
            let attribute = attribute(&mut builder, row);
            builder.push_vrp(row.payload, attribute);
        }
        for row in &self.router_keys {
            let attribute = attribute(&mut builder, row);
            builder.push_router_key(row.payload.clone(), attribute);
        }
        for row in &self.aspas {
            let attribute = attribute(&mut builder, row);
            builder.push_aspa(row.payload.clone(), attribute);
        }
        builder
    }
}

fn attribute<T>(builder: &mut RowsBuilder, row: &Row<T>) -> Attribute {
    let trust_anchor = builder.trust_anchor(row.trust_anchor);
    Attribute::new(Some(row.expires), trust_anchor)
}

/// Validators write prefixes ascending, IPv4 first.
fn in_file_order(vrps: &mut [Row<Vrp>]) {
    vrps.sort_by_key(|row| {
        let vrp = row.payload;
        (vrp.prefix(), vrp.max_len(), vrp.asn())
    });
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

struct Maker {
    random: Random,
    seen: HashSet<Vrp>,
    now: UnixTime,
}

impl Maker {
    fn vrps(
        &mut self,
        into: &mut Vec<Row<Vrp>>,
        family: Family,
        count: usize,
    ) -> Result<(), Mistake> {
        let goal = into.len() + count;
        while into.len() < goal {
            let vrp = match family {
                Family::V4 => self.v4()?,
                Family::V6 => self.v6()?,
            };
            if self.seen.insert(vrp) {
                into.push(self.row(vrp));
            }
        }
        Ok(())
    }

    fn v4(&mut self) -> Result<Vrp, Mistake> {
        let len = self.random.weighted(&LENGTHS_V4).unwrap_or(24);
        // 1.0.0.0 to 223.255.255.255.
        let address = 0x0100_0000 + self.random.below_u32(0xDF00_0000);
        let address = (address >> (32 - len)) << (32 - len);
        let max_len = self.max_len(len, 24, 32);
        let vrp = vrp::VrpV4::new(address, len, max_len, self.origin())?;
        Ok(Vrp::V4(vrp))
    }

    fn v6(&mut self) -> Result<Vrp, Mistake> {
        let len = self.random.weighted(&LENGTHS_V6).unwrap_or(48);
        // 2000::/3, in blocks of the size that registries hand out.
        let address = (0x2000 << 112) | (self.random.next_wide() >> 4);
        let address = (address >> (128 - len)) << (128 - len);
        let max_len = self.max_len(len, 48, 128);
        let vrp = vrp::VrpV6::new(address, len, max_len, self.origin())?;
        Ok(Vrp::V6(vrp))
    }

    /// Three of four VRPs allow their own length only; most of the others go to what routers
    /// accept, a few to the end.
    fn max_len(&mut self, len: u8, usual: u8, limit: u8) -> u8 {
        match self.random.below_u32(100) {
            0..75 => len,
            75..99 => usual.max(len),
            _ => limit,
        }
    }

    fn origin(&mut self) -> Asn {
        Asn::new(match self.random.below_u32(100) {
            0 => 0,
            1..70 => 1 + self.random.below_u32(64_000),
            _ => 131_072 + self.random.below_u32(270_000),
        })
    }

    fn router_keys(&mut self) -> Result<Vec<Row<RouterKey>>, Mistake> {
        (0..ROUTER_KEYS)
            .map(|_| {
                let mut ski = [0; 20];
                ski.copy_from_slice(&self.random.octets(20));
                let key = [P256_HEADER.to_vec(), self.random.octets(64)].concat();
                let key = RouterKey::new(ski, self.origin(), &key)?;
                Ok(self.row(key))
            })
            .collect()
    }

    fn aspas(&mut self) -> Result<Vec<Row<Aspa>>, Mistake> {
        let mut customer = 0;
        (0..ASPAS)
            .map(|_| {
                customer += 1 + self.random.below_u32(60);
                let count = 1 + self.random.below_u32(6);
                // Beyond all customers, so that nobody is its own provider.
                let providers = (0..count)
                    .map(|_| Asn::new(100_000 + self.random.below_u32(300_000)))
                    .collect();
                let aspa = Aspa::new(Asn::new(customer), providers)?;
                Ok(self.row(aspa))
            })
            .collect()
    }

    fn row<T>(&mut self, payload: T) -> Row<T> {
        let spread = self.random.below(TEN_DAYS - SIX_HOURS);
        Row {
            payload,
            trust_anchor: self.random.weighted(&TRUST_ANCHORS).unwrap_or("ripe"),
            expires: self.now.plus(SIX_HOURS + spread),
        }
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the generator made no payload: {}", self.0)
    }
}

impl std::error::Error for Mistake {}

impl From<vrp::VrpError> for Mistake {
    fn from(error: vrp::VrpError) -> Self {
        Self(error.to_string())
    }
}

impl From<router_key::RouterKeyError> for Mistake {
    fn from(error: router_key::RouterKeyError) -> Self {
        Self(error.to_string())
    }
}

impl From<aspa::AspaError> for Mistake {
    fn from(error: aspa::AspaError) -> Self {
        Self(error.to_string())
    }
}
