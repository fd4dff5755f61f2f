//! From what was written to what is meant: defaults filled in, names resolved. Only called when nothing is wrong.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeTable;

use crate::finding::Findings;
use crate::message::Message;
use crate::project::Project;
use crate::project::aws::{Alarm, Aws, RawAlarm, RawAws, RawSchedule, RawTrigger, Trigger};
use crate::project::container;
use crate::project::job::{Backoff, Cloud, Cost, Job, Local, Program, Resources, Secret};
use crate::project::params::{Matrix, Params};
use crate::project::quantity::Size;
use crate::project::raw::{RawBackoff, RawJob, RawLocal, RawParams, RawProject, Secrets};
use crate::project::table::read_entries;
use crate::project::value::{Entries, FromToml};

/// The commented file that doubles as documentation.
pub const DEFAULTS: &str = include_str!("defaults.toml");

const COMPLETE: &str = "defaults.toml names it, and a test loads that file";

struct Defaults {
    job: RawJob,
    backoff: RawBackoff,
    local: RawLocal,
}

static PARSED: LazyLock<Defaults> = LazyLock::new(|| {
    let mut findings = Findings::default();
    let document = DeTable::parse(DEFAULTS).expect("defaults.toml is TOML");
    let table = |name: &str| {
        document
            .get_ref()
            .get(name)
            .and_then(|value| value.get_ref().as_table())
            .expect(COMPLETE)
    };
    let job: RawJob = read_entries(table("job"), &mut findings);
    let backoff = job.backoff.clone().expect(COMPLETE).into_inner();
    let defaults = Defaults {
        job,
        backoff,
        local: read_entries(table("local"), &mut findings),
    };
    assert_eq!(findings.0, [], "defaults.toml is right");
    defaults
});

/// The defaults as JSON, for the schema.
pub(crate) fn default_values() -> Json {
    let document = DeTable::parse(DEFAULTS).expect("defaults.toml is TOML");
    let mut findings = Findings::default();
    let root = Spanned::new(0..0, toml::de::DeValue::Table(document.into_inner()));
    Json::from_toml("defaults", &root, &mut findings).expect("defaults.toml is right")
}

/// What is meant. Every error was found before; keys that could not be read are as good as absent.
pub(crate) fn resolve(raw: RawProject) -> Option<Project> {
    let name = raw.project?.into_inner().name?.into_inner();
    let Entries(jobs) = raw.job.map(Spanned::into_inner).unwrap_or_default();
    let jobs = jobs.into_iter().map(|(name, raw)| {
        let name = name.into_inner();
        Some((name.clone(), job(name, raw.into_inner())?))
    });
    let local = local(raw.local.map(Spanned::into_inner).unwrap_or_default());
    let (aws, environments) = aws(raw.aws, raw.env);
    Some(Project {
        name,
        jobs: jobs.collect::<Option<_>>()?,
        local,
        aws,
        environments,
        alarms: alarms(raw.alarm),
    })
}

/// What can be made of a file with errors: what could not be read is as good as absent.
pub(crate) fn resolve_partly(raw: RawProject) -> Project {
    let Entries(jobs) = raw.job.map(Spanned::into_inner).unwrap_or_default();
    let jobs = jobs.into_iter().filter_map(|(name, raw)| {
        let name = name.into_inner();
        Some((name.clone(), job(name, raw.into_inner())?))
    });
    let (aws, environments) = aws(raw.aws, raw.env);
    let name = raw.project.and_then(|header| header.into_inner().name);
    Project {
        name: name.map(Spanned::into_inner).unwrap_or_default(),
        jobs: jobs.collect(),
        local: local(raw.local.map(Spanned::into_inner).unwrap_or_default()),
        aws,
        environments,
        alarms: alarms(raw.alarm),
    }
}

pub(crate) fn job(name: String, raw: RawJob) -> Option<Job> {
    let defaults = &PARSED.job;
    let program = container::program(&raw)?;
    let command = plain(raw.command).unwrap_or_default();
    if command.is_empty() && program == Program::Process {
        return None;
    }
    let Entries(env) = plain(raw.env).unwrap_or_default();
    let Entries(on_exit) = or_default(raw.on_exit, &defaults.on_exit);
    let on_exit = on_exit
        .into_iter()
        .filter_map(|(code, action)| Some((code.get_ref().parse().ok()?, *action.get_ref())));
    Some(Job {
        name,
        program,
        command: command.into_iter().map(Spanned::into_inner).collect(),
        workdir: plain(raw.workdir),
        env: env
            .into_iter()
            .map(|(name, value)| (name.into_inner(), value.into_inner()))
            .collect(),
        secrets: plain(raw.secrets).map(secrets).unwrap_or_default(),
        python: plain(raw.python),
        params: plain(raw.params).map(params),
        resources: Resources {
            cpu_milli: or_default(raw.cpu, &defaults.cpu).0,
            memory: bytes(raw.memory),
            gpus: or_default(raw.gpus, &defaults.gpus),
        },
        memory_max: bytes(raw.memory_max),
        timeout: plain(raw.timeout),
        max_duration: plain(raw.max_duration),
        deadline: plain(raw.deadline),
        confidence: or_default(raw.confidence, &defaults.confidence),
        expected: plain(raw.expected),
        cloud: Cloud {
            schedule: plain(raw.schedule).and_then(RawSchedule::resolve),
            triggers: triggers(raw.triggers),
            alarms: plain(raw.alarms)
                .unwrap_or_default()
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
            service: plain(raw.service).unwrap_or(false),
            doorbell: plain(raw.doorbell),
            policies: plain(raw.policies)
                .unwrap_or_default()
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
            disk: bytes(raw.disk),
            max_cost: plain(raw.max_cost),
        },
        stop_timeout: or_default(raw.stop_timeout, &defaults.stop_timeout),
        retries: or_default(raw.retries, &defaults.retries),
        backoff: backoff(plain(raw.backoff).unwrap_or_default()),
        on_exit: on_exit.collect(),
        mode: or_default(raw.mode, &defaults.mode),
        heartbeat: or_default(raw.heartbeat, &defaults.heartbeat),
        max_workers: plain(raw.max_workers),
        run_idle: or_default(raw.run_idle, &defaults.run_idle),
        tolerate_failures: or_default(raw.tolerate_failures, &defaults.tolerate_failures),
        on_crash: or_default(raw.on_crash, &defaults.on_crash),
    })
}

/// Partly written: what is not said is the default's.
pub(crate) fn backoff(raw: RawBackoff) -> Backoff {
    let defaults = &PARSED.backoff;
    Backoff {
        first: or_default(raw.first, &defaults.first),
        factor: or_default(raw.factor, &defaults.factor),
        max: or_default(raw.max, &defaults.max),
        jitter: or_default(raw.jitter, &defaults.jitter),
    }
}

fn local(raw: RawLocal) -> Local {
    Local {
        cpu_milli: raw.cpu.map(|cores| cores.get_ref().0),
        memory: bytes(raw.memory),
        gpus: plain(raw.gpus),
        log_limit: or_default(raw.log_limit, &PARSED.local.log_limit).0,
        cost: plain(raw.cost)
            .map(|cost| Cost {
                cpu_hour: plain(cost.cpu_hour).unwrap_or(0.0),
                gib_hour: plain(cost.gib_hour).unwrap_or(0.0),
            })
            // What costs nothing has no price.
            .filter(|cost| cost.cpu_hour > 0.0 || cost.gib_hour > 0.0),
    }
}

/// `[aws]`, and what each environment makes of it.
fn aws(raw: Option<Spanned<RawAws>>, environments: Option<Spanned<Entries<RawAws>>>) -> (Aws, BTreeMap<String, Aws>) {
    let base = plain(raw).unwrap_or_default();
    let Entries(others) = plain(environments).unwrap_or_default();
    let laid = others.into_iter().map(|(name, other)| {
        let laid = base.clone().overlaid(other.into_inner());
        (name.into_inner(), laid.resolve())
    });
    let environments = laid.collect();
    (base.resolve(), environments)
}

fn alarms(raw: Option<Spanned<Entries<RawAlarm>>>) -> BTreeMap<String, Alarm> {
    let Entries(alarms) = plain(raw).unwrap_or_default();
    let alarms = alarms.into_iter();
    alarms
        .map(|(name, alarm)| (name.into_inner(), alarm.into_inner().resolve()))
        .collect()
}

fn triggers(raw: Option<Spanned<Vec<Spanned<RawTrigger>>>>) -> Vec<Trigger> {
    let triggers = plain(raw).unwrap_or_default().into_iter();
    triggers
        .filter_map(|trigger| Trigger::parse(trigger.into_inner().object?.get_ref()))
        .collect()
}

fn secrets(Secrets(secrets): Secrets) -> Vec<Secret> {
    let secret = |(name, file): (Spanned<String>, _)| Secret {
        name: name.into_inner(),
        file: plain(file),
    };
    secrets.into_iter().map(secret).collect()
}

pub(crate) fn params(raw: RawParams) -> Params {
    match raw {
        RawParams::File(file) => Params::File(file),
        RawParams::Rows(rows) => Params::Inline(rows.into_iter().map(Spanned::into_inner).collect::<Vec<Message>>()),
        RawParams::Matrix(Entries(lists)) => Params::Matrix(Matrix(
            lists
                .into_iter()
                .map(|(name, values)| {
                    (
                        name.into_inner(),
                        values.into_inner().into_iter().map(Spanned::into_inner).collect(),
                    )
                })
                .collect(),
        )),
    }
}

fn plain<T>(written: Option<Spanned<T>>) -> Option<T> {
    written.map(Spanned::into_inner)
}

fn bytes(written: Option<Spanned<Size>>) -> Option<u64> {
    written.map(|size| size.get_ref().0)
}

fn or_default<T: Clone>(written: Option<Spanned<T>>, default: &Option<Spanned<T>>) -> T {
    plain(written).unwrap_or_else(|| default.as_ref().expect(COMPLETE).get_ref().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::load;

    #[test]
    fn the_defaults_are_those_of_the_design() {
        let source = "[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\n";
        let (project, findings) = load(source);
        assert_eq!(findings.0, []);
        let project = project.expect("no findings");
        let job = &project.jobs["j"];
        assert_eq!(job.retries, 2);
        assert_eq!(job.stop_timeout.as_secs(), 10);
        assert_eq!(job.backoff, Backoff::default(), "job.rs and defaults.toml say the same");
        assert_eq!(
            job.resources,
            Resources {
                cpu_milli: 1000,
                memory: None,
                gpus: 0
            }
        );
        assert_eq!(job.tolerate_failures, crate::project::Tolerance::Count(0));
        assert_eq!(job.on_crash, crate::project::OnCrash::Retry);
        assert_eq!((job.timeout, job.max_duration), (None, None));
        assert_eq!(
            project.local,
            Local {
                cpu_milli: None,
                memory: None,
                gpus: None,
                log_limit: 64 << 20,
                cost: None,
            }
        );
    }

    #[test]
    fn a_partly_written_backoff_keeps_the_rest() {
        let source = "[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\nbackoff = { first = \"5s\" }\n";
        let backoff = load(source).0.expect("no findings").jobs["j"].backoff;
        assert_eq!(
            backoff,
            Backoff {
                first: std::time::Duration::from_secs(5),
                ..Backoff::default()
            }
        );
    }
}
