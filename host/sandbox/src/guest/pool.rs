//! Instances of one configured component in one role: as many as calls are in flight, reused while healthy.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use credenza_connect::{Error, ErrorClass, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{InstancePre, ResourceAny};

use super::bindings::settings::Config;
use super::bindings::types;
use super::fault::Fault;
use super::instance::{Instance, Outcome};
use super::role::RoleExports;
use super::state::{InstanceLimits, Shared, State};
use crate::egress::Egress;
use crate::settings::Masker;
use crate::ticker::Ticker;

/// What every instance of a pool is made of.
pub(crate) struct PoolSpec {
    pub(crate) connector: Arc<str>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) config: Arc<Config>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) masker: Arc<Masker>,
    pub(crate) limits: InstanceLimits,
    pub(crate) shared: Arc<Shared>,
    pub(crate) ticker: Ticker,
    pub(crate) instances_max: usize,
}

/// A pool of instances.
pub(crate) struct Pool<R: RoleExports> {
    spec: PoolSpec,
    indices: R::Indices,
    idle: Mutex<Vec<Instance<R>>>,
    permits: Arc<Semaphore>,
}

/// A call of a guest.
pub(crate) type CallFuture<'a, T> =
    Pin<Box<dyn Future<Output = wasmtime::Result<std::result::Result<T, types::Error>>> + Send + 'a>>;

/// A closure as a call that can be made again; the compiler needs to be reported that it takes any lifetime.
pub(crate) fn repeatable<R, T, F>(call: F) -> F
where
    R: RoleExports,
    F: for<'a> Fn(&'a mut Instance<R>, ResourceAny) -> CallFuture<'a, T> + Send + Sync,
{
    call
}

/// An instance that belongs to one call, scanner or writer. Dropped instead of given back, it is gone: whoever stops in the middle leaves it in an unknown state.
pub(crate) struct Lease<R: RoleExports> {
    instance: Instance<R>,
    pool: Arc<Pool<R>>,
    permit: OwnedSemaphorePermit,
}

impl<R: RoleExports> Pool<R> {
    pub(crate) fn new(spec: PoolSpec) -> wasmtime::Result<Arc<Self>> {
        let indices = R::indices(&spec.pre)?;
        let permits = Arc::new(Semaphore::new(spec.instances_max));
        Ok(Arc::new(Self { spec, indices, idle: Mutex::new(Vec::new()), permits }))
    }

    /// An instance of one's own; waits while all are out.
    pub(crate) async fn lease(self: &Arc<Self>, call: &str) -> Result<Lease<R>> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::new(ErrorClass::Internal, "sandbox.closed", "the pool of instances was closed"))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let instance = match idle {
            Some(instance) => instance,
            None => self.start().await.map_err(|fault| self.error(fault, call))?,
        };
        Ok(Lease { instance, pool: Arc::clone(self), permit })
    }

    async fn start(&self) -> std::result::Result<Instance<R>, Fault> {
        let spec = &self.spec;
        let state = State::new(
            Arc::clone(&spec.connector),
            Arc::clone(&spec.egress),
            Arc::clone(&spec.masker),
            spec.limits,
            Arc::clone(&spec.shared),
        );
        let _running = spec.ticker.run();
        Instance::start(&spec.pre, &self.indices, Arc::clone(&spec.config), state).await
    }

    /// One call on its own instance, which is back in the pool before anyone reads what the call opened.
    pub(crate) async fn call<T, A>(
        self: &Arc<Self>,
        name: &str,
        call: impl for<'a> Fn(&'a mut Instance<R>, ResourceAny) -> CallFuture<'a, T> + Send + Sync,
        take: impl Fn(&mut State, T) -> wasmtime::Result<A> + Send + Sync,
    ) -> Result<A> {
        let (lease, taken) = self.call_and_keep(name, call, take).await?;
        lease.give_back();
        Ok(taken)
    }

    /// One call on its own instance, which the caller keeps; a trapped call is tried again on a new instance.
    pub(crate) async fn call_and_keep<T, A>(
        self: &Arc<Self>,
        name: &str,
        call: impl for<'a> Fn(&'a mut Instance<R>, ResourceAny) -> CallFuture<'a, T> + Send + Sync,
        take: impl Fn(&mut State, T) -> wasmtime::Result<A> + Send + Sync,
    ) -> Result<(Lease<R>, A)> {
        let mut trapped = false;
        loop {
            let mut lease = self.lease(name).await?;
            match lease.run(&call).await {
                Ok(value) => {
                    let taken = lease.take(name, value, &take)?;
                    return Ok((lease, taken));
                }
                Err(Outcome::Reported(error)) => {
                    lease.give_back();
                    return Err(error);
                }
                Err(Outcome::Broken(fault)) if !trapped && fault.is_worth_a_retry() => trapped = true,
                Err(Outcome::Broken(fault)) => return Err(self.error(fault, name)),
            }
        }
    }

    pub(crate) fn error(&self, fault: Fault, call: &str) -> Error {
        fault.into_error(&self.spec.connector, call)
    }
}

impl<R: RoleExports> Lease<R> {
    /// One call, whose time the ticker measures.
    pub(crate) async fn run<T>(
        &mut self,
        call: &(impl for<'a> Fn(&'a mut Instance<R>, ResourceAny) -> CallFuture<'a, T> + Send + Sync),
    ) -> std::result::Result<T, Outcome> {
        let _running = self.pool.spec.ticker.run();
        self.instance.begin_call();
        let opened = self.instance.session().await;
        let session = self.instance.judge(opened)?;
        let result = call(&mut self.instance, session).await;
        self.instance.judge(result)
    }

    /// One call of a scanner or a writer, which cannot be tried again: the instance holds its place.
    pub(crate) async fn run_once<T>(
        &mut self,
        name: &str,
        call: impl for<'a> Fn(&'a mut Instance<R>, ResourceAny) -> CallFuture<'a, T> + Send + Sync,
    ) -> Result<T> {
        self.run(&call).await.map_err(|outcome| match outcome {
            Outcome::Reported(error) => error,
            Outcome::Broken(fault) => self.pool.error(fault, name),
        })
    }

    /// Takes what a call returned out of the instance's handles.
    pub(crate) fn take<T, A>(
        &mut self,
        name: &str,
        value: T,
        take: &(impl Fn(&mut State, T) -> wasmtime::Result<A> + Send + Sync),
    ) -> Result<A> {
        take(self.instance.store.data_mut(), value)
            .map_err(|error| self.pool.error(Fault::Contract { reason: "guest.answer", text: error.to_string() }, name))
    }

    /// A fault of this instance as an error.
    pub(crate) fn contract_error(&self, name: &str, reason: &'static str, text: String) -> Error {
        self.pool.error(Fault::Contract { reason, text }, name)
    }

    /// Bytes that the connector has received so far, in all its calls.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.pool.spec.egress.traffic().bytes_received()
    }

    /// Counts bytes that the guest made itself.
    pub(crate) fn count_made(&self, bytes: usize) {
        self.pool.spec.egress.traffic().count_made_by_guest(bytes);
    }

    /// Drops a resource of the guest and returns the instance; a guest that fails even at that is thrown away.
    pub(crate) async fn release(mut self, resource: ResourceAny) {
        let running = self.pool.spec.ticker.run();
        self.instance.begin_call();
        let dropped = resource.resource_drop_async(&mut self.instance.store).await;
        drop(running);
        if dropped.is_ok() {
            self.give_back();
        }
    }

    /// Returns a healthy instance to the pool; one that has grown fat is thrown away.
    pub(crate) fn give_back(self) {
        let Self { mut instance, pool, permit } = self;
        instance.store.data_mut().end_call();
        if instance.store.data().is_lean() {
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
        drop(permit);
    }
}
