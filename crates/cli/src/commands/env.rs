//! `env`: the variables that point any AWS SDK at the queues of this project.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use kingtide_core::contract;
use kingtide_runtime::endpoints::{self, Endpoints, SQS_PORT};
use serde_json::{Value, json};

use super::counter::{Counter, url};
use crate::args::SECRET_VARIABLE;
use crate::exit::{Exit, Outcome};
use crate::output::{self, json};
use crate::settings::Settings;

/// Any will do on loopback; these say where they come from.
const ANYBODY: &str = "kingtide";
/// What would lead SDKs elsewhere although the other variables are set.
const MISLEADING: [&str; 3] = [
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

pub(crate) fn run(settings: &Settings) -> Outcome {
    let counter = Counter::open(settings)?;
    let listens = counter.listens()?;
    let variables = variables(&counter, listens.as_ref());
    let mut out = output::data();
    if settings.json {
        let set: serde_json::Map<String, Value> = variables
            .iter()
            .map(|(name, value)| (name.clone(), value.as_deref().map_or(Value::Null, Value::from)))
            .collect();
        json::line(
            &mut out,
            &json!({ "set": set, "unset": MISLEADING, "listening": listens.is_some() }),
        )?;
    } else {
        writeln!(out, "unset {}", MISLEADING.join(" "))?;
        for (name, value) in &variables {
            match value {
                Some(value) => writeln!(out, "export {name}={}", quoted(value))?,
                // It stays where it is, and is not printed.
                None => writeln!(out, "export {name}=\"${SECRET_VARIABLE}\"")?,
            }
        }
    }
    out.flush()?;
    if listens.is_none() && !settings.quiet {
        output::say("nobody listens there now: `kingtide up` does, at this address unless it is given another");
    }
    Ok(Exit::Done)
}

/// Where the queues are, or will be when nothing else is said.
pub(crate) fn endpoint(listens: Option<&Endpoints>) -> String {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, SQS_PORT));
    url(listens.map_or(usual, |endpoints| endpoints.sqs))
}

/// The URL of a queue.
pub(crate) fn queue_url(listens: Option<&Endpoints>, queue: &str) -> String {
    contract::queue_url(&endpoint(listens), queue)
}

/// Names and values; `None` is the secret that callers sign with.
fn variables(counter: &Counter, listens: Option<&Endpoints>) -> Vec<(String, Option<String>)> {
    let region = listens.map_or_else(endpoints::region, |endpoints| endpoints.region.clone());
    let access_key = listens.and_then(|endpoints| endpoints.access_key.clone());
    let secret = access_key.is_none().then(|| ANYBODY.to_owned());
    let mut variables = vec![
        ("AWS_ENDPOINT_URL_SQS".to_owned(), Some(endpoint(listens))),
        ("AWS_REGION".to_owned(), Some(region.clone())),
        ("AWS_DEFAULT_REGION".to_owned(), Some(region)),
        (
            "AWS_ACCESS_KEY_ID".to_owned(),
            Some(access_key.unwrap_or_else(|| ANYBODY.to_owned())),
        ),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), secret),
    ];
    let mut add = |name: String, value: String| variables.push((name, Some(value)));
    // What programs written for CDK's pattern read, where there is no doubt which queue is meant.
    if let (1, Some(job)) = (counter.jobs.len(), counter.jobs.keys().next()) {
        add("QUEUE_NAME".to_owned(), job.clone());
        add("QUEUE_URL".to_owned(), queue_url(listens, job));
    }
    for job in counter.jobs.keys() {
        let name: String = job
            .chars()
            .map(|character| {
                if character == '-' {
                    '_'
                } else {
                    character.to_ascii_uppercase()
                }
            })
            .collect();
        add(format!("QUEUE_URL_{name}"), queue_url(listens, job));
    }
    variables
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_safe_in_a_shell() {
        assert_eq!(quoted("http://127.0.0.1:9324"), "http://127.0.0.1:9324");
        assert_eq!(quoted("http://[::1]:9324"), "'http://[::1]:9324'");
        assert_eq!(quoted("a'; rm -rf ~"), r"'a'\''; rm -rf ~'");
        assert_eq!(quoted(""), "''");
    }
}
