//! ASPAs: customers and their providers.

use std::fmt;
use std::sync::Arc;

use super::asn::Asn;
use super::rows::Ranked;

/// A customer AS and all its providers (the ASPA profile draft; 8210bis §5.12).
///
/// Providers are ascending and unique, there is at least one, the customer is not among them, and
/// AS0 stands alone: all by construction. The order is by customer, ascending, as §11.2 wants it.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Aspa {
    customer: Asn,
    providers: Arc<[Asn]>,
}

impl Aspa {
    /// The most providers served. The wire allows 16,380, but a router is known to take more than
    /// 10,000 as a withdrawal and to end the session later (CONFORMANCE decision 5.15).
    pub const MAX_PROVIDERS: usize = 10_000;

    /// The ASPA of this customer with the union of these providers, in any order, repeated or
    /// not. AS0 beside another provider is dropped (8210bis §5.12).
    ///
    /// # Errors
    ///
    /// When the customer is AS0 or among the providers, or there are none or too many of them.
    pub fn new(customer: Asn, mut providers: Vec<Asn>) -> Result<Self, AspaError> {
        providers.sort_unstable();
        providers.dedup();
        if providers.len() > 1 {
            providers.retain(|provider| *provider != Asn::ZERO);
        }
        if providers.len() > Self::MAX_PROVIDERS {
            return Err(AspaError::TooMany {
                found: providers.len(),
            });
        }
        Self::from_ascending(customer, providers)
    }

    /// The ASPA of exactly this list, as a router must check it (8210bis §5.12).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and when the list is not strictly ascending or mixes AS0 with
    /// other providers. The length is not limited here: the PDU limits it.
    pub fn from_wire(customer: Asn, providers: Vec<Asn>) -> Result<Self, AspaError> {
        if !providers.is_sorted_by(|a, b| a < b) {
            return Err(AspaError::Order);
        }
        if providers.len() > 1 && providers.first() == Some(&Asn::ZERO) {
            return Err(AspaError::MixedAs0);
        }
        Self::from_ascending(customer, providers)
    }

    fn from_ascending(customer: Asn, providers: Vec<Asn>) -> Result<Self, AspaError> {
        if customer == Asn::ZERO {
            return Err(AspaError::CustomerAs0);
        }
        if providers.is_empty() {
            return Err(AspaError::NoProvider);
        }
        if providers.binary_search(&customer).is_ok() {
            return Err(AspaError::OwnProvider);
        }
        Ok(Self {
            customer,
            providers: providers.into(),
        })
    }

    /// The customer AS.
    pub const fn customer(&self) -> Asn {
        self.customer
    }

    /// The providers, ascending; AS0 alone says that there are none.
    pub fn providers(&self) -> &[Asn] {
        &self.providers
    }
}

impl Ranked for Aspa {
    /// Most AS numbers are below 2^20.
    fn rank(&self) -> u16 {
        u16::try_from(self.customer.into_u32() >> 4).unwrap_or(u16::MAX)
    }
}

impl fmt::Debug for Aspa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {:?}", self.customer, self.providers)
    }
}

/// Values that are no ASPA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AspaError {
    /// The customer is AS0.
    CustomerAs0,
    /// AS0 stands beside other providers.
    MixedAs0,
    /// There is no provider.
    NoProvider,
    /// The list is not strictly ascending.
    Order,
    /// The customer is among its providers.
    OwnProvider,
    /// There are more than [`Aspa::MAX_PROVIDERS`].
    TooMany {
        /// How many there are.
        found: usize,
    },
}

impl fmt::Display for AspaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CustomerAs0 => f.write_str("the customer is AS0"),
            Self::MixedAs0 => f.write_str("AS0 stands beside other providers"),
            Self::NoProvider => f.write_str("there is no provider"),
            Self::Order => f.write_str("the providers are not strictly ascending"),
            Self::OwnProvider => f.write_str("the customer is among its own providers"),
            Self::TooMany { found } => {
                write!(f, "{found} providers are more than {}", Aspa::MAX_PROVIDERS)
            }
        }
    }
}

impl std::error::Error for AspaError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn asns(numbers: &[u32]) -> Vec<Asn> {
        numbers.iter().copied().map(Asn::new).collect()
    }

    fn union(numbers: &[u32]) -> Result<Vec<u32>, AspaError> {
        let aspa = Aspa::new(Asn::new(64500), asns(numbers))?;
        Ok(aspa.providers().iter().map(|asn| asn.into_u32()).collect())
    }

    #[test]
    fn unions_are_canonical() {
        assert_eq!(union(&[3, 1, 2, 3]), Ok(vec![1, 2, 3]));
        assert_eq!(union(&[5, 0]), Ok(vec![5]));
        assert_eq!(union(&[0, 0]), Ok(vec![0]));
    }

    #[test]
    fn refuses_what_no_router_takes() {
        assert_eq!(union(&[]), Err(AspaError::NoProvider));
        assert_eq!(union(&[1, 64500]), Err(AspaError::OwnProvider));
        let many: Vec<u32> = (1..=10_001).collect();
        assert_eq!(union(&many), Err(AspaError::TooMany { found: 10_001 }));
        assert_eq!(
            Aspa::new(Asn::ZERO, asns(&[1])),
            Err(AspaError::CustomerAs0)
        );
        let wire = |numbers: &[u32]| Aspa::from_wire(Asn::new(64500), asns(numbers));
        assert_eq!(wire(&[2, 1]), Err(AspaError::Order));
        assert_eq!(wire(&[1, 1]), Err(AspaError::Order));
        assert_eq!(wire(&[0, 1]), Err(AspaError::MixedAs0));
    }
}
