//! Where a container has its credentials from: the environment, or the endpoint that ECS, EKS and CloudShell name there.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{Credentials, CredentialsError, Provide, Tried};
use crate::request::endpoint::Environment;
use crate::request::transport::{Body, Call, Transport};

/// Where ECS listens for paths (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`).
const ECS: &str = "http://169.254.170.2";
/// Beside addresses of this machine, the only ones that are asked without TLS: ECS's and EKS's.
const NEIGHBOURS: [&str; 4] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"];
const PATIENCE: Duration = Duration::from_secs(5);
const MOST: u64 = 64 * 1024;

/// The chain of a container.
pub struct Container {
    transport: Transport,
    env: Box<Environment>,
}

/// As the endpoint answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

impl Container {
    /// Fetched when asked for.
    pub fn new(transport: Transport, env: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Container {
        Container {
            transport,
            env: Box::new(env),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn of_environment(&self) -> Result<Credentials, String> {
        let (key, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        match (self.env(key), self.env(secret)) {
            (Some(access_key), Some(secret)) => Ok(Credentials {
                access_key,
                secret,
                token: self.env("AWS_SESSION_TOKEN"),
                expires: None,
            }),
            (None, None) => Err(format!("`{key}` is not set")),
            (Some(_), None) => Err(format!("`{key}` is set, but `{secret}` is not")),
            (None, Some(_)) => Err(format!("`{secret}` is set, but `{key}` is not")),
        }
    }

    fn of_endpoint(&self) -> Result<Credentials, String> {
        let url = self.url()?;
        let token = self.token()?;
        let headers: Vec<(&str, &str)> = token.iter().map(|token| ("authorization", token.as_str())).collect();
        let call = Call {
            method: "GET",
            url: &url,
            headers: &headers,
            body: Body::Bytes(&[]),
            patience: PATIENCE,
        };
        let answer = self.transport.send(&call).map_err(|error| format!("{url}: {error}"))?;
        let status = answer.status();
        if status != 200 {
            return Err(format!("{url} answers {status}"));
        }
        let body = answer.read(MOST).map_err(|error| format!("{url}: {error}"))?;
        // What serde has to say of a document may quote it, and it holds secrets.
        let document: Document =
            serde_json::from_slice(&body).map_err(|_| format!("{url} answers with no credentials"))?;
        let expires = document.expiration.as_deref().map(humantime::parse_rfc3339);
        let expires = expires
            .transpose()
            .map_err(|_| format!("{url} answers with no date of expiry"))?;
        Ok(Credentials {
            access_key: document.access_key_id,
            secret: document.secret_access_key,
            token: document.token,
            expires,
        })
    }

    fn url(&self) -> Result<String, String> {
        if let Some(path) = self.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return Ok(format!("{ECS}{path}"));
        }
        let name = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        let url = self
            .env(name)
            .ok_or_else(|| format!("neither `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` nor `{name}` is set"))?;
        match is_trusted(&url) {
            true => Ok(url),
            false => Err(format!("`{name}` is neither https nor an address of this machine")),
        }
    }

    /// Read each time: EKS writes a new one every hour.
    fn token(&self) -> Result<Option<String>, String> {
        let Some(path) = self.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
            return Ok(self.env("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
        };
        match fs::read_to_string(&path) {
            Ok(token) => Ok(Some(token.trim().to_owned())),
            Err(error) => Err(format!("`{path}`, where the token should be: {error}")),
        }
    }
}

impl Provide for Container {
    fn fetch(&self) -> Result<Credentials, CredentialsError> {
        let tried = |source: &str, why| Tried {
            source: source.to_owned(),
            why,
        };
        let environment = match self.of_environment() {
            Ok(found) => return Ok(found),
            Err(why) => tried("the environment", why),
        };
        let endpoint = match self.of_endpoint() {
            Ok(found) => return Ok(found),
            Err(why) => tried("the container's endpoint", why),
        };
        Err(CredentialsError(vec![environment, endpoint]))
    }
}

/// Whoever sets the variable could otherwise have credentials fetched from anywhere, in clear.
fn is_trusted(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || NEIGHBOURS.contains(&host)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write as _;

    use super::*;
    use crate::request::testing::Server;
    use crate::request::transport::Surroundings;

    fn container(variables: &[(&str, &str)]) -> Container {
        let variables: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Container::new(Transport::new(Surroundings::Container), move |name| {
            variables.get(name).cloned()
        })
    }

    #[test]
    fn the_endpoint_is_asked_with_the_token_of_the_file() {
        let server = Server::start(|request| {
            assert!(
                request.head.contains("authorization: Bearer from-the-file\r\n"),
                "{}",
                request.head
            );
            let body = "{\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"2026-11-24T22:00:00Z\"}";
            Server::answer(200, &[], body)
        });
        let mut token = tempfile::NamedTempFile::new().expect("a file");
        writeln!(token, "Bearer from-the-file").expect("written");
        let found = container(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1", server.url())),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                &token.path().to_string_lossy(),
            ),
        ])
        .fetch()
        .expect("credentials");
        assert_eq!((found.access_key.as_str(), found.token.as_deref()), ("AKIA", Some("t")));
        assert_eq!(found.expires, humantime::parse_rfc3339("2026-11-24T22:00:00Z").ok());
    }

    #[test]
    fn the_sources_that_were_tried_are_said() {
        let server = Server::start(|_| Server::answer(500, &[], "the secret is hunter2"));
        let url = server.url();
        let error = container(&[
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ])
        .fetch()
        .expect_err("none");
        assert_eq!(
            error.to_string(),
            format!(
                "there are no credentials for AWS; tried: the environment (`AWS_ACCESS_KEY_ID` is set, but \
                 `AWS_SECRET_ACCESS_KEY` is not), the container's endpoint ({url} answers 500)"
            )
        );
    }

    #[test]
    fn credentials_are_fetched_in_clear_from_neighbours_only() {
        for url in [
            "http://127.0.0.1:80/x",
            "http://[fd00:ec2::23]/v1",
            "https://example.com/",
            "http://localhost",
        ] {
            assert!(is_trusted(url), "{url}");
        }
        for url in [
            "http://example.com",
            "http://127.0.0.1.example.com/",
            "http://169.254.169.254/",
            "ftp://localhost",
        ] {
            assert!(!is_trusted(url), "{url}");
        }
    }
}
