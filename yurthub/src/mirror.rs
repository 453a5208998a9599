//! The live mirror: one upstream list+watch for each thing that a client of this node follows, any number of local
//! clients on it, the same answers online and offline.
//!
//! Reading order: [`key`] names a scope, [`ring`] keeps its recent events, [`scope`] holds it together, `record` is
//! how it lies in the store, `reflector`, `listing` and `relist` keep it true, [`history`] sees whether the cloud is still the same (`turns` and `pace` say who may
//! list, and how much at a time), `waiting` says how long clients wait for that, [`answer`] streams it to clients,
//! `lookup` finds objects in other scopes, `room` says which scopes give way to new ones, `readers` who may stream a large
//! list, `housekeeping` forgets what nobody uses, [`filter`] evaluates selectors that
//! no scope was made for, [`lens`] those of clients that share a scope, [`form`] shows metadata alone, and [`survey`]
//! what there is to a person.

pub mod answer;
pub mod context;
pub mod filter;
pub mod form;
pub mod history;
mod housekeeping;
pub mod key;
pub mod lens;
mod listing;
mod lookup;
mod pace;
mod readers;
mod record;
mod reflector;
mod relist;
pub mod ring;
mod room;
pub mod scope;
pub mod survey;
pub mod turns;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tracing::{debug, info, warn};
use yurthub_request::ResourcePath;
use yurthub_store::{Batch, Store, StoreError};

pub use lookup::{Lookup, Sight, reads};
pub use readers::Reading;
pub use room::TooManyScopes;
pub use waiting::Patience;

use crate::config::MirrorConfig;
use crate::identity::Client;
use crate::tasks::Tasks;
use context::Context;
use key::ScopeKey;
use readers::Readers;
use ring::Limit;
use room::{Bounds, Place, Room};
use scope::{Scope, ScopeId, State, View};
use turns::Turns;

/// How yurthub names itself upstream.
pub const USER_AGENT: &str = concat!("yurthub/", env!("CARGO_PKG_VERSION"));

/// The mirror.
pub struct Mirror {
    context: Arc<Context>,
    store: Store,
    scopes: Mutex<Scopes>,
    readers: Readers,
    tasks: Tasks,
}

#[derive(Default)]
struct Scopes {
    by_key: HashMap<ScopeKey, Arc<Scope>>,
    by_resource: HashMap<(String, String), Vec<Arc<Scope>>>,
    running: HashSet<ScopeId>,
    next_id: ScopeId,
}

impl Scopes {
    fn insert(&mut self, scope: &Arc<Scope>) {
        let resource = (scope.key.group.clone(), scope.key.resource.clone());
        self.by_resource
            .entry(resource)
            .or_default()
            .push(Arc::clone(scope));
        self.by_key.insert(scope.key.clone(), Arc::clone(scope));
        self.next_id = self.next_id.max(scope.id + 1);
    }

    /// How many scopes are this client's.
    fn of(&self, client: &Client) -> usize {
        self.by_key.keys().filter(|key| key.client == *client).count()
    }

    fn remove(&mut self, scope: &Scope) {
        self.by_key.remove(&scope.key);
        let resource = (scope.key.group.clone(), scope.key.resource.clone());
        if let Some(scopes) = self.by_resource.get_mut(&resource) {
            scopes.retain(|other| other.id != scope.id);
        }
    }
}

impl Mirror {
    /// Opens the mirror: all scopes that the store holds, as they were.
    pub fn open(context: Arc<Context>, store: Store, tasks: Tasks) -> Result<Self, StoreError> {
        let mut scopes = Scopes::default();
        let limit = ring_limit(&context.config);
        let found = record::load(&mut store.snapshot()?)?;
        info!(scopes = found.len(), "mirror opened");
        for (id, key, found) in found {
            let stock = (store.clone(), Arc::clone(&context.local));
            scopes.insert(&Arc::new(Scope::restore(key, id, stock, limit, found)));
        }
        Ok(Self {
            context,
            store,
            scopes: Mutex::new(scopes),
            readers: Readers::default(),
            tasks,
        })
    }

    /// Starts following the cloud: all scopes that were in use when yurthub last ran, and the housekeeping.
    pub fn start(self: &Arc<Self>) {
        for scope in self.scopes() {
            if scope.state() != State::Parked {
                self.follow(&scope);
            }
        }
        let mirror = Arc::clone(self);
        self.tasks.spawn(
            "history of the cloud",
            async move { mirror.follow_history().await },
        );
        let mirror = Arc::clone(self);
        self.tasks
            .spawn("mirror housekeeping", async move { mirror.housekeeping().await });
    }

    fn lock(&self) -> MutexGuard<'_, Scopes> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who may list now.
    pub fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.context.turns)
    }

    /// Whether the clients of this node share one scope of everything of this resource.
    pub fn is_shared(&self, path: &ResourcePath) -> bool {
        self.context.config.shared.iter().any(|shared| shared.is(path))
    }

    /// All scopes.
    pub fn scopes(&self) -> Vec<Arc<Scope>> {
        self.lock().by_key.values().cloned().collect()
    }

    /// The scope `key`, where it exists.
    pub fn find(&self, key: &ScopeKey) -> Option<Arc<Scope>> {
        self.lock().by_key.get(key).cloned()
    }

    /// The scope with this number.
    pub fn by_id(&self, id: ScopeId) -> Option<Arc<Scope>> {
        self.lock().by_key.values().find(|scope| scope.id == id).cloned()
    }

    /// The scope `key`, made where it does not exist, and followed upstream.
    pub fn ensure(self: &Arc<Self>, key: ScopeKey) -> Result<Arc<Scope>, TooManyScopes> {
        let mut ended = Vec::new();
        let scope = {
            let mut scopes = self.lock();
            if let Some(scope) = scopes.by_key.get(&key) {
                scope.touch();
                Ok(Arc::clone(scope))
            } else {
                let room = self.make_room(&mut scopes, &key.client, &mut ended);
                room.map(|()| {
                    let limit = ring_limit(&self.context.config);
                    let stock = (self.store.clone(), Arc::clone(&self.context.local));
                    let scope = Arc::new(Scope::new(key, scopes.next_id, stock, limit));
                    scopes.insert(&scope);
                    scope
                })
            }
        };
        for scope in ended {
            self.erase(&scope);
        }
        let scope = scope?;
        self.follow(&scope);
        Ok(scope)
    }

    /// Makes room for one more scope of `client`. What went for it and is followed by nobody is added to `ended`; of the
    /// others the tasks that follow them see to it.
    fn make_room(
        &self,
        scopes: &mut Scopes,
        client: &Client,
        ended: &mut Vec<Arc<Scope>>,
    ) -> Result<(), TooManyScopes> {
        let config = &self.context.config;
        let bounds = Bounds {
            in_all: config.max_scopes,
            each: config.max_scopes_per_client,
        };
        let is_full = |client: &Client| scopes.of(client) >= bounds.each;
        if scopes.by_key.len() < bounds.in_all
            && !(matches!(client, Client::Account { .. }) && is_full(client))
        {
            return Ok(()); // as always, and soon said
        }
        let now = Instant::now();
        loop {
            let places = scopes.by_key.values().map(|scope| Place {
                id: scope.id,
                client: &scope.key.client,
                idle: move || scope.idle(now),
            });
            let oldest = match room::room(client, places, bounds) {
                Room::Free => return Ok(()),
                Room::None(full) => return Err(full),
                Room::InPlaceOf(id) => id,
            };
            let found = scopes.by_key.values().find(|scope| scope.id == oldest);
            let Some(scope) = found.map(Arc::clone) else {
                return Ok(());
            };
            if !scope.discard(now) {
                continue; // somebody has come for it in this moment
            }
            scopes.remove(&scope);
            self.context.metrics.evictions.inc();
            debug!(scope = scope.key.describe(), "a scope makes room for another one");
            if !scopes.running.contains(&scope.id) {
                ended.push(scope);
            }
        }
    }

    /// Forgets what the store holds of a scope that nobody finds any more.
    fn erase(&self, scope: &Scope) {
        let mut batch = Batch::new();
        batch.delete_prefix(record::scope_prefix(scope.id));
        if let Err(error) = self.store.write(batch) {
            warn!(%error, "failed to forget a scope");
        }
    }

    /// Runs the scope's reflector, where it is not running.
    fn follow(self: &Arc<Self>, scope: &Arc<Scope>) {
        if !self.lock().running.insert(scope.id) {
            return;
        }
        let (mirror, scope) = (Arc::clone(self), Arc::clone(scope));
        self.tasks.spawn("reflector", async move {
            loop {
                tokio::select! {
                    biased;
                    () = scope.ended() => {}
                    () = reflector::run(Arc::clone(&scope), Arc::clone(&mirror.context)) => {}
                }
                let mut scopes = mirror.lock();
                // Somebody may have come in between; they found it running.
                let now = Instant::now();
                let config = &mirror.context.config;
                if scope.is_discarded() || !scope.is_wanted(now, config.park_after) || scope.is_left_over(now)
                {
                    scopes.running.remove(&scope.id);
                    break;
                }
            }
            if scope.is_discarded() {
                mirror.erase(&scope); // only now does nobody write to it
            }
        });
    }

    /// A consistent view of a scope; `None` while it does not have everything. Views of the store are few at a time.
    pub async fn view(&self, scope: &Scope, client: Option<&Client>) -> Result<Option<View>, StoreError> {
        let permit = if scope.is_small() {
            None
        } else {
            self.readers.enter(client).await
        };
        scope.view(permit)
    }
}

fn ring_limit(config: &MirrorConfig) -> Limit {
    Limit {
        entries: config.ring_events,
        bytes: config.ring_bytes,
    }
}
