//! Whose keys requests are signed with on somebody's own machine, and which region they mean: as the AWS command line finds them, by `aws-config`.
//! The only place that knows of it.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use kingtide_remote::request::Client;
use kingtide_remote::request::credentials::{Credentials, CredentialsError, Provide, Tried};
use kingtide_remote::request::transport::{BundleError, Surroundings, Transport};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use crate::http::Http;

/// Nobody says where.
#[derive(Debug, Error)]
#[error("no region is said")]
pub struct NoRegion;

/// No client can be made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody says where.
    #[error(transparent)]
    Region(#[from] NoRegion),
    /// `AWS_CA_BUNDLE` names what cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The machine has no room for a thread.
    #[error("the search for credentials cannot be started")]
    Runtime(#[source] std::io::Error),
}

/// The sources of `aws-config`.
struct Laptop {
    runtime: Arc<Runtime>,
    config: SdkConfig,
}

/// A client that asks as whoever sits here would with the AWS command line. `region` comes before what environment and profile say.
///
/// # Errors
/// When no region is said anywhere.
pub fn client(region: Option<&str>) -> Result<Client, ClientError> {
    let transport = match env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        Some(bundle) => Transport::trusting(Surroundings::Machine, Path::new(&bundle))?,
        None => Transport::new(Surroundings::Machine),
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = Arc::new(runtime.map_err(ClientError::Runtime)?);
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(Http::new(transport.clone()));
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let config = runtime.block_on(loader.load());
    let region = config.region().map(ToString::to_string);
    let region = region.filter(|region| !region.is_empty()).ok_or(NoRegion)?;
    // A profile may name an endpoint as well; the environment comes first.
    let of_profile = config.endpoint_url().map(str::to_owned);
    let env = move |name: &str| match env::var(name).ok().filter(|value| !value.is_empty()) {
        None if name == "AWS_ENDPOINT_URL" => of_profile.clone(),
        found => found,
    };
    Ok(Client::new(
        transport,
        Box::new(Laptop { runtime, config }),
        region,
        env,
    ))
}

impl Provide for Laptop {
    fn fetch(&self) -> Result<Credentials, CredentialsError> {
        let none = |why: String| CredentialsError(tried(&why, &|name| env::var(name).ok(), &|path| path.is_file()));
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| none("they are switched off".to_owned()))?;
        let found = self.runtime.block_on(provider.provide_credentials());
        let found = found.map_err(|error| none(chain(&error)))?;
        Ok(Credentials {
            access_key: found.access_key_id().to_owned(),
            secret: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
            expires: found.expiry(),
        })
    }
}

/// What `aws-config` says, and why, without saying anything twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Where was looked, in the order in which it is looked, and what was there.
fn tried(why: &str, env: &dyn Fn(&str) -> Option<String>, is_file: &dyn Fn(&PathBuf) -> bool) -> Vec<Tried> {
    let is_set = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    let home = env("HOME").map(PathBuf::from).unwrap_or_default();
    let file = |variable: &str, name: &str| {
        let path = env(variable).map_or_else(|| home.join(".aws").join(name), PathBuf::from);
        let there = if is_file(&path) { "" } else { ", which is not there" };
        format!("`{}`{there}", path.display())
    };
    let profile = env("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let (credentials, config) = (
        file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        file("AWS_CONFIG_FILE", "config"),
    );
    let unset = |name: &str| match is_set(name) {
        true => format!("`{name}` is set"),
        false => format!("`{name}` is not set"),
    };
    let instance = match is_set("AWS_EC2_METADATA_DISABLED") {
        true => "switched off by `AWS_EC2_METADATA_DISABLED`",
        false => "no answer, or no role",
    };
    let of = |source: &str, why: String| Tried {
        source: source.to_owned(),
        why,
    };
    vec![
        of("the environment", unset("AWS_ACCESS_KEY_ID")),
        of(&format!("the profile `{profile}`"), format!("{credentials}, {config}")),
        of("a web identity", unset("AWS_WEB_IDENTITY_TOKEN_FILE")),
        of("a container's role", unset("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")),
        of("this machine's role", instance.to_owned()),
        of("in all", why.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_named_with_what_was_there() {
        let env = |name: &str| match name {
            "HOME" => Some("/h".to_owned()),
            "AWS_PROFILE" => Some("work".to_owned()),
            "AWS_CONFIG_FILE" => Some("/etc/aws".to_owned()),
            _ => None,
        };
        let error = CredentialsError(tried("no luck", &env, &|path| path.ends_with("credentials")));
        insta::assert_snapshot!(error.to_string());
    }
}
