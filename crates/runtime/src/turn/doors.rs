//! Where the queues and pages listen: opened before anything starts that could look for them. Consumers in containers have a
//! listener of their own on the bridge's address, where every request must be signed with an instance's key.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kingtide_core::engine::event::Host;

use super::Turn;
use crate::actuators::Endpoint;
use crate::endpoints::{Endpoints, region};
use crate::http::{self, Hosts, Limits, Listener, Service};
use crate::inbox::Inbound;
use crate::keys::Keys;
use crate::notice::Notice;
use crate::runtime::{Doors, RunError};
use crate::sqs;
use crate::sqs::service::{Policy, Queues};
use crate::web::{Pages, Site};

/// How long answers that are on their way may take when the runtime leaves.
const FAREWELL: Duration = Duration::from_secs(2);

/// What listens, for as long as it is held.
#[derive(Default)]
pub(super) struct Open {
    listeners: Vec<Listener>,
    pub(super) endpoints: Option<Endpoints>,
    /// What an earlier runtime told its programs, if it left without a word.
    before: Option<Endpoints>,
}

impl Open {
    /// Where consumers find their queue, if anything listens.
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        let endpoints = self.endpoints.as_ref()?;
        Some(Endpoint {
            loopback: SocketAddr::new(reachable(endpoints.sqs.ip()), endpoints.sqs.port()),
            bridge: endpoints.bridge.map(|bridge| bridge.port()),
            region: endpoints.region.clone(),
        })
    }
}

impl Turn<'_> {
    /// Listens where it is asked to.
    pub(super) fn open_doors(&mut self, doors: &Doors) -> Result<(), RunError> {
        self.premises.doors.before = Endpoints::read(self.layout.root());
        let before = self.premises.doors.before.as_ref().map(|endpoints| endpoints.sqs);
        let listener = bind(doors.sqs, before)?;
        let policy = match doors.sqs.ip().is_loopback() && doors.access_key.is_none() {
            true => Policy::Loopback,
            false => signed(&self.premises.keys),
        };
        let hosts = match doors.sqs.ip().is_loopback() {
            true => Hosts::local(),
            false => Hosts::Any,
        };
        let sqs = self.listen(listener, hosts, policy)?;
        let web = match doors.web {
            Some(wanted) => Some(self.listen_web(wanted, doors)?),
            None => None,
        };
        self.premises.doors.endpoints = Some(Endpoints {
            pid: std::process::id(),
            sqs,
            bridge: None,
            web,
            region: region(),
            access_key: doors.access_key.as_ref().map(|(id, _)| id.clone()),
        });
        self.actuators.endpoint = self.premises.doors.endpoint();
        Ok(())
    }

    /// The engine of containers is there: its consumers need a listener that they reach.
    pub(super) fn open_bridge(&mut self, observe: &mut dyn FnMut(Notice)) {
        let needs = self.actuators.consumers.values().any(|(_, host)| *host == Host::Docker);
        let Some(endpoint) = self
            .actuators
            .endpoint
            .clone()
            .filter(|endpoint| needs && endpoint.bridge.is_none())
        else {
            return;
        };
        let gateway = self.actuators.containers.bridge_address();
        let opened = gateway.ok_or_else(|| "its bridge has no address of this machine".to_owned());
        let opened = opened.and_then(|gateway| {
            let wanted = SocketAddr::new(gateway, endpoint.loopback.port());
            let before = self
                .premises
                .doors
                .before
                .as_ref()
                .and_then(|endpoints| endpoints.bridge);
            let before = before.filter(|before| before.ip() == gateway).unwrap_or(wanted);
            let listener = TcpListener::bind(before).or_else(|_| TcpListener::bind(SocketAddr::new(gateway, 0)));
            let listener = listener.map_err(|error| format!("cannot listen on {gateway}: {error}"))?;
            let policy = signed(&self.premises.keys);
            self.listen(listener, Hosts::for_containers(), policy)
                .map_err(|error| kingtide_exec::collect::chain(&error))
        });
        match opened {
            Ok(address) => {
                if let Some(endpoints) = &mut self.premises.doors.endpoints {
                    endpoints.bridge = Some(address);
                }
                self.actuators.endpoint = self.premises.doors.endpoint();
                self.write_endpoints(observe);
            }
            Err(why) => observe(Notice::Said(format!(
                "consumers in containers cannot reach the queues: {why}"
            ))),
        }
    }

    /// Everything listens: other processes may know.
    pub(super) fn write_endpoints(&self, observe: &mut dyn FnMut(Notice)) {
        let Some(endpoints) = &self.premises.doors.endpoints else {
            return;
        };
        if let Err(error) = endpoints.write(self.layout.root()) {
            let text = format!("other commands will not know where the queues listen: {error}");
            observe(Notice::Said(text));
        }
    }

    pub(super) fn close_doors(&mut self) {
        if self.premises.doors.endpoints.take().is_some() {
            Endpoints::remove(self.layout.root());
        }
        let listeners = std::mem::take(&mut self.premises.doors.listeners);
        if let Some(thread) = http::threads().ok().as_ref().and_then(|threads| threads.first()) {
            let farewells = listeners.into_iter().map(|listener| listener.close(FAREWELL));
            thread.block_on(join_all(farewells));
        }
    }

    fn listen(&mut self, listener: TcpListener, hosts: Hosts, policy: Policy) -> Result<SocketAddr, RunError> {
        let mailbox = self.premises.mailbox.clone();
        let service = Queues::new(policy, move |call| {
            // When the loop is over the call is dropped, and its caller told so.
            mailbox.send(Inbound::Call(Box::new(call)));
        });
        self.serve(listener, hosts, sqs::service::limits(), service)
    }

    /// Pages and figures; whoever must sign elsewhere gives the same key here as user name and password.
    fn listen_web(&mut self, wanted: SocketAddr, doors: &Doors) -> Result<SocketAddr, RunError> {
        let listener = bind(
            wanted,
            self.premises.doors.before.as_ref().and_then(|before| before.web),
        )?;
        let hosts = match wanted.ip().is_loopback() {
            true => Hosts::local(),
            false => Hosts::Any,
        };
        let site = Site::new(&self.project.name, &self.project.jobs, &self.layout);
        let pages = Pages::new(site, doors.access_key.as_ref());
        self.serve(listener, hosts, Limits::default(), pages)
    }

    fn serve(
        &mut self,
        listener: TcpListener,
        hosts: Hosts,
        limits: Limits,
        service: impl Service,
    ) -> Result<SocketAddr, RunError> {
        let address = listener.local_addr().map_err(RunError::Prepare)?;
        let threads = http::threads().map_err(RunError::Prepare)?;
        let listener = http::listen(&threads, listener, hosts, limits, service)
            .map_err(|source| RunError::Listen { address, source })?;
        self.premises.doors.listeners.push(listener);
        Ok(address)
    }
}

fn signed(keys: &Arc<Keys>) -> Policy {
    let keys = Arc::clone(keys);
    Policy::Signed(Box::new(move |id| keys.secret(id)))
}

/// With port 0 the one that programs of an earlier runtime were told, if it is free, else any.
fn bind(wanted: SocketAddr, before: Option<SocketAddr>) -> Result<TcpListener, RunError> {
    let failed = |source| RunError::Listen {
        address: wanted,
        source,
    };
    if wanted.port() == 0
        && let Some(before) = before.filter(|before| before.ip() == wanted.ip())
        && let Ok(listener) = TcpListener::bind(before)
    {
        return Ok(listener);
    }
    TcpListener::bind(wanted).map_err(failed)
}

/// Where a process of this machine reaches what listens on `address`.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(any) if any.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(any) if any.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        address => address,
    }
}
