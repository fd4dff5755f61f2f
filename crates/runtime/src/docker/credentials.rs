//! Who we are to a registry: what `docker login` has left in `config.json`, or what the credential helper named there says.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;

/// Docker Hub, in the words of `docker login`.
const HUB: &str = "https://index.docker.io/v1/";
/// A helper's name for a user that is a token.
const TOKEN_USER: &str = "<token>";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    /// `user:password` in base64.
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// For pulling this image; `None` goes as nobody.
pub(super) fn of(image: &str, folder: Option<&Path>) -> Option<DockerCredentials> {
    let text = std::fs::read(folder?.join("config.json")).ok()?;
    let config: Config = serde_json::from_slice(&text).ok()?;
    let registry = registry(image);
    let helper = config.cred_helpers.get(registry).or(config.creds_store.as_ref());
    if let Some(found) = helper.and_then(|helper| ask(helper, registry)) {
        return Some(found);
    }
    let is_it = |name: &str| host(name) == host(registry);
    let (_, auth) = config.auths.iter().find(|(name, _)| is_it(name))?;
    let decoded = auth.auth.as_ref().and_then(|auth| STANDARD.decode(auth.trim()).ok())?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.trim_end_matches('\0').to_owned()),
        identitytoken: auth.identitytoken.clone(),
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    })
}

/// The registry that an image's name leads to.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB,
    }
}

/// `https://registry.example.com/v2/` and `registry.example.com` are one.
fn host(name: &str) -> &str {
    let name = name.split_once("://").map_or(name, |(_, name)| name);
    name.split('/').next().unwrap_or(name)
}

fn ask(helper: &str, registry: &str) -> Option<DockerCredentials> {
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // Dropped, and so closed, at once: the helper reads to the end.
    child.stdin.take()?.write_all(registry.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let helped: Helped = serde_json::from_slice(&output.stdout)
        .ok()
        .filter(|_| output.status.success())?;
    let is_token = helped.username == TOKEN_USER;
    Some(DockerCredentials {
        username: (!is_token).then(|| helped.username.clone()),
        password: (!is_token).then(|| helped.secret.clone()),
        identitytoken: is_token.then_some(helped.secret),
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{}"}},"registry.example.com":{{"auth":"{}"}},"empty.example.com":{{}}}}}}"#,
            STANDARD.encode("me:on the hub"),
            STANDARD.encode("team:a:b"),
        );
        std::fs::write(folder.path().join("config.json"), config).expect("written");
        let found = |image| {
            let credentials = of(image, Some(folder.path()))?;
            Some((credentials.username?, credentials.password?))
        };
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(found("python:3.13"), pair("me", "on the hub"));
        assert_eq!(found("team/train"), pair("me", "on the hub"));
        assert_eq!(found("registry.example.com/team/train:7"), pair("team", "a:b"));
        assert_eq!(found("empty.example.com/x"), None);
        assert_eq!(found("localhost:5000/x"), None);
        assert_eq!(of("x", None), None);
    }
}
