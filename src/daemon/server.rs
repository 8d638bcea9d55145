//! A server with all its tasks, and how a reload changes them.
//!
//! A reload prepares everything that can fail first, new sockets included, and only then changes
//! anything; sessions stay up whatever it changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::authority::Authority;
use super::backend::{self, Changes};
use super::carrier::Carriers;
use super::certificates::{self, Certificate};
use super::export::{self, Exporter, Recipe};
use super::keeper::{self, Keeper, Kept};
use super::lifecycle::{Load, ServeError, in_time, load_carriers, load_exceptions, load_outlets};
use super::outlets::{Outlets, Prepared};
use super::pipeline::feed::Feed;
use super::pipeline::guard::Digest;
use super::pipeline::order::{Approval, Configure, Order, Rules, Wait};
use super::pipeline::{Pipeline, unix_now};
use super::session::Shared;
use super::slurm;
use super::sockets::{Crew, Opened, Sockets};
use super::source::{self, Past, Update};
use super::status::Around;
use super::stock::Stock;
use super::store::Store;
use super::tasks::{Answer, Stop, pass_on, report, stopper};
use crate::config::{self, Config, Origin, Source};
use crate::http::{Backend, Command, Refusal, RefusalKind, Request};
use crate::net::Endpoint;
use crate::rtr::Snapshot;

/// Updates that may wait for the pipeline. Each can be a whole list, so there are few; a source
/// that meets a full channel waits.
const UPDATES: usize = 2;

/// Orders that may wait for the pipeline. They come one at a time from this file, from the task
/// that reads exceptions, and from operators; whoever meets a full channel waits.
const ORDERS: usize = 4;

/// The least time between two requests to leaders that routers set off.
const HURRY: Duration = Duration::from_millis(500);

/// A running server.
pub(super) struct Server {
    config: Config,
    load: Arc<Load>,
    store: Arc<Store>,
    shared: Arc<Shared>,
    sources: HashMap<Box<str>, SourceTask>,
    /// A leader's history that was served before the start.
    mirrored: Option<Arc<Snapshot>>,
    next_id: usize,
    asked: u64,
    /// When leaders were asked last because a router was ahead.
    hurried: Option<Instant>,
    /// When they are to be asked again.
    hurry_at: Option<Instant>,
    slurm: Option<SlurmTask>,
    /// The task that reads exceptions, or the last one that did.
    reader: usize,
    sockets: Sockets,
    updates: mpsc::Sender<Update>,
    orders: mpsc::Sender<Order>,
    backend: Arc<Backend>,
    /// What is given out beside RTR.
    exports: watch::Sender<Arc<Recipe>>,
    around: watch::Sender<Around>,
    /// What leads to followers.
    outlets: Outlets,
    /// What tells of the disk where nothing is kept: nothing, and not that it is over.
    _unkept: watch::Sender<Option<Arc<Stock>>>,
    stopped: watch::Receiver<bool>,
    /// Tasks with routers at their other end.
    sessions: JoinSet<()>,
    works: JoinSet<()>,
}

struct SourceTask {
    source: Source,
    id: usize,
    requests: watch::Sender<u64>,
    _stop: Stop,
}

impl SourceTask {
    /// Whether it is a leader's feed.
    const fn is_feed(&self) -> bool {
        matches!(
            self.source.origin,
            Origin::At(Endpoint::Feed(_) | Endpoint::FeedFolder(_))
        )
    }

    /// Whether it is that of this source; without a name every one is meant.
    fn is_named(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| *self.source.name == *name)
    }
}

struct SlurmTask {
    config: config::Slurm,
    refresh: Arc<Notify>,
    _stop: Stop,
}

impl Server {
    /// Opens every socket before anything is accepted, so that a start succeeds or fails whole.
    pub(super) fn start(
        config: Config,
        load: Load,
        warnings: Vec<String>,
        (carriers, prepared): (Carriers, Prepared),
        (exceptions, state): (Option<slurm::Loaded>, Option<(Keeper, Option<Kept>)>),
        requests: mpsc::Sender<Request>,
        stopped: watch::Receiver<bool>,
    ) -> Result<Self, ServeError> {
        let store = Store::new();
        let shared = Arc::new(Shared::new(Arc::clone(&store), &config.limits));
        let (updates, update_inbox) = mpsc::channel(UPDATES);
        let (orders, order_inbox) = mpsc::channel(ORDERS);
        let known = exceptions.as_ref().map(|loaded| loaded.digest);
        let feeds = config.sources.iter().cloned().enumerate();
        let feeds = feeds.map(|(id, source)| Feed::new(id, source)).collect();
        // Without a state directory nothing is ever kept, and there is no feed.
        let unkept = watch::Sender::new(None);
        let stock = match &state {
            Some((keeper, _)) => keeper.subscribe(),
            None => unkept.subscribe(),
        };
        let mut works = JoinSet::new();
        let odd = prepared.warnings().to_vec();
        let recipe = Recipe::new(&config.export, &prepared.keys);
        let outlets = Outlets::start(stock, prepared, stopped.clone(), &mut works);
        let (keeper, kept) = state.unzip();
        let kept = kept.flatten();
        let standing = keeper.as_ref().map(Keeper::standing);
        let mirrored = kept.as_ref().and_then(|kept| match kept.authority {
            Authority::Own => None,
            Authority::Leader(_) => Some(Arc::clone(&kept.snapshot)),
        });
        let state = (keeper, kept);
        let pipeline = Pipeline::new(Arc::clone(&store), rules(&config), feeds, exceptions, state);
        let view = pipeline.subscribe();
        let mut around = backend::around(&config, warnings);
        around.state = standing;
        let around = watch::Sender::new(around);
        let exports = watch::Sender::new(Arc::new(recipe));
        let folder = export::folder(config.state_dir.as_deref());
        let (exporter, exporting) = Exporter::new(
            Arc::clone(&store),
            exports.subscribe(),
            folder,
            stopped.clone(),
        );
        let exporter = Arc::new(exporter);
        let given_out = (exporter, outlets.feed());
        let backend = backend::new(&view, &around.subscribe(), &shared, given_out, requests);
        let mut server = Self {
            load: Arc::new(load),
            store,
            shared,
            sources: HashMap::new(),
            next_id: 0,
            asked: 0,
            hurried: None,
            hurry_at: None,
            mirrored,
            exports,
            slurm: None,
            reader: Pipeline::FIRST_READER,
            sockets: Sockets::new(&config),
            updates,
            orders,
            backend: Arc::new(backend),
            around,
            stopped: stopped.clone(),
            sessions: JoinSet::new(),
            works,
            outlets,
            _unkept: unkept,
            config,
        };
        let config = server.config.clone();
        let mut warnings = server.around.borrow().warnings.clone();
        warnings.extend(carriers.warnings());
        warnings.extend(odd);
        let certificates = carriers.certificates();
        let opened = server.sockets.open(&config, carriers)?;
        server.listen(opened, &config);
        server.start_sources(&config);
        server.start_slurm(&config.slurm, known);
        let pipeline = pipeline.run(update_inbox, order_inbox, stopped);
        server.works.spawn(pipeline);
        server.works.spawn(exporting);
        server.show(&config, warnings, certificates);
        let (around, stopped) = (server.around.subscribe(), server.stopped.clone());
        server.works.spawn(certificates::run(around, stopped));
        Ok(server)
    }

    /// How long answers under way may take to end.
    pub(super) const fn drain(&self) -> Duration {
        self.config.limits.drain
    }

    /// Tells every session that the server stops.
    pub(super) fn stop(&self) {
        self.store.stop();
    }

    /// The tasks: those with routers at their other end, and the others.
    pub(super) fn into_tasks(self) -> (JoinSet<()>, JoinSet<()>) {
        (self.sessions, self.works)
    }

    /// Does the next thing there is to do.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: only for a server that stops.
    pub(super) async fn turn(
        &mut self,
        hang_ups: &mut mpsc::Receiver<()>,
        requests: &mut mpsc::Receiver<Request>,
    ) {
        let later = self.hurry_at.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            Some(()) = hang_ups.recv() => self.hang_up().await,
            Some(request) = requests.recv() => self.obey(request).await,
            () = self.shared.behind.notified() => self.hurry(),
            () = sleep_until(later), if self.hurry_at.is_some() => self.hurry(),
            Some(ended) = self.works.join_next() => report(ended),
            Some(ended) = self.sessions.join_next() => report(ended),
        }
    }

    /// Asks the leaders, because a router is ahead: now, or as soon as they may be asked again.
    fn hurry(&mut self) {
        let now = Instant::now();
        let due = self.hurried.and_then(|at| at.checked_add(HURRY));
        self.hurry_at = due.filter(|due| *due > now);
        if self.hurry_at.is_some() {
            return;
        }
        self.hurried = Some(now);
        self.asked += 1;
        for task in self.sources.values().filter(|task| task.is_feed()) {
            task.requests.send_replace(self.asked);
        }
    }

    /// What a hang-up means: reload, and ask all sources.
    async fn hang_up(&mut self) {
        info!("told to reload");
        if self.reload().await.is_ok() {
            self.ask(None);
        }
        self.sockets.part();
    }

    /// Does what an operator asks for. What takes long is waited for elsewhere.
    async fn obey(&mut self, request: Request) {
        let Request {
            command,
            by,
            answer,
        } = request;
        info!(command = command.name(), %by, "command");
        match command {
            Command::Reload => {
                let outcome = match self.reload().await {
                    Ok(changes) => Ok(backend::changed(&changes)),
                    Err(faults) => Err(backend::refused("reload refused, nothing changed", faults)),
                };
                // Whoever asked has gone; what was done stays done.
                let _ = answer.send(outcome);
                self.sockets.part();
            }
            Command::Refresh { source } => self.refresh(source.as_deref(), answer).await,
            Command::Approve { digest } => self.approve(digest, answer).await,
        }
    }

    async fn refresh(&mut self, source: Option<&str>, answer: Answer) {
        let ids = match self.tasks_of(source) {
            Ok(ids) => ids,
            Err(refusal) => {
                // Whoever asked has gone.
                let _ = answer.send(Err(refusal));
                return;
            }
        };
        let (told, heard) = oneshot::channel();
        let wait = Wait {
            asked: self.asked + 1,
            ids,
            answer: told,
        };
        // The pipeline has to know of it before a source can answer.
        if self.orders.send(Order::Await(wait)).await.is_ok() {
            self.ask(source);
            self.works
                .spawn(pass_on(answer, heard, |heard| backend::heard(&heard)));
        }
    }

    async fn approve(&mut self, digest: Box<str>, answer: Answer) {
        let (told, heard) = oneshot::channel();
        let approval = Approval {
            digest,
            answer: told,
        };
        if self.orders.send(Order::Approve(approval)).await.is_ok() {
            self.works
                .spawn(pass_on(answer, heard, |outcome| match outcome {
                    Ok(approved) => Ok(backend::approved(&approved)),
                    Err(why) => Err(backend::refused(&why, Vec::new())),
                }));
        }
    }

    /// The tasks of one source, or of all.
    fn tasks_of(&self, name: Option<&str>) -> Result<Vec<usize>, Refusal> {
        let tasks = self.sources.values();
        let ids: Vec<usize> = tasks
            .filter(|task| task.is_named(name))
            .map(|task| task.id)
            .collect();
        if !ids.is_empty() {
            return Ok(ids);
        }
        let sources = self.config.sources.iter();
        let known: Vec<&str> = sources.map(|source| &*source.name).collect();
        let reason = format!("no source has this name; known are {}", known.join(", "));
        Err(Refusal::new(RefusalKind::Unknown, reason))
    }

    /// Asks one source, or all and for the exceptions.
    fn ask(&mut self, name: Option<&str>) {
        self.asked += 1;
        for task in self.sources.values().filter(|task| task.is_named(name)) {
            task.requests.send_replace(self.asked);
        }
        if let Some(slurm) = self.slurm.as_ref().filter(|_| name.is_none()) {
            slurm.refresh.notify_one();
        }
    }

    /// Takes another configuration, all of it or nothing. Gives what changed, or what is wrong,
    /// a line each.
    async fn reload(&mut self) -> Result<Changes, Vec<String>> {
        let outcome = self.try_reload().await;
        match &outcome {
            Ok(changes) if changes.parts.is_empty() => info!("reloaded, nothing changed"),
            Ok(changes) => info!(changes = %changes.parts.join("; "), "reloaded"),
            Err(faults) => error!(error = %faults.join("; "), "reload refused, nothing changed"),
        }
        self.around
            .send_modify(|around| backend::reloaded(around, &outcome, unix_now()));
        outcome
    }

    async fn try_reload(&mut self) -> Result<Changes, Vec<String>> {
        let load = Arc::clone(&self.load);
        let lines = |faults: &str| faults.lines().map(str::to_owned).collect::<Vec<_>>();
        let wrong = |error: ServeError| lines(&super::with_causes(&error));
        // No command is heard meanwhile, so no read may take for ever.
        let read = in_time(async {
            let read = spawn_blocking(move || load()).await;
            read.map_err(|_| ServeError::Reader)
        });
        let read = read.await.map_err(wrong)?;
        let (config, mut warnings) = read.map_err(|faults| lines(&faults))?;
        if config.state_dir != self.config.state_dir {
            let reason = "state-dir: takes a restart, the one of the start is in use";
            return Err(vec![reason.to_owned()]);
        }
        let carriers = in_time(load_carriers(&config)).await.map_err(wrong)?;
        let prepared = in_time(load_outlets(&config)).await.map_err(wrong)?;
        // Where some are fetched and nothing else is wanted, the last good ones are good enough.
        let local = slurm::is_local(&config.slurm);
        let exceptions = match local {
            true => Some(in_time(load_exceptions(&config)).await.map_err(wrong)?),
            // What is fetched has deadlines of its own.
            false if config.slurm != self.config.slurm => {
                Some(load_exceptions(&config).await.map_err(wrong)?)
            }
            false => None,
        };
        warnings.extend(carriers.warnings());
        warnings.extend_from_slice(prepared.warnings());
        let certificates = carriers.certificates();
        let opened = self.sockets.open(&config, carriers).map_err(wrong)?;
        // From here on nothing can fail.
        for warning in &warnings {
            warn!("{warning}");
        }
        let parts = backend::changes(&self.config, &config);
        self.shared.resize(&config.limits);
        let recipe = Recipe::new(&config.export, &prepared.keys);
        self.exports.send_if_modified(|before| {
            let other = !before.is(&recipe);
            if other {
                *before = Arc::new(recipe);
            }
            other
        });
        self.outlets.configure(prepared, &mut self.works);
        self.listen(opened, &config);
        self.start_sources(&config);
        let known = exceptions.as_ref().map(|loaded| loaded.digest);
        let anew = self.forget_slurm(&config.slurm, known);
        self.configure(&config, exceptions).await;
        if anew {
            self.start_slurm(&config.slurm, known);
        }
        self.show(&config, warnings.clone(), certificates);
        self.forget_sources(&config);
        self.config = config;
        Ok(Changes { parts, warnings })
    }

    async fn configure(&self, config: &Config, exceptions: Option<slurm::Loaded>) {
        let id = |source: &Source| self.sources.get(&source.name).map(|task| task.id);
        let feeds = config.sources.iter();
        let (done, applied) = oneshot::channel();
        let order = Configure {
            rules: rules(config),
            feeds: feeds
                .filter_map(|source| Some((id(source)?, source.clone())))
                .collect(),
            slurm: exceptions,
            reader: self.reader,
            done,
        };
        if self
            .orders
            .send(Order::Configure(Box::new(order)))
            .await
            .is_ok()
        {
            // The pipeline is gone only when the server stops.
            let _ = applied.await;
        }
    }

    /// Uses what was opened.
    fn listen(&mut self, opened: Opened, config: &Config) {
        let crew = Crew {
            shared: &self.shared,
            backend: &self.backend,
            stopped: &self.stopped,
            sessions: &mut self.sessions,
            works: &mut self.works,
        };
        self.sockets.apply(opened, config, crew);
    }

    /// Lets others see what the configuration is.
    fn show(&self, config: &Config, warnings: Vec<String>, certificates: Vec<Certificate>) {
        let listeners = self.sockets.status(config);
        self.around.send_modify(|around| {
            around.listeners = listeners;
            around.connections = config.limits.connections;
            around.places = self.outlets.standings();
            around.certificates = certificates;
            around.warnings = warnings;
        });
    }

    /// Starts the sources that are new or changed, and ends those that are gone or changed.
    fn start_sources(&mut self, config: &Config) {
        let mut old = std::mem::take(&mut self.sources);
        for source in &config.sources {
            let known = old
                .remove(&source.name)
                .filter(|task| task.source == *source);
            let task = known.unwrap_or_else(|| self.start_source(source));
            self.sources.insert(source.name.clone(), task);
        }
    }

    /// Removes what is kept of sources that are gone.
    fn forget_sources(&mut self, config: &Config) {
        let Some(state_dir) = config.state_dir.clone() else {
            return;
        };
        let names: Vec<_> = config.sources.iter().map(|s| s.name.clone()).collect();
        self.works
            .spawn_blocking(move || keeper::forget_sources(&state_dir, &names));
    }

    fn start_source(&mut self, source: &Source) -> SourceTask {
        let id = self.next_id;
        self.next_id += 1;
        let (stop, stopped) = stopper(&self.stopped, &mut self.works);
        let (requests, requested) = watch::channel(0);
        let state_dir = self.config.state_dir.as_deref();
        let past = Past {
            folder: state_dir.map(|state_dir| keeper::source_folder(state_dir, &source.name)),
            mirrored: self.mirrored.clone(),
            keeps_mirrors: self.config.sources.len() > 1,
        };
        self.works.spawn(source::run(
            source.clone(),
            id,
            past,
            self.updates.clone(),
            requested,
            stopped,
        ));
        SourceTask {
            source: source.clone(),
            id,
            requests,
            _stop: stop,
        }
    }

    /// Ends the task that reads exceptions, unless it fetches them and goes on as it is; where
    /// they were read just now, one that knows what was read takes its place. Whether it ended.
    fn forget_slurm(&mut self, config: &config::Slurm, known: Option<Digest>) -> bool {
        let same = |task: &SlurmTask| task.config == *config;
        if known.is_none() && self.slurm.as_ref().is_some_and(same) {
            return false;
        }
        self.slurm = None;
        self.reader += 1;
        true
    }

    /// Starts the task that reads exceptions.
    fn start_slurm(&mut self, config: &config::Slurm, known: Option<Digest>) {
        if config.files.is_empty() {
            return;
        }
        let (stop, stopped) = stopper(&self.stopped, &mut self.works);
        let refresh = Arc::new(Notify::new());
        self.works.spawn(slurm::run(
            config.clone(),
            known,
            Arc::clone(&refresh),
            slurm::Outlet {
                reader: self.reader,
                orders: self.orders.clone(),
            },
            stopped,
        ));
        self.slurm = Some(SlurmTask {
            config: config.clone(),
            refresh,
            _stop: stop,
        });
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        merge: config.merge,
        guard: config.guard,
        history: config.rtr.history,
        timing: config.rtr.timing,
        slurm_configured: !config.slurm.files.is_empty(),
    }
}
