//! Which routers there are, for whoever asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::profile::Offer;
use crate::http::shape::{ClientStatus, Clients as Listed};
use crate::net::{Identity, Peer};
use crate::payload::UnixTime;
use crate::rtr::{Serial, Version};

/// The sessions that there are; as many as connections, at most.
#[derive(Debug, Default)]
pub struct Clients {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// In the order in which they came.
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    who: Arc<Who>,
    offer: Arc<Offer>,
    has: Option<(Version, Serial)>,
}

/// A router.
#[derive(Debug)]
pub struct Who {
    /// Where it is.
    pub peer: Peer,
    /// The proxy that says so, `None` for a connection of its own.
    pub proxy: Option<IpAddr>,
    /// Who it has proven to be.
    pub identity: Identity,
    /// When its session began.
    pub since: UnixTime,
}

impl Clients {
    /// Lists a router until the value is dropped.
    pub fn list(self: &Arc<Self>, who: Arc<Who>, offer: Arc<Offer>) -> Client {
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        let has = None;
        table.entries.insert(number, Entry { who, offer, has });
        drop(table);
        Client {
            clients: Arc::clone(self),
            number,
        }
    }

    /// The first of them, so many at most, and how many there are.
    pub fn first(&self, limit: usize) -> Listed {
        let table = self.table();
        let first = table.entries.values().take(limit);
        Listed {
            total: super::status::count(table.entries.len()),
            clients: first.map(status).collect(),
        }
    }

    /// A panic while it was locked cannot have left it half-changed in a way that matters.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(entry: &Entry) -> ClientStatus {
    let Entry { who, offer, has } = entry;
    let (user, names) = match &who.identity {
        Identity::Unproven => (None, Vec::new()),
        Identity::User(user) => (Some(user.to_string()), Vec::new()),
        Identity::Certificate(names) => (None, names.iter().map(ToString::to_string).collect()),
    };
    ClientStatus {
        address: who.peer.address().to_string(),
        transport: who.peer.transport().name().to_owned(),
        user,
        names,
        profile: offer.profile.as_ref().map(ToString::to_string),
        since: who.since.into(),
        version: has.map(|(version, _)| version.octet()),
        serial: has.map(|(_, serial)| serial.into_u32()),
    }
}

/// A router that is listed.
#[derive(Debug)]
pub struct Client {
    clients: Arc<Clients>,
    number: u64,
}

impl Client {
    /// Notes what the router gets from now on.
    pub fn gets(&self, offer: &Arc<Offer>) {
        if let Some(entry) = self.clients.table().entries.get_mut(&self.number) {
            entry.offer = Arc::clone(offer);
        }
    }

    /// Notes the set that the router has now.
    pub fn has(&self, version: Version, serial: Serial) {
        if let Some(entry) = self.clients.table().entries.get_mut(&self.number) {
            entry.has = Some((version, serial));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.clients.table().entries.remove(&self.number);
    }
}
