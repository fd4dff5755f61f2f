//! What `doctor` says of the container engine.

use super::doctor::Fact;
use crate::docker::{DockerError, Found};

/// No project needs an engine unless one of its jobs says so, and then the checker says what is wrong with it.
pub(super) fn containers(probed: &Result<Found, DockerError>) -> Fact {
    let name = "containers";
    let found = match probed {
        Ok(found) => found,
        Err(DockerError::Missing { .. }) => {
            return Fact::good(name, "no engine")
                .noting("needed by jobs with `image` or `build`: `apt install docker.io`, or Podman with its socket");
        }
        Err(error) => return Fact::good(name, error.to_string()).noting(error.advice()),
    };
    let fact = Fact::good(
        name,
        format!(
            "{} {}{} for {} at {}, {}, cgroup v{}",
            if found.is_podman { "Podman" } else { "Docker" },
            found.version,
            if found.is_rootless { ", rootless" } else { "" },
            found.architecture,
            found.socket.display(),
            found.storage,
            found.cgroup,
        ),
    );
    match (found.limits, found.storage.as_str()) {
        (false, _) => fact.noting(
            "it cannot limit what containers use; delegate the cpu and memory controllers to your user (docs.docker.com, \"rootless\")",
        ),
        (true, "vfs") => fact.noting("its storage copies whole images for each container; overlay2 is much faster"),
        (true, _) => fact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_told_by_what_matters() {
        let found = Found {
            socket: "/run/user/1000/docker.sock".into(),
            is_podman: false,
            version: "20.10.24".to_owned(),
            architecture: "amd64".to_owned(),
            storage: "overlay2".to_owned(),
            cgroup: "2".to_owned(),
            is_rootless: true,
            limits: true,
        };
        let fact = containers(&Ok(found.clone()));
        let expected = "Docker 20.10.24, rootless for amd64 at /run/user/1000/docker.sock, overlay2, cgroup v2";
        assert_eq!((fact.value.as_str(), fact.advice), (expected, None));
        for worse in [
            Found {
                limits: false,
                ..found.clone()
            },
            Found {
                storage: "vfs".to_owned(),
                ..found
            },
        ] {
            assert!(containers(&Ok(worse)).advice.is_some());
        }
        let missing = containers(&Err(DockerError::Missing { looked: Vec::new() }));
        assert!(missing.ok && missing.advice.is_some_and(|advice| advice.contains("docker.io")));
        let denied = containers(&Err(DockerError::NoPermission { socket: "/x".into() }));
        assert!(denied.ok && denied.advice.is_some_and(|advice| advice.contains("usermod")));
    }
}
