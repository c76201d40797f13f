//! The cases of conduct: how a component behaves in the sandbox, whatever its roles say.
//!
//! Owned here: that it stays within its grant and its limits, keeps nothing between calls, survives odd requests, and says what is wrong where its
//! service is away, busy or refuses. Refused here: whether what it reads and writes is right (`credenza_connect::conformance`). Most cases judge one
//! [exercise](exercise::Observed) of a role, which is done once and under half of the limits.
//!
//! Bound: an object of 8 MiB, and what the host lets a connector log.

mod exercise;
mod faces;
mod instances;
mod judge;
mod odd;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use credenza_connect::conformance::{Case, Listed, Miss, Told};
use credenza_sandbox::{Configured, Connector, Role, Surroundings};
use tokio::sync::OnceCell;

use crate::plan::Plan;
use crate::stand_in::StandIn;
use exercise::Observed;

/// A component, and a server with a folder for each time that it is configured.
pub(crate) struct Yard {
    connector: Connector,
    plan: Plan,
    server: StandIn,
    made: AtomicU64,
    /// Every line that it wrote to the log.
    lines: Arc<Mutex<Vec<String>>>,
    source: OnceCell<Observed>,
    store: OnceCell<Observed>,
    destination: OnceCell<Observed>,
}

impl Yard {
    pub(crate) fn new(connector: &Connector, plan: Plan, server: StandIn) -> Self {
        let (source, store, destination) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let connector = connector.at_half_its_limits();
        let lines = Arc::default();
        Self { connector, plan, server, made: AtomicU64::new(0), lines, source, store, destination }
    }

    /// A new, empty folder.
    fn folder(&self) -> String {
        let folder = format!("yard-{}", self.made.fetch_add(1, Relaxed));
        self.server.make_folder(&folder);
        folder
    }

    /// The connector at a folder of the stand-in.
    async fn at(&self, folder: &str, role: Role) -> Told<Configured> {
        self.towards(self.server.address(), folder, role).await
    }

    /// The connector at a folder of another server.
    async fn towards(&self, address: &str, folder: &str, role: Role) -> Told<Configured> {
        let settings = self.plan.settings(address, folder);
        let roles = match role {
            Role::Store => &[Role::Store, Role::Prune][..],
            Role::Destination => &[Role::Destination],
            _ => &[Role::Source],
        };
        let configured = self.connector.configure(&settings, &Surroundings::none(), roles, "conformance").await;
        let refused = |error| Miss::Failed(format!("it does not take the settings of the plan: {error}"));
        let lines = Arc::clone(&self.lines);
        let hear = move |line: &str| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        Ok(configured.map_err(refused)?.heard_by(Arc::new(hear)))
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the exercise of a role showed.
    async fn observed(&self, role: Role) -> Told<&Observed> {
        let cell = match role {
            Role::Store => &self.store,
            Role::Destination => &self.destination,
            _ => &self.source,
        };
        cell.get_or_try_init(|| exercise::of(self, role)).await
    }
}

pub(crate) fn catalogue() -> Vec<Listed> {
    CASES.iter().map(Case::listed).collect()
}

/// A case that judges the exercise of a role.
macro_rules! judged {
    ($id:literal, $why:expr, $role:ident, $claim:literal, $judge:path) => {
        Case::new($id, $why, |yard: &Yard, _| Box::pin(async move { $judge(yard, yard.observed(Role::$role).await?) }))
            .needing($claim)
    };
}

/// A case that does something of its own with a role.
macro_rules! done {
    ($id:literal, $why:expr, $role:ident, $claim:literal, $does:path) => {
        Case::new($id, $why, |yard: &Yard, _| Box::pin($does(yard, Role::$role))).needing($claim)
    };
}

const GRANT: &str = "what the manifest does not grant is refused, and the call with it";
const UNUSED: &str = "a grant that nothing needs is asked of the user in vain";
const FAULT: &str = "a connector that traps or breaks its contract ends the run";
const MEMORY: &str = "memory stays far below its limit, whatever the content";
const TIME: &str = "own time stays far below its limit";
const HANDS_ON: &str = "contents pass by the sandbox, unless the connector must understand them";
const SAYS: &str = "an error has a class, a reason in a word, and a sentence for a person";
const SECRETS: &str = "no message, line of the log or key holds a secret, in whatever form";
const OPENS: &str = "to open it again shows the same, and sends nothing that changes anything";
const ENDS: &str = "a run that is interrupted ends without a fault of the connector";
const ODD: &str = "odd requests have answers or errors, and are no fault of the connector";
const DENIED: &str = "a refusal by the service is reported as one, and never as nothing there";
const BUSY: &str = "a service that is busy is tried again";
const AWAY: &str = "a service that is away is reported as that, and never as nothing there";

pub(crate) const CASES: &[Case<Yard>] = &[
    Case::new("sandbox.settings.pure", "settings are judged before anything is asked of the network", |yard, _| {
        Box::pin(instances::settings_are_judged_alone(yard))
    }),
    Case::new("sandbox.settings.again", "settings are judged the same each time", |yard, _| {
        Box::pin(instances::settings_are_judged_again(yard))
    }),
    judged!("sandbox.grant.source", GRANT, Source, "source", judge::grant),
    judged!("sandbox.grant.store", GRANT, Store, "store", judge::grant),
    judged!("sandbox.grant.destination", GRANT, Destination, "destination", judge::grant),
    judged!("sandbox.unused.source", UNUSED, Source, "source", judge::unused),
    judged!("sandbox.unused.store", UNUSED, Store, "store", judge::unused),
    judged!("sandbox.unused.destination", UNUSED, Destination, "destination", judge::unused),
    judged!("sandbox.fault.source", FAULT, Source, "source", judge::fault),
    judged!("sandbox.fault.store", FAULT, Store, "store", judge::fault),
    judged!("sandbox.fault.destination", FAULT, Destination, "destination", judge::fault),
    judged!("sandbox.memory.source", MEMORY, Source, "source", judge::memory),
    judged!("sandbox.memory.store", MEMORY, Store, "store", judge::memory),
    judged!("sandbox.memory.destination", MEMORY, Destination, "destination", judge::memory),
    judged!("sandbox.time.source", TIME, Source, "source", judge::time),
    judged!("sandbox.time.store", TIME, Store, "store", judge::time),
    judged!("sandbox.time.destination", TIME, Destination, "destination", judge::time),
    judged!("sandbox.hands-on.source", HANDS_ON, Source, "source", judge::hands_on),
    judged!("sandbox.hands-on.store", HANDS_ON, Store, "store", judge::hands_on),
    judged!("sandbox.hands-on.destination", HANDS_ON, Destination, "destination", judge::hands_on),
    judged!("sandbox.errors.source", SAYS, Source, "source", judge::errors),
    judged!("sandbox.errors.store", SAYS, Store, "store", judge::errors),
    judged!("sandbox.errors.destination", SAYS, Destination, "destination", judge::errors),
    judged!("sandbox.secrets.source", SECRETS, Source, "source", judge::secrets),
    judged!("sandbox.secrets.store", SECRETS, Store, "store", judge::secrets),
    judged!("sandbox.secrets.destination", SECRETS, Destination, "destination", judge::secrets),
    done!("sandbox.opens.source", OPENS, Source, "source", instances::opens),
    done!("sandbox.opens.store", OPENS, Store, "store", instances::opens),
    done!("sandbox.opens.destination", OPENS, Destination, "destination", instances::opens),
    done!("sandbox.instances.read", "what one instance has listed another reads", Source, "source", instances::read),
    done!("sandbox.instances.get", "what one instance has put another gets", Store, "store", instances::get),
    done!("sandbox.instances.cursor", "a cursor holds all that it takes to go on", Store, "store", instances::cursor),
    done!(
        "sandbox.instances.stat",
        "what one instance has written another finds",
        Destination,
        "destination",
        instances::stat
    ),
    done!("sandbox.cancelled.source", ENDS, Source, "source", instances::cancelled),
    done!("sandbox.cancelled.store", ENDS, Store, "store", instances::cancelled),
    done!("sandbox.cancelled.destination", ENDS, Destination, "destination", instances::cancelled),
    done!("sandbox.odd.source", ODD, Source, "source", odd::source),
    done!("sandbox.odd.store", ODD, Store, "store", odd::store),
    done!("sandbox.odd.destination", ODD, Destination, "destination", odd::destination),
    done!("sandbox.denied.source", DENIED, Source, "source", faces::denied),
    done!("sandbox.denied.store", DENIED, Store, "store", faces::denied),
    done!("sandbox.denied.destination", DENIED, Destination, "destination", faces::denied),
    done!("sandbox.busy.source", BUSY, Source, "source", faces::busy),
    done!("sandbox.busy.store", BUSY, Store, "store", faces::busy),
    done!("sandbox.busy.destination", BUSY, Destination, "destination", faces::busy),
    done!("sandbox.away.source", AWAY, Source, "source", faces::away),
    done!("sandbox.away.store", AWAY, Store, "store", faces::away),
    done!("sandbox.away.destination", AWAY, Destination, "destination", faces::away),
    done!(
        "sandbox.nowhere.source",
        "a place that is not there is no empty one, and no missing object",
        Source,
        "source",
        faces::nowhere
    ),
];
