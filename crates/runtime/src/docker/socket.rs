//! Where the engine listens. In this order: `DOCKER_HOST`; the context chosen by `DOCKER_CONTEXT` or by `docker context use`;
//! rootless Docker's socket and rootless Podman's in `XDG_RUNTIME_DIR` (or `/run/user/UID`); Docker's of the whole
//! machine, and Podman's. Of the last four the first that is there is taken: a rootless engine is there because its user
//! started it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::DockerError;

/// What decides it.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) docker_host: Option<String>,
    pub(super) docker_context: Option<String>,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub(super) config: Option<PathBuf>,
    pub(super) runtime_dir: PathBuf,
    /// `/run`, `/var/run`: the top of where engines of the machine listen.
    pub(super) root: PathBuf,
}

/// A socket and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    /// `DOCKER_HOST`, `the context colima`; `None` for a usual place.
    pub(super) from: Option<String>,
}

impl Environment {
    /// That of this process.
    pub(super) fn here() -> Environment {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let user = rustix::process::getuid().as_raw();
        Environment {
            docker_host: variable("DOCKER_HOST"),
            docker_context: variable("DOCKER_CONTEXT"),
            config: variable("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| Some(Path::new(&variable("HOME")?).join(".docker"))),
            runtime_dir: variable("XDG_RUNTIME_DIR")
                .map_or_else(|| PathBuf::from(format!("/run/user/{user}")), PathBuf::from),
            root: PathBuf::from("/"),
        }
    }

    /// The socket to use; that it is there is only certain for the usual places.
    pub(super) fn find(&self) -> Result<Socket, DockerError> {
        if let Some(host) = &self.docker_host {
            return local(host, "DOCKER_HOST".to_owned());
        }
        if let Some((context, host)) = self.context() {
            return local(&host, format!("the context {context}"));
        }
        let looked = self.usual();
        match looked.iter().find(|path| path.exists()) {
            Some(path) => Ok(Socket {
                path: path.clone(),
                from: None,
            }),
            None => Err(DockerError::Missing { looked }),
        }
    }

    fn usual(&self) -> Vec<PathBuf> {
        vec![
            self.runtime_dir.join("docker.sock"),
            self.runtime_dir.join("podman/podman.sock"),
            self.root.join("var/run/docker.sock"),
            self.root.join("run/podman/podman.sock"),
        ]
    }

    /// The context in use and its host; `None` for `default`, which is what no context means.
    fn context(&self) -> Option<(String, String)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Config {
            current_context: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Meta {
            name: String,
            endpoints: std::collections::BTreeMap<String, Endpoint>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Endpoint {
            host: Option<String>,
        }
        let folder = self.config.as_ref()?;
        let chosen = || {
            let text = std::fs::read(folder.join("config.json")).ok()?;
            serde_json::from_slice::<Config>(&text).ok()?.current_context
        };
        let name = self
            .docker_context
            .clone()
            .or_else(chosen)
            .filter(|name| name != "default")?;
        // Each has a folder named by the hash of its name; the name is in the file.
        let folders = std::fs::read_dir(folder.join("contexts/meta")).ok()?;
        let metas = folders.filter_map(|folder| {
            let text = std::fs::read(folder.ok()?.path().join("meta.json")).ok()?;
            serde_json::from_slice::<Meta>(&text).ok()
        });
        let mut found = metas.filter(|meta| meta.name == name);
        let host = found.next()?.endpoints.remove("docker")?.host?;
        Some((name, host))
    }
}

/// The path behind `unix://`; any other host could not mount this machine's folders.
fn local(host: &str, from: String) -> Result<Socket, DockerError> {
    let path = match host.strip_prefix("unix://") {
        Some(path) => path,
        None if host.starts_with('/') => host,
        None => {
            return Err(DockerError::Elsewhere {
                host: host.to_owned(),
                from,
            });
        }
    };
    Ok(Socket {
        path: PathBuf::from(path),
        from: Some(from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(root: &Path) -> Environment {
        Environment {
            config: Some(root.join("config")),
            runtime_dir: root.join("user"),
            root: root.to_owned(),
            ..Environment::default()
        }
    }

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, "").expect("written");
    }

    #[test]
    fn the_first_that_is_there_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = environment(folder.path());
        let missing = here.find().expect_err("nothing there").to_string();
        assert!(
            missing.contains("user/docker.sock`, `") && missing.ends_with("run/podman/podman.sock`"),
            "{missing}"
        );
        let found = || {
            here.find()
                .expect("there")
                .path
                .strip_prefix(folder.path())
                .expect("below")
                .to_owned()
        };
        for place in [
            "run/podman/podman.sock",
            "var/run/docker.sock",
            "user/podman/podman.sock",
            "user/docker.sock",
        ] {
            touch(&folder.path().join(place));
            assert_eq!(found(), Path::new(place));
        }
    }

    #[test]
    fn what_the_user_says_comes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut here = environment(folder.path());
        touch(&folder.path().join("user/docker.sock"));
        let config = folder.path().join("config");
        touch(&config.join("config.json"));
        std::fs::write(config.join("config.json"), r#"{"auths":{},"currentContext":"colima"}"#).expect("written");
        let meta = config.join("contexts/meta/abc/meta.json");
        touch(&meta);
        std::fs::write(
            &meta,
            r#"{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///c/docker.sock"}}}"#,
        )
        .expect("written");
        let said = |here: &Environment| {
            let socket = here.find().expect("said");
            (
                socket.path.to_string_lossy().into_owned(),
                socket.from.unwrap_or_default(),
            )
        };
        assert_eq!(
            said(&here),
            ("/c/docker.sock".to_owned(), "the context colima".to_owned())
        );
        here.docker_context = Some("default".to_owned());
        assert_eq!(here.find().expect("usual").from, None);
        here.docker_host = Some("unix:///d.sock".to_owned());
        assert_eq!(said(&here), ("/d.sock".to_owned(), "DOCKER_HOST".to_owned()));
        for host in ["tcp://10.0.0.1:2376", "ssh://me@there"] {
            here.docker_host = Some(host.to_owned());
            assert!(matches!(here.find(), Err(DockerError::Elsewhere { .. })), "{host}");
        }
    }
}
