//! What AWS would refuse, or do otherwise than here, said before it is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::ladder::{self, Host};
use super::network;
use super::template::Stack;
use crate::finding::{Finding, Findings, suggestion};
use crate::message::Message;
use crate::project::aws::{Architecture, Aws, When};
use crate::project::params::Params;
use crate::project::{Job, Mode, Project};
use crate::time::Timestamp;

/// Of a state machine, and of what CloudFormation makes a queue's name from (SQS and Step Functions quotas).
const MOST_NAME: usize = 80;
/// A template that is handed over by itself, and one that lies in a bucket; resources, parameters and outputs in it (CloudFormation quotas).
const MOST_INLINE: usize = 51_200;
const MOST_TEMPLATE: usize = 1_000_000;
const MOST_RESOURCES: usize = 500;
const MOST_PARAMETERS: usize = 200;
const MOST_OUTPUTS: usize = 200;
/// A state machine's definition (Step Functions quotas).
const MOST_DEFINITION: usize = 1_000_000;
/// All of a task definition (ECS service quotas).
const MOST_TASK_DEFINITION: usize = 64 * 1024;
/// The policies of a role that are written in it (IAM quotas), without white space.
const MOST_POLICY: usize = 10_240;
/// Policies that a role is given by their ARNs (IAM quotas).
const MOST_POLICIES: usize = 10;
/// What a message may have, attributes included (SQS quotas); ours take less than the rest.
const MOST_MESSAGE: usize = (1 << 20) - 1024;
/// A message is its receiver's for so long, whatever is said (SQS quotas).
const MOST_VISIBLE: Duration = Duration::from_secs(12 * 3600);
/// Of a container of Fargate, from TERM to KILL.
const MOST_STOP: Duration = Duration::from_secs(super::definitions::STOP_TIMEOUT_S as u64);
/// The disk of a task of Fargate (ECS developer guide, Fargate task ephemeral storage).
const MOST_DISK: u64 = 200 << 30;

/// What the file's own words come to.
pub(super) fn check(project: &Project, aws: &Aws, name: &str) -> Findings {
    let mut findings = Findings::default();
    for job in project.jobs.values() {
        check_job(job, aws, name, &mut findings);
        check_image(job, aws, &mut findings);
        warn_job(job, aws, &mut findings);
    }
    if aws.endpoints {
        let zones = aws.network.as_ref().map_or(2, |network| network.subnets.len());
        let usd = network::endpoints_usd(project, zones);
        let message = format!("`endpoints` costs about {usd:.0} dollars a month, whether anything runs or not");
        let help = "without it tasks reach AWS by public addresses of their own, which cost half a cent an hour while they run";
        findings.push(Finding::warning("always-on", message).help(help));
    }
    findings
}

fn check_job(job: &Job, aws: &Aws, name: &str, findings: &mut Findings) {
    let mut refuse = |code: &'static str, message: String, help: &str| {
        findings.push(Finding::error(code, format!("the job `{}`: {message}", job.name)).help(help));
    };
    let whole = format!("{name}-{}", job.name);
    if whole.len() > MOST_NAME {
        refuse(
            "aws-limit",
            format!("`{whole}` is longer than {MOST_NAME} characters"),
            "shorten the project's name or the job's",
        );
    }
    let host = ladder::host(job);
    match host {
        None => refuse(
            "fargate-size",
            "no machine of AWS holds it".to_owned(),
            "ask for less: Fargate has up to 16 cores and 119 GiB, instances up to 896 cores and 24 TiB",
        ),
        Some(Host::Instances) if job.mode == Mode::Consumer => refuse(
            "not-yet",
            "consumers run on Fargate only, which has no GPUs, 16 cores and 119 GiB at most".to_owned(),
            "use mode = \"task\", or ask for less",
        ),
        Some(Host::Instances) if job.cloud.service => refuse(
            "not-yet",
            "services run on Fargate only, which has no GPUs, 16 cores and 119 GiB at most".to_owned(),
            "leave `service` out: a run is started by what is sent",
        ),
        Some(_) => {}
    }
    if ladder::ladder(job).len() > 1 && (job.cloud.service || job.mode == Mode::Consumer) {
        refuse(
            "not-yet",
            "the memory of services and of consumers does not grow on AWS".to_owned(),
            "leave `memory_max` out, and give `memory` what the largest message takes",
        );
    }
    if let Some(disk) = job
        .cloud
        .disk
        .filter(|disk| *disk > MOST_DISK && host == Some(Host::Fargate))
    {
        refuse(
            "fargate-size",
            format!("{} GiB of disk: a task of Fargate has at most 200", disk >> 30),
            "read what is large piece by piece",
        );
    }
    for secret in &job.secrets {
        if !aws.secrets.contains_key(&secret.name) {
            let help = format!(
                "name where it lies: [aws] secrets = {{ {} = \"arn:aws:…\" }}",
                secret.name
            );
            refuse(
                "secret-without-arn",
                format!("the secret `{}` lies nowhere on AWS", secret.name),
                &help,
            );
        }
    }
    if job.cloud.policies.len() > MOST_POLICIES {
        refuse(
            "aws-limit",
            format!(
                "{} policies: a role has at most {MOST_POLICIES}",
                job.cloud.policies.len()
            ),
            "put some of them into one",
        );
    }
    if let Some(Params::Inline(rows)) = &job.params {
        findings.0.extend(check_messages(job, rows).0);
    }
}

/// What lies on this machine and not on AWS.
fn check_image(job: &Job, aws: &Aws, findings: &mut Findings) {
    let mounts = job.container().map_or(&[][..], |container| &container.mounts);
    if let Some(mount) = mounts
        .iter()
        .find(|mount| !mount.read_only || mount.source.starts_with('/'))
    {
        let message = format!(
            "the job `{}`: `{}` is of this machine, which is not there",
            job.name, mount.source
        );
        let help =
            "what lies in the project's folder and is only read goes along into the image; write to KINGTIDE_OUTPUT";
        findings.push(Finding::error("aws-mounts", message).help(help));
    }
    if aws.architecture == Architecture::Arm64 && job.container().is_some() {
        let message = format!("the job `{}`: its image has to be made for arm64", job.name);
        findings.push(Finding::warning("architecture", message));
    }
}

/// What is another on AWS than here.
fn warn_job(job: &Job, aws: &Aws, findings: &mut Findings) {
    let mut warn = |code: &'static str, message: String, help: &str| {
        findings.push(Finding::warning(code, format!("the job `{}`: {message}", job.name)).help(help));
    };
    let longest = job.timeout.max(job.expected);
    if longest.is_some_and(|longest| longest > MOST_VISIBLE) {
        let (message, help) = match job.mode {
            Mode::Task => (
                "a message comes back to the queue after 12 hours, whatever its worker says",
                "nothing has to be done: its worker's claim keeps it from being run twice, and it is deleted when it is received again",
            ),
            Mode::Consumer => (
                "after 12 hours a message that a consumer holds is handed out again",
                "split the work, or use mode = \"task\", where a claim keeps it from being run twice",
            ),
        };
        warn("aws-twelve-hours", message.to_owned(), help);
    }
    if job.stop_timeout > MOST_STOP {
        let message = format!(
            "on Fargate {} seconds lie between TERM and KILL, and not more",
            MOST_STOP.as_secs()
        );
        warn(
            "aws-stop-timeout",
            message,
            "hand back what is not done: exit with a code that `on_exit` calls release",
        );
    }
    let shm = job.container().and_then(|container| container.shm_size);
    if shm.is_some() && ladder::host(job) == Some(Host::Fargate) {
        let help = "use a folder in place of /dev/shm, or what TMPDIR names";
        warn("aws-shm", "Fargate does not let `/dev/shm` be sized".to_owned(), help);
    }
    let buckets: BTreeSet<&str> = job
        .cloud
        .triggers
        .iter()
        .map(|trigger| trigger.bucket.as_str())
        .collect();
    for bucket in buckets {
        // It cannot be done from a stack that does not own the bucket.
        let message = format!("the bucket `{bucket}` has to tell EventBridge of what arrives in it");
        let help = format!(
            "once: aws s3api put-bucket-notification-configuration --bucket {bucket} --notification-configuration '{{\"EventBridgeConfiguration\":{{}}}}'",
        );
        warn("trigger-bucket", message, &help);
    }
    if aws.endpoints
        && aws.network.is_none()
        && let Some(image) = super::image::used_as_it_is(job).filter(|image| !image.contains(".dkr.ecr."))
    {
        let message = format!("the image `{image}` cannot be pulled from behind endpoints");
        warn(
            "unreachable-image",
            message,
            "copy it into a repository of ECR, and name it there",
        );
    }
    if aws.spot && job.cloud.service {
        let help = "what is interrupted goes back to the queue at no cost";
        warn("spot", "all of a service runs on Spot capacity".to_owned(), help);
    }
}

/// Messages that SQS would not take.
pub fn check_messages(job: &Job, messages: &[Message]) -> Findings {
    let mut findings = Findings::default();
    for (number, message) in messages.iter().enumerate() {
        let bytes = message.body().len();
        if bytes > MOST_MESSAGE {
            let text = format!(
                "the job `{}`: message {} has {bytes} bytes, and SQS takes 1 MiB",
                job.name,
                number + 1
            );
            findings.push(
                Finding::error("aws-limit", text)
                    .help("put what is long into the bucket, and its key into the message"),
            );
        }
    }
    findings
}

/// What can be read as a template, and could not be deployed: schedules that begin nothing any more, and jobs whose tasks would find no sidecar.
pub fn check_deployable(project: &Project, now: Timestamp) -> Findings {
    let mut findings = Findings::default();
    for job in project.jobs.values() {
        if job.mode == Mode::Consumer {
            let message = format!("the job `{}` is a consumer, and those do not run on AWS yet", job.name);
            let help = "run it here, or let the program work off one message: without `mode`";
            findings.push(Finding::error("not-yet", message).help(help));
        }
        let Some(schedule) = &job.cloud.schedule else { continue };
        let When::At(at) = &schedule.when else { continue };
        let moment = at
            .parse::<DateTime>()
            .ok()
            .zip(TimeZone::get(&schedule.timezone).ok())
            .and_then(|(at, zone)| zone.to_timestamp(at).ok());
        if moment.is_some_and(|moment| moment.as_millisecond() <= now.0) {
            let message = format!("the job `{}`: {at} in {} has passed", job.name, schedule.timezone);
            findings
                .push(Finding::error("past-schedule", message).help("write a moment to come, or remove the schedule"));
        }
    }
    findings
}

/// What it has become.
pub(super) fn check_template(stack: &Stack, template: &Json) -> Findings {
    let mut findings = Findings::default();
    let mut refuse = |message: String| {
        let finding = Finding::error("aws-limit", message);
        findings.push(finding.help("split the project: fewer jobs in each, and what is long in files of their images"));
    };
    let bytes = template.to_string().len();
    let counts = [
        ("bytes", bytes, MOST_TEMPLATE),
        ("resources", stack.resources.len(), MOST_RESOURCES),
        ("parameters", stack.parameters.len(), MOST_PARAMETERS),
        ("outputs", stack.outputs.len(), MOST_OUTPUTS),
    ];
    for (what, count, most) in counts {
        if count > most {
            refuse(format!("the template has {count} {what}, and may have {most}"));
        }
    }
    for (id, resource) in &stack.resources {
        let (what, bytes, most) = match resource.kind {
            "AWS::StepFunctions::StateMachine" => {
                let definition = resource.properties["DefinitionString"].as_str().map_or(0, str::len);
                ("its definition", definition, MOST_DEFINITION)
            }
            "AWS::ECS::TaskDefinition" => ("it", resource.properties.to_string().len(), MOST_TASK_DEFINITION),
            "AWS::IAM::Role" => (
                "its policy",
                resource.properties["Policies"][0]["PolicyDocument"].to_string().len(),
                MOST_POLICY,
            ),
            _ => continue,
        };
        if bytes > most {
            let id = id.as_str();
            refuse(format!(
                "{id} of {}: {what} has {bytes} bytes, and may have {most}",
                resource.origin
            ));
        }
    }
    findings
}

/// Whether a template can be handed over by itself, or has to lie in a bucket.
pub fn fits_inline(template: &Json) -> bool {
    template.to_string().len() <= MOST_INLINE
}

pub(super) fn no_environment(project: &Project, name: &str) -> Findings {
    let finding = Finding::error("unknown-environment", format!("there is no environment `{name}`"));
    let names: Vec<&str> = project.environments.keys().map(String::as_str).collect();
    let finding = match suggestion(name, names.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("add [env.{name}]")),
    };
    Findings(vec![finding])
}

#[cfg(test)]
mod tests {
    use crate::project::{Project, load};

    const EVERYTHING: &str = include_str!("everything.toml");

    fn project(source: &str) -> Project {
        let (project, findings) = load(source);
        project.unwrap_or_else(|| panic!("{findings:?}"))
    }

    #[test]
    fn what_aws_would_refuse_is_said_before() {
        let said = |more: &str| {
            let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"x\"]\n{more}\n");
            match super::super::compile(&project(&source), None) {
                Ok(stack) => stack.warnings,
                Err(findings) => findings,
            }
            .0
            .iter()
            .map(|finding| format!("{:?} {}: {}", finding.severity, finding.code, finding.message))
            .collect::<Vec<_>>()
            .join("\n    ")
        };
        let all = [
            "cpu = 17",
            "memory = \"130GiB\"",
            "gpus = 1",
            "service = true",
            "secrets = [\"TOKEN\"]",
            "image = \"x\"\nmounts = [\"/srv/data:/data:ro\"]",
            "image = \"x\"\nmounts = [\"./data:/data\"]",
            "image = \"x\"\nmounts = [\"./data:/data:ro\"]",
            "mode = \"consumer\"\ngpus = 1",
            "service = true\nmemory = \"1GiB\"\nmemory_max = \"4GiB\"",
            "cpu = 1000",
            "disk = \"300GiB\"",
            "timeout = \"13h\"",
            "stop_timeout = \"5min\"",
            "image = \"x\"\nshm_size = \"1GiB\"",
            "triggers = [{ object = \"s3://landing/x\" }]",
        ];
        let told: Vec<String> = all
            .iter()
            .map(|more| format!("{}\n    {}", more.replace('\n', " · "), said(more)))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
        let nowhere = super::super::compile(&project(EVERYTHING), Some("pord")).expect_err("no such environment");
        assert_eq!(nowhere.0[0].help.as_deref(), Some("did you mean `prod`?"));
    }

    #[test]
    fn a_moment_that_has_passed_begins_nothing() {
        let year = 365 * 24 * 3600 * 1000;
        let of = |years: i64| {
            let findings = super::check_deployable(&project(EVERYTHING), crate::time::Timestamp(years * year));
            // Its consumers are another matter.
            findings.0.iter().filter(|finding| finding.code != "not-yet").count()
        };
        assert_eq!((of(50), of(61)), (0, 1), "2030-01-01");
    }
}
