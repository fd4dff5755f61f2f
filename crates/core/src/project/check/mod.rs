//! Whether what was written makes sense, as far as the file alone can tell. What the machine must answer is in
//! `surroundings.rs`, what the rows of a file must say in `params/check.rs`.

pub(crate) mod aws;
mod command;
mod consumer;
mod container;
mod deadline;
mod inline;

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use crate::finding::{Finding, Findings};
use crate::project::quantity::Size;
use crate::project::raw::{RawBackoff, RawJob, RawProject, Secrets};
use crate::project::resolve;
use crate::project::value::Entries;
use crate::template::Template;

const MAX_NAME_CHARACTERS: usize = 40;
/// Words that verbs take in place of a job.
const RESERVED_JOBS: &[&str] = &["all", "help", "last", "latest"];
/// No program fits into less; a number without a unit is the usual cause.
const LEAST_MEMORY: u64 = 1 << 20;

/// Checks all of it.
pub(crate) fn check(raw: &RawProject, findings: &mut Findings) {
    if let Some(name) = raw.project.as_ref().and_then(|header| header.get_ref().name.as_ref()) {
        check_name("a project", name.get_ref(), name.span(), findings);
    }
    let jobs: &[(Spanned<String>, Spanned<RawJob>)] = raw.job.as_ref().map_or(&[], |jobs| &jobs.get_ref().0);
    // After a mistake in the syntax, or in `job` itself, there may well be one that was not understood.
    let understood = findings
        .0
        .iter()
        .all(|finding| !matches!(finding.code, "syntax" | "wrong-type" | "unknown-key"));
    if jobs.is_empty() && understood {
        let finding = Finding::error("no-job", "the project has no job: there is nothing to run").at(0..0);
        findings.push(finding.help("add [job.hello] with command = [\"echo\", \"hello\"]"));
    }
    for (name, job) in jobs {
        check_job_name(name, jobs, findings);
        let start = job.span().start;
        let later = jobs
            .iter()
            .map(|(_, other)| other.span().start)
            .filter(|other| *other > start);
        let until = start..later.min().unwrap_or(usize::MAX);
        container::check_container(name.get_ref(), job.span(), until, job.get_ref(), findings);
        check_job(job.get_ref(), findings);
        inline::check_rows(name.get_ref(), job.get_ref(), findings);
    }
    aws::check_aws(raw, findings);
    if let Some(local) = &raw.local {
        let local = local.get_ref();
        check_memory("memory", local.memory.as_ref(), findings);
        if let Some(cost) = &local.cost {
            deadline::check_cost(cost.get_ref(), findings);
        }
        if let Some(limit) = local.log_limit.as_ref().filter(|limit| limit.get_ref().0 < 4096) {
            let finding = Finding::error("out-of-range", "`log_limit` must be at least 4 KiB").at(limit.span());
            findings.push(finding);
        }
    }
}

fn check_name(what: &str, name: &str, span: Range<usize>, findings: &mut Findings) {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let mut bad = |why: String| findings.push(Finding::error("bad-name", why).at(span.clone()));
    if name.is_empty() {
        bad(format!("{what} needs a name"));
    } else if !name.chars().all(allowed) || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        bad(format!(
            "`{name}` cannot name {what}: letters, digits, `-` and `_`, a letter or digit first"
        ));
    } else if name.len() > MAX_NAME_CHARACTERS {
        bad(format!(
            "`{name}` is too long: {what} has at most {MAX_NAME_CHARACTERS} characters in its name"
        ));
    }
}

fn check_job_name(name: &Spanned<String>, jobs: &[(Spanned<String>, Spanned<RawJob>)], findings: &mut Findings) {
    let written = name.get_ref();
    check_name("a job", written, name.span(), findings);
    if RESERVED_JOBS.contains(&written.as_str()) {
        let finding = Finding::error(
            "bad-name",
            format!("`{written}` cannot name a job: it means something to commands"),
        );
        findings.push(finding.at(name.span()));
    }
    if !written.is_empty() && written.chars().all(|digit| digit.is_ascii_digit()) {
        let finding = Finding::error(
            "bad-name",
            format!("`{written}` cannot name a job: numbers alone name runs"),
        );
        findings.push(finding.at(name.span()).help(format!("call it `job_{written}`")));
    }
    // `retrain-12` is the twelfth run of `retrain`.
    let of_run = written
        .rsplit_once('-')
        .filter(|(_, number)| number.chars().all(|digit| digit.is_ascii_digit()));
    if let Some((job, number)) =
        of_run.filter(|(job, number)| !number.is_empty() && jobs.iter().any(|(other, _)| other.get_ref() == job))
    {
        let message =
            format!("`{written}` cannot name a job beside `{job}`: it is also that job's run number {number}");
        findings.push(
            Finding::error("bad-name", message)
                .at(name.span())
                .help(format!("call it `{job}_{number}`")),
        );
    }
}

fn check_job(job: &RawJob, findings: &mut Findings) {
    command::check_command(job, findings);
    consumer::check_consumer(job, findings);
    check_path("workdir", job.workdir.as_ref(), findings);
    check_python(job, findings);
    check_env(job, findings);
    check_memory("memory", job.memory.as_ref(), findings);
    check_memory_max(job, findings);
    for (key, limit) in [("timeout", &job.timeout), ("max_duration", &job.max_duration)] {
        check_positive(key, limit.as_ref(), findings);
    }
    deadline::check_deadline(job, findings);
    if let Some(workers) = job.max_workers.as_ref().filter(|workers| *workers.get_ref() == 0) {
        findings.push(
            out_of_range(workers, "`max_workers` is 0: nothing would ever run").help("leave it out for no limit"),
        );
    }
    if let Some(backoff) = &job.backoff {
        check_backoff(backoff, findings);
    }
    check_on_exit(job, findings);
}

fn check_path(key: &str, path: Option<&Spanned<String>>, findings: &mut Findings) {
    let Some(path) = path else { return };
    let written = path.get_ref();
    let mut bad = |message: String, help: &str| {
        findings.push(Finding::error("bad-path", message).at(path.span()).help(help));
    };
    if written.trim().is_empty() {
        bad(
            format!("`{key}` names no path"),
            "paths are relative to the folder of kingtide.toml",
        );
    } else if written.contains('\0') {
        bad(format!("`{key}` contains a zero byte"), "no path can");
    } else if written.starts_with('~') || written.contains("${") || written.starts_with('$') {
        bad(
            format!("`{written}` is taken as it is: no shell reads it"),
            "write the path out, relative to kingtide.toml",
        );
    } else if written.contains(['{', '}']) {
        bad(
            format!("`{key}` has no placeholders"),
            "let the program go there, with the parameter as its argument",
        );
    }
}

fn check_python(job: &RawJob, findings: &mut Findings) {
    let Some(python) = &job.python else { return };
    let written = python.get_ref();
    if !written.is_empty()
        && written
            .chars()
            .all(|character| character.is_ascii_digit() || character == '.')
    {
        let finding = Finding::error("bad-path", "`python` names a requirements file, not a version").at(python.span());
        findings.push(finding.help("python = \"requirements.txt\""));
    } else {
        check_path("python", Some(python), findings);
    }
}

fn check_env(job: &RawJob, findings: &mut Findings) {
    let env: &[(Spanned<String>, Spanned<Template>)] = job.env.as_ref().map_or(&[], |env| &env.get_ref().0);
    for (name, value) in env {
        check_variable(name, findings);
        if value.get_ref().source().contains('\0') {
            findings.push(zero_byte("a variable", value.span()));
        }
    }
    let Some(Secrets(secrets)) = job.secrets.as_ref().map(Spanned::get_ref) else {
        return;
    };
    for (index, (name, file)) in secrets.iter().enumerate() {
        check_variable(name, findings);
        check_path("file", file.as_ref(), findings);
        let twice =
            |how: &str| Finding::error("duplicate-secret", format!("`{}` {how}", name.get_ref())).at(name.span());
        if env.iter().any(|(other, _)| other == name) {
            findings
                .push(twice("is both a secret and in env").help("remove it from env: a secret is passed on already"));
        }
        if secrets[..index].iter().any(|(other, _)| other == name) {
            findings.push(twice("is named twice"));
        }
    }
}

fn check_variable(name: &Spanned<String>, findings: &mut Findings) {
    let written = name.get_ref();
    let allowed = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if written.is_empty() || !written.chars().all(allowed) || written.starts_with(|first: char| first.is_ascii_digit())
    {
        let message = format!("`{written}` cannot name a variable: letters, digits and `_`, no digit first");
        findings.push(Finding::error("bad-env-name", message).at(name.span()));
    } else if written.to_ascii_uppercase().starts_with("KINGTIDE_") {
        let message = format!("`{written}` is Kingtide's own: it sets the variables that start with KINGTIDE_");
        findings.push(Finding::error("reserved-env", message).at(name.span()));
    }
}

fn check_memory(key: &str, memory: Option<&Spanned<Size>>, findings: &mut Findings) {
    if let Some(memory) = memory.filter(|memory| memory.get_ref().0 < LEAST_MEMORY) {
        let message = format!("`{key}` is {} bytes: no program fits into that", memory.get_ref().0);
        findings.push(out_of_range(memory, message).help(format!("write the unit, {key} = \"2GiB\" for instance")));
    }
}

fn check_memory_max(job: &RawJob, findings: &mut Findings) {
    let Some(most) = &job.memory_max else { return };
    match &job.memory {
        None => {
            let finding = Finding::error("memory-max", "`memory_max` needs `memory` to start from").at(most.span());
            findings.push(finding.help("add memory: what the first attempt gets"));
        }
        Some(memory) if most.get_ref().0 < memory.get_ref().0 => {
            let message = "`memory_max` is less than `memory`";
            findings.push(
                Finding::error("memory-max", message)
                    .at(most.span())
                    .help("memory grows from one to the other"),
            );
        }
        Some(_) => {}
    }
}

fn check_positive(key: &str, duration: Option<&Spanned<Duration>>, findings: &mut Findings) {
    if let Some(duration) = duration.filter(|duration| *duration.get_ref() < Duration::from_millis(1)) {
        let message = format!("`{key}` is shorter than a millisecond: nothing could end in time");
        findings.push(out_of_range(duration, message).help("leave it out for no limit"));
    }
}

fn check_backoff(backoff: &Spanned<RawBackoff>, findings: &mut Findings) {
    let raw = backoff.get_ref();
    if let Some(factor) = raw
        .factor
        .as_ref()
        .filter(|factor| !(1.0..=1000.0).contains(factor.get_ref()))
    {
        findings.push(out_of_range(factor, "`factor` must lie between 1 and 1000"));
    }
    if let Some(jitter) = raw
        .jitter
        .as_ref()
        .filter(|jitter| !(0.0..=1.0).contains(jitter.get_ref()))
    {
        findings.push(out_of_range(
            jitter,
            "`jitter` must lie between 0 and 1: it is a share of the delay",
        ));
    }
    let resolved = resolve::backoff(raw.clone());
    if resolved.first > resolved.max {
        let written = raw.first.as_ref().map_or(backoff.span(), Spanned::span);
        let message = format!(
            "the first delay, {}, is longer than `max`, {}",
            humantime::format_duration(resolved.first),
            humantime::format_duration(resolved.max)
        );
        findings.push(
            Finding::error("out-of-range", message)
                .at(written)
                .help("raise max to at least first"),
        );
    }
}

fn check_on_exit(job: &RawJob, findings: &mut Findings) {
    let Some(Entries(codes)) = job.on_exit.as_ref().map(Spanned::get_ref) else {
        return;
    };
    for (code, _) in codes {
        let written = code.get_ref();
        let number = written
            .parse::<i32>()
            .ok()
            .filter(|number| number.to_string() == *written);
        let (message, help) = match number {
            Some(1..=255) => continue,
            Some(0) => (
                "exit code 0 always means success".to_owned(),
                "choose another code for it, 3 for instance",
            ),
            _ => (
                format!("`{written}` is no exit code"),
                "exit codes are whole numbers from 1 to 255",
            ),
        };
        findings.push(Finding::error("bad-exit-code", message).at(code.span()).help(help));
    }
}

fn out_of_range<T>(value: &Spanned<T>, message: impl Into<String>) -> Finding {
    Finding::error("out-of-range", message).at(value.span())
}

fn zero_byte(what: &str, span: Range<usize>) -> Finding {
    Finding::error("zero-byte", format!("{what} cannot contain a zero byte")).at(span)
}
