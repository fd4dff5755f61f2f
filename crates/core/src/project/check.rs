//! Whether what was written makes sense, as far as the file alone can tell. What the machine must answer is in
//! `surroundings.rs`, what the rows of a file must say in `params/check.rs`.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use crate::finding::{Finding, Findings};
use crate::project::params::{Format, Matrix, Params, Row, RowCheck, Rows};
use crate::project::quantity::Size;
use crate::project::raw::{RawBackoff, RawJob, RawParams, RawProject, Secrets};
use crate::project::resolve;
use crate::project::value::Entries;
use crate::template::Template;

const MAX_NAME_CHARACTERS: usize = 40;
/// Words that verbs take in place of a job.
const RESERVED_JOBS: &[&str] = &["all", "help", "last", "latest"];
/// No program fits into less; a number without a unit is the usual cause.
const LEAST_MEMORY: u64 = 1 << 20;
const MOST_MATRIX_ROWS: u64 = 100_000_000;
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "fish"];

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
        check_job(job.get_ref(), findings);
        check_rows(name.get_ref(), job.get_ref(), findings);
    }
    if let Some(local) = &raw.local {
        let local = local.get_ref();
        check_memory("memory", local.memory.as_ref(), findings);
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
    check_command(job, findings);
    check_path("workdir", job.workdir.as_ref(), findings);
    check_python(job, findings);
    check_env(job, findings);
    check_memory("memory", job.memory.as_ref(), findings);
    check_memory_max(job, findings);
    for (key, limit) in [("timeout", &job.timeout), ("max_duration", &job.max_duration)] {
        check_positive(key, limit.as_ref(), findings);
    }
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

fn check_command(job: &RawJob, findings: &mut Findings) {
    let Some(command) = &job.command else { return };
    let arguments = command.get_ref();
    let Some(program) = arguments.first() else {
        let finding = Finding::error("empty-command", "`command` is empty: there is nothing to run").at(command.span());
        findings.push(finding.help("name a program and its arguments: [\"python3\", \"train.py\"]"));
        return;
    };
    let source = program.get_ref().source();
    if source.trim().is_empty() {
        findings.push(Finding::error("empty-command", "the program has no name").at(program.span()));
    } else if arguments.len() == 1 && source.trim().contains(char::is_whitespace) && !source.contains('/') {
        let words: Vec<String> = source.split_whitespace().map(|word| format!("{word:?}")).collect();
        let finding = Finding::warning(
            "one-word-command",
            format!("the program is called `{source}`, spaces included"),
        );
        findings.push(
            finding
                .at(program.span())
                .help(format!("each argument on its own: [{}]", words.join(", "))),
        );
    }
    for argument in arguments
        .iter()
        .filter(|argument| argument.get_ref().source().contains('\0'))
    {
        findings.push(zero_byte("an argument", argument.span()));
    }
    for script in shell_scripts(arguments) {
        let mut names: Vec<&str> = script.get_ref().placeholders().collect();
        names.dedup();
        let Some(name) = names.first() else { continue };
        let variable = crate::contract::parameter_variable(name);
        let message = format!("the value of `{{{name}}}` becomes part of a shell script: what is in it is executed");
        let finding = Finding::warning("shell-injection", message).at(script.span());
        findings.push(finding.help(format!(
            "write \"${variable}\" instead, in double quotes, and the value stays a value"
        )));
    }
}

/// The arguments that a shell will execute: what follows `-c`, wherever the shell stands (`timeout 5 bash -lc …`).
fn shell_scripts(arguments: &[Spanned<Template>]) -> Vec<&Spanned<Template>> {
    let texts: Vec<String> = arguments.iter().map(|argument| argument.get_ref().source()).collect();
    let is_shell = |text: &String| SHELLS.contains(&text.rsplit('/').next().unwrap_or(text));
    let runs_text = |text: &String| {
        text.strip_prefix('-')
            .is_some_and(|flags| !flags.starts_with('-') && flags.ends_with('c'))
    };
    let mut scripts = Vec::new();
    for shell in (0..texts.len()).filter(|index| is_shell(&texts[*index])) {
        let flag = texts[shell + 1..]
            .iter()
            .position(runs_text)
            .map(|offset| shell + 1 + offset);
        scripts.extend(flag.and_then(|flag| arguments.get(flag + 1)));
    }
    scripts
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

/// The file's name, or the rows themselves where they are in the project file.
fn check_rows(name: &str, raw: &RawJob, findings: &mut Findings) {
    let Some(params) = &raw.params else { return };
    let Some(job) = resolve::job(name.to_owned(), raw.clone()) else {
        return;
    };
    // Rows that could not be read are not there to be counted.
    let inside = |span: Range<usize>| params.span().start <= span.start && span.end <= params.span().end;
    if findings.0.iter().filter_map(Finding::span).any(inside) {
        return;
    }
    match params.get_ref() {
        RawParams::File(file) => {
            let before = findings.0.len();
            check_path("params", Some(&Spanned::new(params.span(), file.clone())), findings);
            if let (true, Err(finding)) = (findings.0.len() == before, Format::of(file)) {
                findings.push(finding.at(params.span()));
            }
        }
        RawParams::Rows(rows) => {
            let spans = if rows.is_empty() {
                vec![params.span()]
            } else {
                rows.iter().map(Spanned::span).collect()
            };
            let mut check = RowCheck::of_project(&job, spans);
            if let Some(Params::Inline(messages)) = &job.params {
                Rows::inline(messages).for_each(|row| check.look(&row));
            }
            findings.0.extend(check.finish().0);
        }
        RawParams::Matrix(_) => {
            let Some(Params::Matrix(matrix)) = &job.params else {
                return;
            };
            check_matrix(&job, matrix, params.span(), findings);
        }
    }
}

/// All rows of a matrix have the same names, so the first tells of all; values that come twice make rows that do.
fn check_matrix(job: &crate::project::Job, matrix: &Matrix, span: Range<usize>, findings: &mut Findings) {
    if matrix.len().is_none_or(|rows| rows > MOST_MATRIX_ROWS) {
        let message = format!("the matrix multiplies out to more than {MOST_MATRIX_ROWS} rows");
        findings.push(Finding::error("out-of-range", message).at(span));
        return;
    }
    let mut check = RowCheck::of_project(job, vec![span.clone()]);
    // The longest value of each list stands for all of them.
    let longest = Matrix(
        matrix
            .0
            .iter()
            .map(|(name, values)| {
                let longest = values.iter().max_by_key(|value| value.to_string().len());
                (name.clone(), longest.into_iter().cloned().collect())
            })
            .collect(),
    );
    for row in Rows::matrix(&longest) {
        check.look(&row.map(|row| Row { line: 1, ..row }));
    }
    findings.0.extend(check.finish().0);
    for (name, values) in &matrix.0 {
        let mut sorted: Vec<String> = values.iter().map(ToString::to_string).collect();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!(
                "`{name}` has the value {} twice; the rows it makes are run twice",
                twice[0]
            );
            findings.push(Finding::warning("duplicate-rows", message).at(span.clone()));
        }
    }
}

fn out_of_range<T>(value: &Spanned<T>, message: impl Into<String>) -> Finding {
    Finding::error("out-of-range", message).at(value.span())
}

fn zero_byte(what: &str, span: Range<usize>) -> Finding {
    Finding::error("zero-byte", format!("{what} cannot contain a zero byte")).at(span)
}
