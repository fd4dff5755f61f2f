//! The engine: one connection, what it can do, and the few requests that containers need. Every request is a connection of
//! its own, so there is nothing to reconnect; `link` watches whether anybody answers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker as Client;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerState, ContainerSummary};
use bollard::query_parameters::{
    CreateContainerOptions, KillContainerOptions, ListContainersOptions, RemoveContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::DockerError;
use super::socket::{Environment, Socket};

/// The longest a request may take to be answered. Creating a container on a busy disk is the slowest.
const TIMEOUT_SECONDS: u64 = 120;
/// The longest anybody waits for a first answer.
const GREETING: Duration = Duration::from_secs(10);

/// What an engine can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) version: String,
    /// As images say it: `amd64`, `arm64`.
    pub(super) architecture: String,
    pub(super) storage: String,
    /// `1` or `2`.
    pub(super) cgroup: String,
    pub(super) rootless: bool,
    pub(super) selinux: bool,
    pub(super) podman: bool,
    /// Thousandths of all its cores: no container may ask for more.
    pub(super) cpu_milli: u32,
    pub(super) limits_cpu: bool,
    pub(super) limits_memory: bool,
    pub(super) limits_pids: bool,
}

/// A connection.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) client: Client,
    pub(super) socket: Socket,
    pub(super) facts: Facts,
    /// Where logins of registries are.
    pub(super) config: Option<PathBuf>,
}

/// What became of a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The engine answered, and this is what it said.
    #[error("{message}")]
    Refused { status: u16, message: String },
    /// It did not answer.
    #[error("{0}")]
    Unreachable(String),
    /// It has not answered yet, and may be at it.
    #[error("it has not answered within {TIMEOUT_SECONDS} s")]
    Slow,
}

impl Trouble {
    pub(super) fn is(&self, wanted: u16) -> bool {
        matches!(self, Trouble::Refused { status, .. } if *status == wanted)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        match error {
            Error::DockerResponseServerError { status_code, message } => Trouble::Refused {
                status: status_code,
                message: message.trim().to_owned(),
            },
            Error::DockerStreamError { error } => Trouble::Refused {
                status: 500,
                message: error.trim().to_owned(),
            },
            error @ (Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::URLEncodedError { .. }) => {
                Trouble::Refused {
                    status: 500,
                    message: error.to_string(),
                }
            }
            Error::RequestTimeoutError => Trouble::Slow,
            other => Trouble::Unreachable(chain(&other)),
        }
    }
}

impl Engine {
    /// Finds the engine and asks what it can do.
    pub(super) async fn connect(environment: &Environment) -> Result<Engine, DockerError> {
        let socket = environment.find()?;
        let not_running = |error: Box<dyn std::error::Error + Send + Sync>| DockerError::NotRunning {
            socket: socket.path.clone(),
            source: error,
        };
        // The client's own failure to connect does not say which it was.
        match std::os::unix::net::UnixStream::connect(&socket.path) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(DockerError::NoPermission {
                    socket: socket.path.clone(),
                });
            }
            Err(error) => return Err(not_running(error.into())),
            Ok(_) => {}
        }
        let path = socket.path.to_string_lossy();
        let client = Client::connect_with_unix(&path, TIMEOUT_SECONDS, bollard::API_DEFAULT_VERSION)
            .map_err(|error| not_running(error.into()))?;
        let greeted = tokio::time::timeout(GREETING, async {
            let client = client.negotiate_version().await?;
            let facts = facts(&client).await?;
            Ok::<_, Error>((client, facts))
        });
        let (client, (facts, os)) = match greeted.await {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(error)) => return Err(not_running(error.into())),
            Err(elapsed) => return Err(not_running(elapsed.into())),
        };
        if os != "linux" {
            return Err(DockerError::OtherSystem {
                socket: socket.path,
                os,
            });
        }
        let config = environment.config.clone();
        Ok(Engine {
            client,
            socket,
            facts,
            config,
        })
    }

    /// Whether anybody answers.
    pub(super) async fn answers(&self) -> bool {
        matches!(tokio::time::timeout(GREETING, self.client.ping()).await, Ok(Ok(_)))
    }

    /// The new container's id.
    pub(super) async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<String, Trouble> {
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        Ok(self.client.create_container(Some(options), body).await?.id)
    }

    pub(super) async fn start(&self, container: &str) -> Result<(), Trouble> {
        Ok(self.client.start_container(container, None).await?)
    }

    /// Returns when it has ended, with its exit code.
    pub(super) async fn wait(&self, container: &str) -> Result<i64, Trouble> {
        let options = WaitContainerOptions {
            condition: "not-running".to_owned(),
        };
        let mut answers = std::pin::pin!(self.client.wait_container(container, Some(options)));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // What the client calls an error is an exit code other than 0.
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(error.into()),
            None => Err(Trouble::Unreachable("the engine closed the connection".to_owned())),
        }
    }

    /// Whether there was somebody to receive it.
    pub(super) async fn kill(&self, container: &str, signal: &str) -> Result<(), Trouble> {
        let options = KillContainerOptions {
            signal: signal.to_owned(),
        };
        Ok(self.client.kill_container(container, Some(options)).await?)
    }

    pub(super) async fn state(&self, container: &str) -> Result<ContainerState, Trouble> {
        let inspected = self.client.inspect_container(container, None).await?;
        Ok(inspected.state.unwrap_or_default())
    }

    /// The image of a container.
    pub(super) async fn image(&self, container: &str) -> Result<String, Trouble> {
        let inspected = self.client.inspect_container(container, None).await?;
        Ok(inspected.image.unwrap_or_default())
    }

    pub(super) async fn labels(&self, container: &str) -> Result<HashMap<String, String>, Trouble> {
        let inspected = self.client.inspect_container(container, None).await?;
        Ok(inspected.config.and_then(|config| config.labels).unwrap_or_default())
    }

    /// All containers with these labels, running or not.
    pub(super) async fn list(&self, filters: HashMap<String, Vec<String>>) -> Result<Vec<ContainerSummary>, Trouble> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..ListContainersOptions::default()
        };
        Ok(self.client.list_containers(Some(options)).await?)
    }

    /// Whatever it is doing, with the volumes that were made for it. That it is not there is as good.
    pub(super) async fn remove(&self, container: &str) -> Result<(), Trouble> {
        let options = RemoveContainerOptions {
            v: true,
            force: true,
            link: false,
        };
        match self
            .client
            .remove_container(container, Some(options))
            .await
            .map_err(Trouble::from)
        {
            // 409: somebody is removing it already.
            Err(trouble) if trouble.is(404) || trouble.is(409) => Ok(()),
            other => other,
        }
    }

    /// The gateway of the default network: `bridge` for Docker, `podman` for Podman.
    pub(super) async fn bridge_address(&self) -> Option<IpAddr> {
        for network in ["bridge", "podman"] {
            let inspected = self.client.inspect_network(network, None).await.ok();
            let configs = inspected.and_then(|network| network.ipam?.config).unwrap_or_default();
            let mut gateways = configs.into_iter().filter_map(|config| match config.gateway {
                Some(gateway) => gateway.parse().ok(),
                // An engine that has just made the bridge does not name it: it is the first address of the subnet.
                None => first_address(&config.subnet?),
            });
            if let Some(gateway) = gateways.find(|gateway: &IpAddr| gateway.is_ipv4()) {
                return Some(gateway);
            }
        }
        None
    }
}

/// `172.17.0.1` of `172.17.0.0/16`
fn first_address(subnet: &str) -> Option<IpAddr> {
    let network: Ipv4Addr = subnet.split('/').next()?.parse().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(u32::from(network) + 1)))
}

/// Also the operating system of its containers.
async fn facts(client: &Client) -> Result<(Facts, String), Error> {
    let info = client.info().await?;
    let options = info.security_options.unwrap_or_default();
    let has = |name: &str| options.iter().any(|option| option.contains(name));
    let components = client.version().await?.components.unwrap_or_default();
    let podman = components.iter().any(|component| component.name.contains("Podman"));
    let cores = info.ncpu.and_then(|cores| u32::try_from(cores).ok()).unwrap_or(1);
    let facts = Facts {
        version: info.server_version.unwrap_or_default(),
        architecture: architecture(&info.architecture.unwrap_or_default()).to_owned(),
        storage: info.driver.unwrap_or_default(),
        cgroup: info
            .cgroup_version
            .map_or_else(|| "1".to_owned(), |version| version.to_string()),
        rootless: has("name=rootless"),
        selinux: has("name=selinux"),
        podman,
        cpu_milli: cores.saturating_mul(1000),
        limits_cpu: info.cpu_cfs_quota.unwrap_or(true),
        limits_memory: info.memory_limit.unwrap_or(true),
        limits_pids: info.pids_limit.unwrap_or(true),
    };
    Ok((facts, info.os_type.unwrap_or_else(|| "linux".to_owned())))
}

/// The kernel's name of a processor as images have it.
fn architecture(kernel: &str) -> &str {
    match kernel {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("socket", &self.socket)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// Where it listens.
impl Engine {
    pub(super) fn path(&self) -> PathBuf {
        self.socket.path.clone()
    }
}
