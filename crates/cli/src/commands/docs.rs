//! `docs-cli`, hidden: prints `docs/cli.md` from the declarations in `args.rs`, so that it cannot be wrong.

use std::fmt::Write as _;
use std::io::Write;

use clap::{Arg, Command, CommandFactory};

use crate::args::Arguments;
use crate::exit::{Exit, Outcome};
use crate::output;
use crate::settings::VARIABLES;

pub(crate) fn run() -> Outcome {
    let mut out = output::data();
    out.write_all(markdown().as_bytes())?;
    out.flush()?;
    Ok(Exit::Done)
}

fn markdown() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut text = String::from(
        "<!-- Printed by `kingtide docs-cli`; do not edit. -->\n# The command line\n\n\
         `kingtide [OPTIONS] COMMAND`. Data goes to standard output, everything else to standard error.\n\n\
         RUN is `last`, `retrain-12`, `12`, or a job's name for its last run. K=V is a parameter and its value.\n\n",
    );
    text.push_str("## Everywhere\n\n");
    options(
        &mut text,
        command.get_arguments().filter(|argument| argument.is_global_set()),
    );
    text.push_str("\n| Variable | Meaning |\n|---|---|\n");
    for (name, meaning) in VARIABLES {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    text.push_str(
        "\nA flag wins over a variable.\n\n## Exit codes\n\nThe first that applies:\n\n| Code | Meaning |\n|---|---|\n",
    );
    for exit in Exit::ORDER {
        let _ = writeln!(text, "| {} | {} |", exit as u8, exit.meaning());
    }
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        section(&mut text, verb, "kingtide");
    }
    text
}

fn section(text: &mut String, verb: &Command, above: &str) {
    let name = format!("{above} {}", verb.get_name());
    let mut under = verb.get_subcommands().filter(|verb| !verb.is_hide_set()).peekable();
    if under.peek().is_some() {
        let _ = write!(text, "\n## {name}\n\n{}.\n", about(verb));
        for verb in under.filter(|verb| verb.get_name() != "help") {
            section(text, verb, &name);
        }
        return;
    }
    let _ = write!(text, "\n## {name}\n\n{}.\n\n", about(verb));
    let usage = verb.clone().render_usage().to_string();
    let _ = write!(text, "```\n{}\n```\n", usage.trim_start_matches("Usage: "));
    let own: Vec<&Arg> = verb
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && argument.get_id() != "help")
        .collect();
    if !own.is_empty() {
        text.push('\n');
        options(text, own.into_iter());
    }
    if let Some(after) = verb.get_after_help() {
        let _ = write!(text, "\n```\n{after}\n```\n");
    }
}

fn about(verb: &Command) -> String {
    verb.get_about().map(ToString::to_string).unwrap_or_default()
}

fn options<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    text.push_str("| Option | Meaning |\n|---|---|\n");
    for argument in arguments.filter(|argument| !argument.is_hide_set()) {
        let mut names = Vec::new();
        names.extend(argument.get_short().map(|short| format!("-{short}")));
        names.extend(argument.get_long().map(|long| format!("--{long}")));
        let values = argument.get_value_names().unwrap_or_default();
        let takes_value = argument.get_action().takes_values();
        let value = if takes_value {
            values
                .iter()
                .map(|value| value.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        } else {
            String::new()
        };
        let name = match (names.is_empty(), value.is_empty()) {
            (true, _) => value,
            (false, true) => names.join(", "),
            (false, false) => format!("{} {value}", names.join(", ")),
        };
        let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let possible: Vec<String> = argument
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if takes_value && !possible.is_empty() {
            let _ = write!(meaning, " ({})", possible.join(", "));
        }
        let defaults: Vec<String> = argument
            .get_default_values()
            .iter()
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        if takes_value && !defaults.is_empty() {
            let _ = write!(meaning, " (by default {})", defaults.join(" "));
        }
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | {} |", cell(&name), cell(meaning.trim()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_declarations_say() {
        let page = include_str!("../../../../docs/cli.md");
        assert!(
            page == markdown(),
            "docs/cli.md is out of date: cargo run -p kingtide -- docs-cli > docs/cli.md"
        );
    }
}
