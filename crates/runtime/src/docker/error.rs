//! Why containers cannot be run, in words that say what to do. `advice` is the sentence for a finding's help.

use std::path::PathBuf;

use kingtide_core::finding::Finding;

/// What keeps containers from being run.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// There is no socket where one could be.
    #[error("there is no container engine here: no socket of Docker or Podman at {}", shown(.looked))]
    Missing { looked: Vec<PathBuf> },
    #[error("no container engine answers at `{}`", .socket.display())]
    NotRunning {
        socket: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("you may not use the container engine at `{}`", .socket.display())]
    NoPermission { socket: PathBuf },
    /// `DOCKER_HOST` or the context names an engine that is not on this machine.
    #[error("`{host}` ({from}) is no engine on this machine: folders of this machine could not be mounted there")]
    Elsewhere { host: String, from: String },
    #[error("the engine at `{}` runs containers of {os}, not of Linux", .socket.display())]
    OtherSystem { socket: PathBuf, os: String },
    #[error("there is no image `{image}`: {why}")]
    NoImage { image: String, why: String },
    /// Not there, and whether it exists elsewhere could not be asked.
    #[error("the image `{image}` is not here and cannot be pulled: {why}")]
    NotPulled { image: String, why: String },
    #[error("the image `{image}` is made for {image_platform}, and this machine is {machine_platform}")]
    OtherPlatform {
        image: String,
        image_platform: String,
        machine_platform: String,
    },
    #[error("the folder `{}` cannot be built: {why}", .folder.display())]
    Context { folder: PathBuf, why: String },
    #[error("building `{}` failed:\n{tail}", .folder.display())]
    Build { folder: PathBuf, tail: String },
    /// The engine keeps containers of a runtime that came after this one.
    #[error("another runtime has taken over the containers of this project (its epoch is {found}, ours is {ours})")]
    Fenced { ours: i64, found: i64 },
    #[error("the engine refused to {what}: {why}")]
    Refused { what: &'static str, why: String },
    #[error("cannot {what}")]
    Files {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl DockerError {
    /// As the checker says it, without a place.
    pub fn finding(&self) -> Finding {
        let message = super::engine::chain(self);
        let finding = match self {
            DockerError::Missing { .. } => Finding::error("docker-missing", message),
            DockerError::NotRunning { .. } => Finding::error("docker-not-running", message),
            DockerError::NoPermission { .. } => Finding::error("docker-no-permission", message),
            DockerError::Elsewhere { .. } => Finding::error("docker-elsewhere", message),
            DockerError::OtherSystem { .. } => Finding::error("docker-other-system", message),
            DockerError::NoImage { .. } => Finding::error("image-not-found", message),
            // It may be reached when it is needed.
            DockerError::NotPulled { .. } => Finding::warning("image-unreachable", message),
            DockerError::OtherPlatform { .. } => Finding::error("wrong-architecture", message),
            DockerError::Context { .. } | DockerError::Build { .. } => Finding::error("build-failed", message),
            DockerError::Fenced { .. } | DockerError::Refused { .. } | DockerError::Files { .. } => {
                Finding::error("docker-refused", message)
            }
        };
        finding.help(self.advice())
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match self {
            DockerError::Missing { .. } => "install one (Debian: apt-get install docker.io), or let DOCKER_HOST name its \
                 socket"
                .to_owned(),
            DockerError::NotRunning { .. } => {
                "start it: systemctl start docker (rootless: systemctl --user start docker; Podman: systemctl --user start \
                 podman.socket)"
                    .to_owned()
            }
            DockerError::NoPermission { .. } => {
                "join its group and log in again: sudo usermod -aG docker $USER; or use rootless Docker or Podman".to_owned()
            }
            DockerError::Elsewhere { .. } => {
                "use an engine of this machine: unset DOCKER_HOST, or `docker context use default`".to_owned()
            }
            DockerError::OtherSystem { .. } => "switch it to Linux containers".to_owned(),
            DockerError::NoImage { .. } => {
                "correct its name, or log in where it is private: docker login REGISTRY".to_owned()
            }
            DockerError::NotPulled { .. } => {
                "see that its registry can be reached, or bring it here: docker pull, docker load".to_owned()
            }
            DockerError::OtherPlatform { machine_platform, .. } => {
                format!("use one for {machine_platform} (docker buildx build --platform {machine_platform}), or emulate with qemu-user-static")
            }
            DockerError::Context { .. } => "correct the path in `build`; it is relative to kingtide.toml".to_owned(),
            DockerError::Build { .. } => "correct the Dockerfile; the last lines above say where it stopped".to_owned(),
            DockerError::Fenced { .. } => "leave it to the other runtime".to_owned(),
            DockerError::Refused { .. } | DockerError::Files { .. } => "do what the message says".to_owned(),
        }
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    paths.join(", ")
}
