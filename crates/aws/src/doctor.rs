//! `doctor`: whether a run would come to something: credentials, permissions, quotas, addresses, images. Each is looked at by itself, and what is
//! wrong with one keeps nobody from looking at the next.

use std::io;

use kingtide_remote::request::cloudformation;
use kingtide_remote::request::{Client, Kind, RequestError, ec2, ecr, iam, quotas, sts};
use kingtide_remote::wire::{Check, Event, Verdict};

use crate::credentials::ClientError;
use crate::failure::{Failure, Outcome};
use crate::premises;
use crate::site::Site;

/// What deploying and running takes, as far as it can be asked for without a resource.
const ACTIONS: &[&str] = &[
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "ec2:DescribeSubnets",
    "ecr:CreateRepository",
    "ecr:GetAuthorizationToken",
    "ecr:PutImage",
    "ecs:CreateCluster",
    "ecs:RegisterTaskDefinition",
    "iam:CreateRole",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "logs:CreateLogGroup",
    "s3:CreateBucket",
    "s3:GetObject",
    "s3:PutObject",
    "servicequotas:GetServiceQuota",
    "sqs:CreateQueue",
    "states:CreateStateMachine",
    "states:StartExecution",
];
/// The least that a burst needs.
const FEW_VCPUS: f64 = 16.0;
const FEW_ADDRESSES: u64 = 50;

/// Looks at everything; `made` is the client, where one could be made.
pub(crate) fn look(
    made: Result<Client, ClientError>,
    stack: &str,
    images: &[String],
    architecture: &str,
    say: &mut dyn FnMut(Event) -> io::Result<()>,
) -> Outcome {
    let client = match made {
        Ok(client) => client,
        Err(error) => {
            say(check(
                "region",
                Verdict::Wrong,
                error.to_string(),
                "set [aws] region, or AWS_REGION",
            ))?;
            return Ok(());
        }
    };
    let identity = match sts::identity(&client) {
        Ok(identity) => identity,
        Err(error) => {
            let help = "log in with the AWS command line (`aws configure`, `aws sso login`), or set AWS_PROFILE";
            say(check("credentials", Verdict::Wrong, error.message.clone(), help))?;
            return Ok(());
        }
    };
    let who = format!("{} in {}", identity.arn, client.region());
    say(check("credentials", Verdict::Fine, who, ""))?;
    let mut site = Site::new(&client, &identity.account, stack, say);
    for event in [
        permissions(&client, &identity),
        vcpus(&client, "vcpu-quota", "on demand", quotas::FARGATE_ON_DEMAND),
        vcpus(&client, "spot-vcpu-quota", "on Spot", quotas::FARGATE_SPOT),
        addresses(&site),
    ] {
        site.say(event)?;
    }
    for name in images {
        let event = image(&client, name, architecture);
        site.say(event)?;
    }
    Ok(())
}

fn check(name: &str, verdict: Verdict, text: impl Into<String>, help: &str) -> Event {
    Event::Check(Check {
        name: name.to_owned(),
        verdict,
        text: text.into(),
        help: (!help.is_empty()).then(|| help.to_owned()),
    })
}

/// What could not be looked at.
fn unseen(name: &str, what: &str, error: &RequestError) -> Event {
    let text = match error.kind {
        Kind::Denied => format!("{what}: may not be asked (`{}`)", error.operation),
        _ => format!("{what}: {error}"),
    };
    check(name, Verdict::Doubtful, text, "")
}

fn permissions(client: &Client, identity: &sts::Identity) -> Event {
    if identity.arn.ends_with(":root") {
        let text = "the account's root user may do everything: nobody should deploy as it";
        return check(
            "permission",
            Verdict::Doubtful,
            text,
            "use a role with the policy of docs/aws.md",
        );
    }
    match iam::refused(client, &identity.principal(), ACTIONS) {
        Ok(refused) if refused.is_empty() => {
            check("permission", Verdict::Fine, "all that deploying and running takes", "")
        }
        Ok(refused) => {
            let help = "give whoever deploys the policy of docs/aws.md";
            check(
                "permission",
                Verdict::Wrong,
                format!("not allowed: {}", refused.join(", ")),
                help,
            )
        }
        Err(error) => unseen("permission", "what is allowed", &error),
    }
}

fn vcpus(client: &Client, name: &str, what: &str, code: &str) -> Event {
    match quotas::fargate(client, code) {
        Ok(vcpus) if vcpus < FEW_VCPUS => {
            let text = format!("{vcpus} vCPUs of Fargate {what} at once");
            let help = format!("ask for more: Service Quotas, AWS Fargate, {code}; it takes AWS minutes to days");
            check(name, Verdict::Doubtful, text, &help)
        }
        Ok(vcpus) => check(
            name,
            Verdict::Fine,
            format!("{vcpus} vCPUs of Fargate {what} at once"),
            "",
        ),
        Err(error) => unseen(name, &format!("vCPUs of Fargate {what}"), &error),
    }
}

fn addresses(site: &Site<'_>) -> Event {
    let name = "addresses";
    match cloudformation::describe(site.client, site.stack) {
        Ok(Some(_)) => {}
        Ok(None) => {
            return check(
                name,
                Verdict::Fine,
                "nothing is deployed yet: they come with the stack",
                "",
            );
        }
        Err(error) => return unseen(name, "free addresses", &error),
    }
    let subnets = match premises::subnets(site) {
        Ok(subnets) if subnets.is_empty() => return check(name, Verdict::Doubtful, "the stack names no subnets", ""),
        Ok(subnets) => subnets,
        Err(Failure::Said(failed)) => return check(name, Verdict::Doubtful, failed.message, ""),
        Err(Failure::Gone(error)) => return check(name, Verdict::Doubtful, error.to_string(), ""),
    };
    match ec2::subnets(site.client, &subnets) {
        Ok(found) => {
            let free: u64 = found.iter().map(|subnet| subnet.free_addresses).sum();
            let text = format!("{free} free in {} subnets: a task takes one", found.len());
            match free < FEW_ADDRESSES {
                true => check(
                    name,
                    Verdict::Doubtful,
                    text,
                    "name larger or more subnets: [aws] subnets",
                ),
                false => check(name, Verdict::Fine, text, ""),
            }
        }
        Err(error) => unseen(name, "free addresses", &error),
    }
}

/// Only those of the account's registry can be looked at.
fn image(client: &Client, name: &str, architecture: &str) -> Event {
    let Some((repository, tag)) = of_registry(name) else {
        return check(
            "image",
            Verdict::Doubtful,
            format!("`{name}` is not of ECR: not looked at"),
            "",
        );
    };
    let of = ecr::manifest(client, repository, tag).and_then(|manifest| {
        // An index has one for each architecture.
        let listed = manifest["manifests"].as_array().cloned().unwrap_or_default();
        let listed = listed.iter().filter_map(|one| one["platform"]["architecture"].as_str());
        let listed: Vec<String> = listed.map(str::to_owned).collect();
        match listed.is_empty() {
            true => ecr::architecture(client, repository, &manifest).map(|one| vec![one]),
            false => Ok(listed),
        }
    });
    let wanted = match architecture {
        "x86_64" | "X86_64" => "amd64",
        "arm64" | "ARM64" | "aarch64" => "arm64",
        other => other,
    };
    match of {
        Ok(of) if of.iter().any(|one| one == wanted || one.is_empty()) => check(
            "image",
            Verdict::Fine,
            format!("`{name}` is there, for {}", of.join(", ")),
            "",
        ),
        Ok(of) => {
            let text = format!("`{name}` is for {}, and tasks run on {wanted}", of.join(", "));
            check(
                "image",
                Verdict::Wrong,
                text,
                "build it for the other, or set [aws] architecture",
            )
        }
        Err(error) if error.is(Kind::NotFound) => {
            let text = format!("there is no image `{name}`");
            check(
                "image",
                Verdict::Wrong,
                text,
                "`kingtide deploy` pushes those that are built",
            )
        }
        Err(error) => unseen("image", &format!("`{name}`"), &error),
    }
}

/// Repository, and tag or digest, of an image of ECR.
fn of_registry(name: &str) -> Option<(&str, &str)> {
    let (host, path) = name.split_once('/')?;
    if !host.contains(".dkr.ecr.") {
        return None;
    }
    if let Some((repository, digest)) = path.split_once('@') {
        return Some((repository, digest));
    }
    Some(path.split_once(':').unwrap_or((path, "latest")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_the_registry_are_told_from_others() {
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        assert_eq!(of_registry(&format!("{host}/a/b:7")), Some(("a/b", "7")));
        assert_eq!(of_registry(&format!("{host}/a@sha256:00")), Some(("a", "sha256:00")));
        assert_eq!(of_registry(&format!("{host}/a")), Some(("a", "latest")));
        assert_eq!(of_registry("docker.io/library/python:3"), None);
    }
}
