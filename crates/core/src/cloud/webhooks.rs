//! Targets of rules that ask a URL: an API destination for each, which costs nothing until it is asked.

use serde_json::{Value as Json, json};

use super::iam::{Role, Statement};
use super::template::{LogicalId, Parameter, Resource, parameter, sub};
use super::{Site, id, origin};
use crate::project::Job;

/// A webhook is asked so often in a second at most.
const RATE: u32 = 10;

/// All webhooks that a job's alarms name, with a text.
pub(super) fn targets(site: &mut Site<'_>, job: &Job, paths: &Json, text: &str) -> Vec<Json> {
    let mut targets = Vec::new();
    for name in &job.cloud.alarms {
        let Some(alarm) = site.project.alarms.get(name).cloned() else {
            continue;
        };
        for (kind, url) in [("Webhook", alarm.webhook), ("Slack", alarm.slack)] {
            let Some(url) = url else { continue };
            let destination = destination(site, name, kind, &url);
            let role = role(
                site,
                job,
                &format!("{}Role", LogicalId::of(name, kind).as_str()),
                &destination,
            );
            // A text with places in it: a place of a text is filled without quotes inside quotes.
            let template = json!({ "text": format!("Kingtide, {}: {text}", job.name), "job": job.name });
            targets.push(json!({
                "Id": LogicalId::of(name, kind).as_str(),
                "Arn": destination.arn(),
                "RoleArn": role.arn(),
                "InputTransformer": { "InputPathsMap": paths, "InputTemplate": template.to_string() },
            }));
        }
    }
    targets
}

/// One for each URL and job, whatever is told of.
fn role(site: &mut Site<'_>, job: &Job, kind: &str, destination: &LogicalId) -> LogicalId {
    let of = id(job, kind);
    if site.stack.resources.contains_key(&of) {
        return of;
    }
    let call = Role {
        service: "events.amazonaws.com",
        statements: vec![Statement::allow(&["events:InvokeApiDestination"], [destination.arn()])],
        policies: Vec::new(),
        boundary: site.aws.permissions_boundary.clone(),
    };
    let role = call.resource(&origin(job), &site.tags);
    site.stack.add(of, role)
}

/// One for each URL, whoever names it.
fn destination(site: &mut Site<'_>, name: &str, kind: &str, url: &str) -> LogicalId {
    let of = LogicalId::of(name, &format!("{kind}Destination"));
    if site.stack.resources.contains_key(&of) {
        return of;
    }
    let from = format!("alarm.{name}");
    // A destination has to have some way to show who asks; the URL itself is what only its owner knows.
    let connection = json!({
        "AuthorizationType": "API_KEY",
        "AuthParameters": {
            "ApiKeyAuthParameters": { "ApiKeyName": "X-Kingtide-Stack", "ApiKeyValue": sub("${AWS::StackName}") },
        },
    });
    let connection = site.stack.add(
        LogicalId::of(name, &format!("{kind}Connection")),
        Resource::new("AWS::Events::Connection", &from, connection),
    );
    let properties = json!({
        "ConnectionArn": connection.arn(),
        "HttpMethod": "POST",
        "InvocationEndpoint": endpoint(site, name, kind, url),
        "InvocationRateLimitPerSecond": RATE,
    });
    site.stack
        .add(of, Resource::new("AWS::Events::ApiDestination", &from, properties))
}

/// What stands in a variable is handed over when it is deployed, and is in no template.
fn endpoint(site: &mut Site<'_>, name: &str, kind: &str, url: &str) -> Json {
    if !url.starts_with("${") {
        return json!(url);
    }
    let of = LogicalId::of(name, &format!("{kind}Url")).as_str().to_owned();
    let secret = Parameter {
        description: format!("The {kind} of the alarm {name}: {url}"),
        pattern: Some("^https://.+$"),
        default: None,
        is_secret: true,
        written: Some(url.to_owned()),
    };
    site.stack.parameters.insert(of.clone(), secret);
    parameter(&of)
}
