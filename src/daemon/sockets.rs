//! Where the server is connected to: listeners of routers, HTTP and the control socket.
//!
//! What can fail is done first, by [`Sockets::open`]; [`Sockets::apply`] then cannot.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::backend::{self, Place};
use super::carrier::{Carriers, Loaded};
use super::lifecycle::ServeError;
use super::listener::{self, Terms};
use super::session::Shared;
use super::tasks::{Stop, stopper};
use crate::config::{self, Config, Need};
use crate::http::shape::ListenerStatus;
use crate::http::{self, Access, Backend};
use crate::net::gate::{Bounds, Gate};
use crate::net::tls::TlsAcceptor;
use crate::net::{self, Md5Key, TcpOptions};

/// The sockets of a running server.
pub(super) struct Sockets {
    listeners: HashMap<Spot, ListenerTask>,
    http: HashMap<Place, Stop>,
    /// Places that a reload has closed: they end when it is answered, perhaps over one of them.
    leaving: Vec<Stop>,
    access: watch::Sender<Access>,
    /// Room for connections over HTTP.
    web: Arc<Gate>,
}

/// The address of a listener, and how many before it have the same: port 0 is another port each
/// time.
type Spot = (SocketAddr, usize);

struct ListenerTask {
    socket: Arc<net::Listener>,
    terms: watch::Sender<Arc<Terms>>,
    fingerprints: Vec<String>,
    _stop: Stop,
}

/// Everything that another configuration needs and that could not be had.
pub(super) struct Opened {
    /// What the files of each listener say, and its socket when it is a new one.
    listeners: Vec<(Spot, Loaded, Option<net::Listener>)>,
    http: Vec<(Place, http::Server)>,
    /// The handshake of HTTP, where there is one.
    tls: Option<TlsAcceptor>,
}

/// What tasks need that sockets start.
pub(super) struct Crew<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) backend: &'a Arc<Backend>,
    /// Tells every task that the server stops.
    pub(super) stopped: &'a watch::Receiver<bool>,
    /// Tasks with routers at their other end.
    pub(super) sessions: &'a mut JoinSet<()>,
    pub(super) works: &'a mut JoinSet<()>,
}

impl Sockets {
    /// None yet.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            listeners: HashMap::new(),
            http: HashMap::new(),
            leaving: Vec::new(),
            access: watch::Sender::new(backend::access(config, None)),
            web: Gate::new(web_bounds(config)),
        }
    }

    /// Opens what this configuration has and the one before had not, and exchanges the keys of
    /// signatures; when anything fails, everything is as before.
    pub(super) fn open(&self, config: &Config, carriers: Carriers) -> Result<Opened, ServeError> {
        let mut listeners = Vec::new();
        for ((spot, listener), loaded) in spots(config).zip(carriers.listeners) {
            let socket = match self.listeners.contains_key(&spot) {
                true => None,
                false => Some(bind(listener, &loaded, config)?),
            };
            listeners.push((spot, loaded, socket));
        }
        let http = self.open_http(config)?;
        self.sign(&listeners)?;
        Ok(Opened {
            listeners,
            http,
            tls: carriers.http.map(|loaded| loaded.acceptor),
        })
    }

    fn open_http(&self, config: &Config) -> Result<Vec<(Place, http::Server)>, ServeError> {
        let mut opened = Vec::new();
        for (place, need) in backend::places(config) {
            if self.http.contains_key(&place) {
                continue;
            }
            match (place.bind(self.access.subscribe(), &self.web), need) {
                (Ok(server), _) => opened.push((place, server)),
                (Err(error), Need::Optional) => {
                    let error: &(dyn Error + 'static) = &error;
                    warn!(error, "going on without it");
                }
                (Err(error), Need::Required) => return Err(ServeError::Http(error)),
            }
        }
        Ok(opened)
    }

    /// Exchanges the keys of the listeners that stay, of all or of none.
    fn sign(&self, listeners: &[(Spot, Loaded, Option<net::Listener>)]) -> Result<(), ServeError> {
        let mut done: Vec<(&net::Listener, Vec<Md5Key>)> = Vec::new();
        for (spot, loaded, _) in listeners {
            let Some(task) = self.listeners.get(spot) else {
                continue;
            };
            match task.socket.sign(&loaded.keys) {
                Ok(before) => done.push((&task.socket, before)),
                Err(cause) => {
                    for (socket, before) in done {
                        if let Err(error) = socket.sign(&before) {
                            warn!(listener = %socket.address(), %error, "keys of signatures are lost");
                        }
                    }
                    let address = task.socket.address();
                    return Err(ServeError::Sign { address, cause });
                }
            }
        }
        Ok(())
    }

    /// Uses what was opened, tells the listeners that stay of their terms, and closes the others.
    pub(super) fn apply(&mut self, opened: Opened, config: &Config, crew: Crew<'_>) {
        let Crew {
            shared,
            backend,
            stopped,
            sessions,
            works,
        } = crew;
        let wanted: HashMap<Spot, &config::Listener> = spots(config).collect();
        self.listeners.retain(|spot, task| {
            let stays = wanted.contains_key(spot);
            if !stays {
                let end = |terms: &mut Arc<Terms>| *terms = Arc::new(terms.withdrawn());
                task.terms.send_modify(end);
            }
            stays
        });
        for (spot, loaded, socket) in opened.listeners {
            let Some(listener) = wanted.get(&spot) else {
                continue;
            };
            let terms = Arc::new(Terms::new(config, listener, loaded.acceptor));
            if let Some(task) = self.listeners.get_mut(&spot) {
                if let Err(error) = task.socket.tune(&options(config)) {
                    warn!(listener = %task.socket.address(), %error, "options of tcp are as before");
                }
                task.terms.send_replace(terms);
                task.fingerprints = loaded.fingerprints;
                continue;
            }
            let Some(socket) = socket.map(Arc::new) else {
                continue;
            };
            let transport = listener.carrier.transport().name();
            info!(address = %socket.address(), transport, "listening");
            let (terms, agreed) = watch::channel(terms);
            let (stop, told) = stopper(stopped, works);
            let task = listener::run(Arc::clone(&socket), agreed, Arc::clone(shared), told);
            sessions.spawn(task);
            let task = ListenerTask {
                socket,
                terms,
                fingerprints: loaded.fingerprints,
                _stop: stop,
            };
            self.listeners.insert(spot, task);
        }
        // Before the places that were opened begin to accept.
        self.access
            .send_replace(backend::access(config, opened.tls));
        self.web.resize(web_bounds(config));
        let places: Vec<Place> = backend::places(config).map(|(place, _)| place).collect();
        let (stay, gone) = std::mem::take(&mut self.http)
            .into_iter()
            .partition(|(place, _)| places.contains(place));
        let gone: HashMap<Place, Stop> = gone;
        self.http = stay;
        self.leaving.extend(gone.into_values());
        for (place, server) in opened.http {
            let (stop, told) = stopper(stopped, works);
            works.spawn(server.run(Arc::clone(backend), told));
            self.http.insert(place, stop);
        }
    }

    /// Ends the places that a reload has closed.
    pub(super) fn part(&mut self) {
        self.leaving.clear();
    }

    /// The listeners, as others see them.
    pub(super) fn status(&self, config: &Config) -> Vec<ListenerStatus> {
        let texts = |prefixes: &[ipnet::IpNet]| prefixes.iter().map(ToString::to_string).collect();
        let status = |(spot, listener): (Spot, &config::Listener)| {
            let task = self.listeners.get(&spot);
            ListenerStatus {
                transport: listener.carrier.transport().name().to_owned(),
                address: task
                    .map_or(listener.address, |task| task.socket.address())
                    .to_string(),
                allow: texts(&listener.access.allow),
                deny: texts(&listener.access.deny),
                proxies: texts(&listener.proxies),
                fingerprints: task.map_or_else(Vec::new, |task| task.fingerprints.clone()),
            }
        };
        spots(config).map(status).collect()
    }
}

fn bind(
    listener: &config::Listener,
    loaded: &Loaded,
    config: &Config,
) -> Result<net::Listener, ServeError> {
    let address = listener.address;
    net::Listener::bind_signed(address, &options(config), &loaded.keys)
        .map_err(|cause| ServeError::Listen { address, cause })
}

/// The listeners of a configuration. Several may leave their port to the system, so the address
/// alone does not tell them apart.
fn spots(config: &Config) -> impl Iterator<Item = (Spot, &config::Listener)> {
    let all = &config.listeners;
    all.iter().enumerate().map(|(place, listener)| {
        let before = all.iter().take(place);
        let same = before.filter(|before| before.address == listener.address);
        ((listener.address, same.count()), listener)
    })
}

fn options(config: &Config) -> TcpOptions {
    TcpOptions {
        // The session's own deadline decides; the kernel's must not come before it.
        user_timeout: TcpOptions::default()
            .user_timeout
            .max(config.limits.stall * 2),
        ..TcpOptions::default()
    }
}

const fn web_bounds(config: &Config) -> Bounds {
    Bounds {
        total: config.http.connections,
        per_address: config.http.connections_per_address,
        per_network: config.http.connections,
    }
}
