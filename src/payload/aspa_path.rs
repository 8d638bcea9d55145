//! Verification of AS paths by ASPAs (draft-ietf-sidrops-aspa-verification, its sections as
//! revision 27 numbers them).

use std::fmt;

use super::asn::Asn;
use super::set::PayloadSet;

/// An element of a path as BGP has it, confederation segments left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathElement {
    /// An AS of an AS_SEQUENCE.
    As(Asn),
    /// An AS_SET: nobody can say which way the route took, so it makes every path invalid.
    Set(Vec<Asn>),
}

/// Which way the route came, and so which shape its path may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Procedure {
    /// From a customer, a peer, a client of this route server, or from a route server: each AS
    /// must have handed it to a provider (§5.4).
    Upstream,
    /// From a provider: up to the top and down again (§5.5).
    Downstream,
}

/// Who handed the route over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Neighbor {
    /// This AS, which must be the first of the path.
    As(Asn),
    /// A route server, which need not be in the path: nothing is checked (§5.4).
    RouteServer,
}

/// What comes of a verification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathState {
    /// Every hop is attested as the shape needs it.
    Valid,
    /// The path has no shape that the ASPAs allow.
    Invalid,
    /// Attestations are missing; it counts like valid (§5.6).
    Unknown,
}

impl fmt::Display for PathState {
    /// `valid`, `invalid` or `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
        })
    }
}

/// What the ASPAs say of an AS as a provider of another (§5.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attestation {
    /// The customer has no ASPA.
    None,
    /// The customer's ASPA has the provider.
    Provider,
    /// The customer's ASPA does not have it.
    NotProvider,
}

/// A hop of a path, as one of the two directions asks for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hop {
    /// The AS that would be the customer.
    pub customer: Asn,
    /// The AS that would be its provider.
    pub provider: Asn,
    /// What the customer's ASPA says of that.
    pub attestation: Attestation,
}

impl fmt::Display for Hop {
    /// `AS64496 does not have AS64497 as a provider`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (customer, provider) = (self.customer, self.provider);
        match self.attestation {
            Attestation::None => write!(f, "{customer} has no ASPA"),
            Attestation::Provider => write!(f, "{customer} has {provider} as a provider"),
            Attestation::NotProvider => {
                write!(f, "{customer} does not have {provider} as a provider")
            }
        }
    }
}

/// How many ASes, of all that are in the path, each ramp has (§5.3). The up-ramp begins at the
/// origin, the down-ramp at the neighbour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ramps {
    /// The up-ramp, where missing attestations count as given.
    pub max_up: usize,
    /// The up-ramp, where they count as denied.
    pub min_up: usize,
    /// The down-ramp, where missing attestations count as given; 0 upstream.
    pub max_down: usize,
    /// The down-ramp, where they count as denied; 0 upstream.
    pub min_down: usize,
}

/// Why a path has its state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// It is empty, and so invalid.
    EmptyPath,
    /// It has an AS_SET, and so is invalid.
    AsSet,
    /// It does not begin with the neighbour, and so is invalid.
    OtherNeighbor {
        /// The AS it begins with.
        found: Asn,
        /// The neighbour.
        expected: Asn,
    },
    /// What its hops say.
    Hops {
        /// How far the ramps reach.
        ramps: Ramps,
        /// The first hop, from the origin, that is not as the state above would need it; `None`
        /// of a valid path.
        up_stop: Option<Hop>,
        /// The same from the neighbour, downstream only.
        down_stop: Option<Hop>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyPath => f.write_str("the path is empty"),
            Self::AsSet => f.write_str("the path has an AS_SET"),
            Self::OtherNeighbor { found, expected } => {
                write!(f, "the path begins with {found} and not with {expected}")
            }
            Self::Hops {
                up_stop, down_stop, ..
            } => match (up_stop, down_stop) {
                (None, None) => f.write_str("every hop is attested"),
                (Some(hop), None) | (None, Some(hop)) => hop.fmt(f),
                (Some(up), Some(down)) => write!(f, "{up}, and {down}"),
            },
        }
    }
}

/// The state of a path and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathValidity {
    /// The state.
    pub state: PathState,
    /// The reason.
    pub reason: Reason,
    /// The path without repeats that follow each other (§5.1), the neighbour first; empty when
    /// the path has an AS_SET.
    pub path: Vec<Asn>,
}

impl PayloadSet {
    /// Verifies a path, the neighbour first and the origin last, as BGP has it. This applies to
    /// unicast routes of both families (§6.2). Costs two or four binary searches a hop.
    pub fn path_validity(
        &self,
        path: &[PathElement],
        procedure: Procedure,
        neighbor: Neighbor,
    ) -> PathValidity {
        let invalid = |reason, path| PathValidity {
            state: PathState::Invalid,
            reason,
            path,
        };
        let Some(path) = compressed(path) else {
            return invalid(Reason::AsSet, Vec::new());
        };
        let Some(found) = path.first().copied() else {
            return invalid(Reason::EmptyPath, path);
        };
        if let Neighbor::As(expected) = neighbor
            && found != expected
        {
            return invalid(Reason::OtherNeighbor { found, expected }, path);
        }
        let (state, reason) = self.hops(&path, procedure);
        PathValidity {
            state,
            reason,
            path,
        }
    }

    /// What the ASPAs say of `provider` as a provider of `customer`. AS0 is nobody's provider,
    /// and an ASPA that names it is there all the same (§5.2).
    pub fn attestation(&self, customer: Asn, provider: Asn) -> Attestation {
        match self.aspa(customer) {
            None => Attestation::None,
            Some(aspa)
                if provider != Asn::ZERO && aspa.providers().binary_search(&provider).is_ok() =>
            {
                Attestation::Provider
            }
            Some(_) => Attestation::NotProvider,
        }
    }

    fn hops(&self, path: &[Asn], procedure: Procedure) -> (PathState, Reason) {
        let pairs = || {
            path.windows(2)
                .filter_map(|pair| <[Asn; 2]>::try_from(pair).ok())
        };
        let up = pairs()
            .rev()
            .map(|[provider, customer]| self.hop(customer, provider));
        let up = Ramp::new(up, path.len());
        let down = match procedure {
            Procedure::Upstream => Ramp::default(),
            Procedure::Downstream => {
                let down = pairs().map(|[customer, provider]| self.hop(customer, provider));
                Ramp::new(down, path.len())
            }
        };
        let ramps = Ramps {
            max_up: up.max,
            min_up: up.min,
            max_down: down.max,
            min_down: down.min,
        };
        let (state, up_stop, down_stop) = if up.max + down.max < path.len() {
            (PathState::Invalid, up.denied, down.denied)
        } else if up.min + down.min < path.len() {
            (PathState::Unknown, up.unattested, down.unattested)
        } else {
            (PathState::Valid, None, None)
        };
        let reason = Reason::Hops {
            ramps,
            up_stop,
            down_stop,
        };
        (state, reason)
    }

    fn hop(&self, customer: Asn, provider: Asn) -> Hop {
        Hop {
            customer,
            provider,
            attestation: self.attestation(customer, provider),
        }
    }
}

/// How far a ramp reaches, and what stops it.
#[derive(Debug, Default)]
struct Ramp {
    max: usize,
    min: usize,
    /// The first hop that is denied.
    denied: Option<Hop>,
    /// The first hop that is denied or not attested.
    unattested: Option<Hop>,
}

impl Ramp {
    /// The ramp over these hops of a path of so many ASes.
    fn new(hops: impl Iterator<Item = Hop>, len: usize) -> Self {
        let mut ramp = Self {
            max: len,
            min: len,
            ..Self::default()
        };
        for (before, hop) in (1..).zip(hops) {
            if hop.attestation != Attestation::Provider && ramp.unattested.is_none() {
                ramp.min = before;
                ramp.unattested = Some(hop);
            }
            if hop.attestation == Attestation::NotProvider {
                ramp.max = before;
                ramp.denied = Some(hop);
                break;
            }
        }
        ramp
    }
}

/// The path without repeats that follow each other, `None` when it has an AS_SET.
fn compressed(path: &[PathElement]) -> Option<Vec<Asn>> {
    let ases = path.iter().map(|element| match element {
        PathElement::As(asn) => Some(*asn),
        PathElement::Set(_) => None,
    });
    let mut ases: Vec<Asn> = ases.collect::<Option<_>>()?;
    ases.dedup();
    Some(ases)
}
