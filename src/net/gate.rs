//! How many connections there may be, of all, of an address and of a network.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Of all addresses together.
    pub total: usize,
    /// From one address.
    pub per_address: usize,
    /// From one [`Network`].
    pub per_network: usize,
}

/// What is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// Everything.
    Total,
    /// The part of this address.
    Address,
    /// The part of this network.
    Network,
}

/// Room for connections.
///
/// It remembers an address only as long as it has a connection, so [`Bounds::total`] bounds its
/// memory, too.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bounds: Bounds,
    taken: usize,
    addresses: HashMap<IpAddr, usize>,
    networks: HashMap<Network, usize>,
}

impl Gate {
    /// A gate that nobody has come through.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                bounds,
                taken: 0,
                addresses: HashMap::new(),
                networks: HashMap::new(),
            }),
        })
    }

    /// A place for a connection from this address, which is not to be an IPv4 address mapped into
    /// IPv6. Costs a few look-ups.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let mut state = self.state();
        state.has_room()?;
        state.name(address)?;
        state.taken += 1;
        drop(state);
        Ok(Place {
            gate: Arc::clone(self),
            address: Some(address),
        })
    }

    /// A place for a connection that has yet to say for whom it is: it counts among all only.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn enter_unnamed(self: &Arc<Self>) -> Result<Place, Full> {
        let mut state = self.state();
        state.has_room()?;
        state.taken += 1;
        drop(state);
        Ok(Place {
            gate: Arc::clone(self),
            address: None,
        })
    }

    /// Whether there would be a place for a connection from this address, which has yet to prove
    /// that it is worth one.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn has_room(&self, address: IpAddr) -> Result<(), Full> {
        let state = self.state();
        state.has_room()?;
        state.has_room_for(address)
    }

    /// Takes other bounds. Who is there stays.
    pub fn resize(&self, bounds: Bounds) {
        self.state().bounds = bounds;
    }

    /// How many connections there are.
    pub fn taken(&self) -> usize {
        self.state().taken
    }

    /// A panic while it was locked cannot have left it half-changed in a way that matters.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn has_room(&self) -> Result<(), Full> {
        match self.taken < self.bounds.total {
            true => Ok(()),
            false => Err(Full::Total),
        }
    }

    fn has_room_for(&self, address: IpAddr) -> Result<(), Full> {
        let network = Network::of(address);
        let there = |count: Option<&usize>| count.copied().unwrap_or(0);
        if there(self.addresses.get(&address)) >= self.bounds.per_address {
            return Err(Full::Address);
        }
        if there(self.networks.get(&network)) >= self.bounds.per_network {
            return Err(Full::Network);
        }
        Ok(())
    }

    /// Counts a connection for its address and its network, or for neither.
    fn name(&mut self, address: IpAddr) -> Result<(), Full> {
        self.has_room_for(address)?;
        *self.addresses.entry(address).or_default() += 1;
        *self.networks.entry(Network::of(address)).or_default() += 1;
        Ok(())
    }

    fn leave(&mut self, address: Option<IpAddr>) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(address) = address {
            less(&mut self.addresses, address);
            less(&mut self.networks, Network::of(address));
        }
    }
}

/// One less of a kind, which vanishes with its last.
fn less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut entry) = counts.entry(key) {
        match entry.get().saturating_sub(1) {
            0 => drop(entry.remove()),
            left => *entry.get_mut() = left,
        }
    }
}

/// A place among the connections, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Place {
    /// Makes an unnamed place one of this address.
    ///
    /// # Errors
    ///
    /// When the part of the address or of its network is full; then the place stays unnamed.
    pub fn name(&mut self, address: IpAddr) -> Result<(), Full> {
        let mut state = self.gate.state();
        if self.address.is_none() {
            state.name(address)?;
            self.address = Some(address);
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.state().leave(self.address);
    }
}

/// What is likely to be one hand: 24 bits of an IPv4 address, 48 of an IPv6 one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Network {
    /// The first 24 bits.
    V4([u8; 3]),
    /// The first 48 bits.
    V6([u16; 3]),
}

impl Network {
    /// The network of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    const fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        Self::V4([a, b, c])
    }

    const fn of_v6(address: Ipv6Addr) -> Self {
        let [a, b, c, ..] = address.segments();
        Self::V6([a, b, c])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(total: usize, per_address: usize, per_network: usize) -> Arc<Gate> {
        Gate::new(Bounds {
            total,
            per_address,
            per_network,
        })
    }

    fn enter(gate: &Arc<Gate>, address: &str) -> Result<Place, Full> {
        gate.enter(address.parse().unwrap())
    }

    #[test]
    fn each_bound_holds_and_places_come_back() {
        let gate = gate(5, 2, 3);
        let mut places = vec![
            enter(&gate, "192.0.2.1").unwrap(),
            enter(&gate, "192.0.2.1").unwrap(),
        ];
        assert_eq!(enter(&gate, "192.0.2.1").unwrap_err(), Full::Address);
        places.push(enter(&gate, "192.0.2.255").unwrap());
        assert_eq!(enter(&gate, "192.0.2.3").unwrap_err(), Full::Network);
        places.push(enter(&gate, "192.0.3.3").unwrap());
        places.push(enter(&gate, "2001:db8:0:1::1").unwrap());
        assert_eq!(enter(&gate, "198.51.100.1").unwrap_err(), Full::Total);
        let room = |address: &str| gate.has_room(address.parse().unwrap());
        assert_eq!(room("198.51.100.1"), Err(Full::Total));
        assert_eq!(gate.enter_unnamed().unwrap_err(), Full::Total);
        assert_eq!(gate.taken(), 5);
        drop(places.remove(0));
        assert_eq!(room("198.51.100.1"), Ok(()));
        assert_eq!(room("192.0.2.255"), Ok(()));
        drop(enter(&gate, "192.0.2.1").unwrap());
        drop(places);
        let state = gate.state();
        assert_eq!(
            (state.taken, state.addresses.len(), state.networks.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn networks_of_ipv6_have_48_bits() {
        let gate = gate(10, 10, 2);
        let _first = enter(&gate, "2001:db8:1::1").unwrap();
        let _second = enter(&gate, "2001:db8:1:ffff::1").unwrap();
        assert_eq!(enter(&gate, "2001:db8:1:2::").unwrap_err(), Full::Network);
        assert!(enter(&gate, "2001:db8:2::1").is_ok());
    }

    #[test]
    fn an_unnamed_place_gets_a_name_once_and_only_where_there_is_room() {
        let gate = gate(10, 1, 10);
        let address = "192.0.2.1".parse().unwrap();
        let mut place = gate.enter_unnamed().unwrap();
        let other = gate.enter(address).unwrap();
        assert_eq!(place.name(address), Err(Full::Address));
        drop(other);
        assert_eq!(place.name(address), Ok(()));
        assert_eq!(place.name("192.0.2.2".parse().unwrap()), Ok(()));
        assert_eq!(gate.enter(address).unwrap_err(), Full::Address);
        drop(place);
        assert_eq!((gate.taken(), gate.state().addresses.len()), (0, 0));
    }

    #[test]
    fn bounds_can_shrink_below_what_is_taken() {
        let gate = gate(3, 3, 3);
        let places: Vec<_> = (0..3).map(|_| enter(&gate, "::1").unwrap()).collect();
        gate.resize(Bounds {
            total: 3,
            per_address: 1,
            per_network: 3,
        });
        assert_eq!(enter(&gate, "::1").unwrap_err(), Full::Total);
        drop(places);
        let _place = enter(&gate, "::1").unwrap();
        assert_eq!(enter(&gate, "::1").unwrap_err(), Full::Address);
    }
}
