//! The only way out of the sandbox: requests to the endpoints of a manifest, checked, signed and sent by the host.
//!
//! Owned here: where a label leads, what a role may ask there, authentication, connections, time-outs and the count of what
//! went out. Refused here: retries (`connect` retries whole calls), redirects, and addresses that a guest made up. Called
//! by the host functions in `guest`, and by `tests/bench`, which sends the same requests without a sandbox.
//!
//! The longest silence that each fault can cause, before a person is reported or the command ends. What is reported after the first time is reported again
//! after 30 s, and then less and less often (`connect::Waits`):
//!
//! | fault | silence | constant | then |
//! |---|---|---|---|
//! | a name that leads nowhere | 10 s, of a name service that does not answer | `dial::NAME_TIMEOUT` | (1) |
//! | a port that is refused | none | | (1) |
//! | a server that takes no connection | 10 s | `dial::CONNECT_TIMEOUT` | (1) |
//! | several addresses, of which some take no connection | 10 s divided by their number, for each; of two families, 0.3 s | `dial::CONNECT_TIMEOUT` | the next address |
//! | a server that takes connections and does not begin TLS, a proxy that does not open its tunnel | 15 s | `dial::WHOLE_TIMEOUT` | (1) |
//! | no TLS where TLS is wanted or the reverse, a certificate that is not accepted, a proxy that wants a password | none | | (2) |
//! | a proxy that refuses | none | | (1) |
//! | a server that takes a request and does not answer | 10 s | `client::TOLD_AFTER` | told; the request is given up after 60 s (`SandboxOptions::idle_timeout`) and tried again |
//! | an answer that stands still in the middle | 20 s | `client::STALL_TIMEOUT` | tried again from there |
//! | anything that passes and is tried again | 2 s | `TOLD_AFTER` of `connect::Waits` | told; given up after 10 tries or 5 minutes (`connect::wrap::RetryPolicy`) |
//!
//! (1) When the endpoint has never answered in this run: told, looked at once more 2 s later (`contact::SECOND_LOOK`), and final. Else told, and tried again.
//! (2) When the endpoint has never answered in this run: final. Else told, and tried again.

mod address;
mod auth;
mod body;
mod checksum;
mod client;
mod clock;
mod contact;
mod dial;
mod document;
mod download;
mod exchange;
mod fault;
mod lookup;
mod mail;
mod mask;
mod message;
mod policy;
mod proxy;
mod record;
mod registry;
mod route;
mod tls;
mod traffic;
mod trial;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use credenza_connect::{Body, ErrorClass, Payload, Rates, Waits};

pub use auth::{DeviceCode, DeviceLogin, LoginError};
pub(crate) use body::RemoteBody;
pub(crate) use clock::now;
pub use download::{DownloadError, download};
pub use exchange::ExchangeError;
pub use lookup::LookupClient;
pub use mail::{Letter, MailError, MailServer, MailTls, parse_mail_address, send_mail};
pub(crate) use mask::Arriving;
pub use message::{MessageAddress, MessageError, is_this_machine, message_proof, post};
pub use record::Recorder;
pub use registry::{
    ArtifactNotes, ImageReference, InvalidLogin, InvalidReference, OCI, RegistryError, RegistryLogin, fetch_artifact,
    publish_artifact,
};
pub use route::Permit;
pub use traffic::Traffic;

use crate::manifest::Manifest;
use crate::settings::{Masker, Settings, SettingsError};
use client::Client;
use route::Route;

/// Why a request yielded no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The policy said no; nothing was signed or sent.
    #[error("{message}")]
    Refused {
        /// Short machine-readable cause.
        reason: &'static str,
        /// For a person.
        message: String,
    },
    /// No answer came.
    #[error("{message}")]
    Unreachable {
        /// Short machine-readable cause.
        reason: &'static str,
        /// For a person.
        message: String,
    },
    /// No answer came, and none ever did from there in this run: final, unless it may be tried again soon.
    #[error("{message}")]
    NeverAnswered {
        /// Short machine-readable cause.
        reason: &'static str,
        /// For a person, with what to do.
        message: String,
        /// When it is worth another try, if it is.
        again_in: Option<Duration>,
    },
    /// The answer broke off.
    #[error("{message}")]
    Interrupted {
        /// Short machine-readable cause.
        reason: &'static str,
        /// For a person.
        message: String,
    },
}

impl EgressError {
    fn refused(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { reason, message: message.into() }
    }
}

/// The status of an answer to who did not prove who they are.
const UNAUTHORIZED: u16 = 401;

/// A request as a guest wrote it.
#[derive(Debug, Clone, Default)]
pub struct GuestRequest {
    /// Method in capitals.
    pub method: String,
    /// Label of an endpoint.
    pub label: String,
    /// Path and query relative to the endpoint, percent-encoded: empty, or beginning with `/` or `?`.
    pub target: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

/// A verb that settings and roles grant for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Label of the endpoint.
    pub endpoint: String,
    /// As the manifest writes it.
    pub verb: String,
    /// Whether a request was of its kind so far.
    pub is_used: bool,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Status of HTTP.
    pub status: u16,
    /// Lower-case names in the order of arrival.
    pub headers: Vec<(String, String)>,
    pub(crate) body: RemoteBody,
    /// Set when the answer is a refusal and its clock is far from ours.
    pub(crate) clock_skew: Option<String>,
}

impl Response {
    /// The bytes as they arrive.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.body.into_body(Bytes::new())
    }
}

/// The endpoints of one configured connector in some roles.
#[derive(Debug)]
pub struct Egress {
    routes: BTreeMap<String, Route>,
    client: Client,
    traffic: Arc<Traffic>,
    masker: Arc<Masker>,
    /// Any certificate is accepted.
    insecure: bool,
    /// Takes down what passes.
    recorder: OnceLock<Arc<Recorder>>,
}

impl Egress {
    /// Resolves the endpoints of a manifest for what is permitted. A connection may stand still for `idle_timeout`.
    ///
    /// # Errors
    /// [`SettingsError`] when the settings yield no address, half a credential or no certificates.
    pub fn new(
        manifest: &Manifest,
        settings: &Settings,
        permit: Permit<'_>,
        idle_timeout: Duration,
    ) -> Result<Self, SettingsError> {
        let masker = Arc::new(settings.masker(manifest));
        let routes = manifest.endpoints.iter();
        let routes = routes
            .map(|(label, endpoint)| Ok((label.clone(), Route::new(label, endpoint, settings, permit, &masker)?)))
            .collect::<Result<_, SettingsError>>()?;
        let traffic = Arc::new(Traffic::default());
        let client = Client::new(&settings.host, idle_timeout, Arc::clone(&traffic))?;
        Ok(Self {
            routes,
            client,
            traffic,
            masker,
            insecure: settings.host.tls_insecure_no_verify,
            recorder: OnceLock::new(),
        })
    }

    /// With somebody who hears of answers that do not come.
    #[must_use]
    pub fn telling(self, waits: Waits) -> Self {
        Self { client: self.client.telling(waits), ..self }
    }

    /// With a bound on the bytes of bodies a second.
    #[must_use]
    pub fn within(self, rates: Rates) -> Self {
        Self { client: self.client.within(rates), ..self }
    }

    /// What may be asked, and whether it was.
    pub(crate) fn granted(&self) -> Vec<Granted> {
        let of = |route: &Route| {
            let granted = route.verbs.iter().map(|granted| Granted {
                endpoint: route.label.clone(),
                verb: granted.verb.to_string(),
                is_used: granted.was_used(),
            });
            granted.collect::<Vec<_>>()
        };
        self.routes.values().flat_map(of).collect()
    }

    /// Lets somebody take down what passes from now on; one who does already stays.
    pub(crate) fn record(&self, recorder: Arc<Recorder>) {
        self.recorder.get_or_init(|| recorder);
    }

    pub(crate) fn waits(&self) -> Waits {
        self.client.waits.clone()
    }

    /// What went out so far.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Hides the secrets of these endpoints, those that are found later included.
    pub(crate) fn masker(&self) -> &Arc<Masker> {
        &self.masker
    }

    /// Servers that are reached through a proxy, each with it.
    pub(crate) fn proxies(&self) -> Vec<(String, String)> {
        let proxy = |route: &Route| Some((route.authority.to_string(), self.way_to(route)?));
        let mut proxies: Vec<(String, String)> = self.routes.values().filter_map(proxy).collect();
        proxies.dedup();
        proxies
    }

    /// The servers and the paths there, in the order of their labels; `None` without an endpoint.
    pub(crate) fn address(&self) -> Option<String> {
        let address = |route: &Route| format!("{}{}/{}", route.authority, route.base_path, route.below);
        let addresses: Vec<String> = self.routes.values().map(address).collect();
        (!addresses.is_empty()).then(|| addresses.join(" "))
    }

    fn way_to(&self, route: &Route) -> Option<String> {
        let server = http::Uri::builder().scheme(route.scheme.clone()).authority(route.authority.clone());
        self.client.way_to(&server.path_and_query("/").build().ok()?)
    }

    /// Looks up the credentials that no setting gives, of all endpoints.
    ///
    /// # Errors
    /// [`SettingsError::Credentials`] says where they were looked for and what to do.
    pub(crate) async fn authenticate(&self) -> Result<(), SettingsError> {
        for route in self.routes.values() {
            route.signer.origin().await?;
        }
        Ok(())
    }

    /// Checks, signs and sends a request; any status is an answer.
    ///
    /// # Errors
    /// [`EgressError`] says why there is no answer.
    pub async fn send(&self, request: GuestRequest, payload: Option<Payload>) -> Result<Response, EgressError> {
        let payload = payload.unwrap_or_default();
        let Some(recorder) = self.recorder.get() else { return self.answer(request, &payload).await };
        let response = self.answer(request.clone(), &payload).await?;
        let taken = recorder.take_down(&request, &payload, response, &self.masker).await;
        taken.map_err(|error| match error.class {
            // What does not fit onto a tape will not fit at another try.
            ErrorClass::Unsupported => EgressError::refused("egress.record", error.message),
            _ => EgressError::Interrupted { reason: "http.interrupted", message: error.message },
        })
    }

    async fn answer(&self, request: GuestRequest, payload: &Payload) -> Result<Response, EgressError> {
        let (route, mut head) = self.admit(request, payload).inspect_err(|_| self.traffic.count_refused())?;
        checksum::add(&mut head, payload)?;
        let signed = route.signer.sign(head.clone(), payload).await?;
        let response = self.exchange(route, signed.clone(), payload).await?;
        if response.status != UNAUTHORIZED || !route.signer.refused(&signed).await {
            return Ok(response);
        }
        // What proved the request was taken back before its time. What is sent is in memory, and can be sent once more.
        drop(response);
        let signed = route.signer.sign(head, payload).await?;
        self.exchange(route, signed, payload).await
    }

    async fn exchange(
        &self,
        route: &Route,
        head: http::Request<()>,
        payload: &Payload,
    ) -> Result<Response, EgressError> {
        let proof = auth::proof_of(&head);
        let answer = self.client.send(head, payload.clone()).await;
        let mut response = answer.map_err(|fault| route.contact.judge(fault))?;
        route.contact.answered();
        if let Some(proof) = &proof {
            let values = response.headers.iter_mut().map(|(_, value)| value);
            values.for_each(|value| *value = value.replace(proof.expose(), "***"));
        }
        response.body.proof = proof;
        Ok(response)
    }

    fn admit(&self, request: GuestRequest, payload: &Payload) -> Result<(&Route, http::Request<()>), EgressError> {
        let route = self.routes.get(&request.label).ok_or_else(|| {
            let labels: Vec<&str> = self.routes.keys().map(String::as_str).collect();
            EgressError::refused(
                "egress.endpoint",
                format!(
                    "the connector asked for endpoint `{}`, which its manifest does not name (it names {})",
                    request.label.escape_debug(),
                    labels.join(", ")
                ),
            )
        })?;
        Ok((route, policy::admit(route, &request, payload)?))
    }
}
