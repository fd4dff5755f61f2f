//! The command: whether it names a program, and whether a value of a message becomes part of a script.

use toml::Spanned;

use crate::contract::parameter_variable;
use crate::finding::{Finding, Findings};
use crate::project::check::zero_byte;
use crate::project::raw::RawJob;
use crate::template::Template;

const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "fish"];

pub(super) fn check_command(job: &RawJob, findings: &mut Findings) {
    let Some(command) = &job.command else { return };
    let arguments = command.get_ref();
    if job.image.is_some() || job.build.is_some() {
        let written: &[Spanned<String>] = job.entrypoint.as_ref().map_or(&[], |entrypoint| entrypoint.get_ref());
        let entrypoint = written
            .iter()
            .map(|part| Spanned::new(part.span(), Template::literal(part.get_ref())));
        return check_arguments(
            &entrypoint.chain(arguments.iter().cloned()).collect::<Vec<_>>(),
            findings,
        );
    }
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
    check_arguments(arguments, findings);
}

fn check_arguments(arguments: &[Spanned<Template>], findings: &mut Findings) {
    for argument in arguments
        .iter()
        .filter(|argument| argument.get_ref().source().contains('\0'))
    {
        findings.push(zero_byte("an argument", argument.span()));
    }
    for script in shell_scripts(arguments) {
        let mut names: Vec<&str> = script.get_ref().placeholders().collect();
        names.dedup();
        // The queue's name and address are ours.
        names.retain(|name| !matches!(*name, "queue_url" | "queue_name"));
        let Some(name) = names.first() else { continue };
        let variable = parameter_variable(name);
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
