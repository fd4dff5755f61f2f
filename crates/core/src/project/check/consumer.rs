//! The keys of jobs whose program reads the queue itself: what is filled for it, and what means nothing there.

use std::ops::Range;

use toml::Spanned;

use crate::finding::{Finding, Findings};
use crate::project::job::Mode;
use crate::project::raw::RawJob;
use crate::project::value::Entries;
use crate::template::Template;

/// What is filled in a consumer's command and environment.
const FILLED: [&str; 2] = ["queue_url", "queue_name"];

pub(super) fn check_consumer(job: &RawJob, findings: &mut Findings) {
    if job.mode.as_ref().is_none_or(|mode| *mode.get_ref() != Mode::Consumer) {
        if let Some(heartbeat) = &job.heartbeat {
            let message = "`heartbeat` says nothing about a job in task mode: there Kingtide itself holds the message";
            let finding = Finding::warning("no-effect", message).at(heartbeat.span());
            findings.push(finding.help("remove it, or set mode = \"consumer\""));
        }
        return;
    }
    let command = job.command.as_ref().map_or(&[][..], |command| command.get_ref());
    let no_env = Entries(Vec::new());
    let Entries(env) = job.env.as_ref().map_or(&no_env, Spanned::get_ref);
    for template in command.iter().chain(env.iter().map(|(_, value)| value)) {
        check_placeholders(template, findings);
    }
    let meaningless: [(&str, Option<Range<usize>>, &str); 3] = [
        (
            "timeout",
            job.timeout.as_ref().map(Spanned::span),
            "it runs as long as there is work",
        ),
        (
            "on_exit",
            job.on_exit.as_ref().map(Spanned::span),
            "what becomes of a message is what its reader does with it",
        ),
        (
            "memory_max",
            job.memory_max.as_ref().map(Spanned::span),
            "every instance has the same memory",
        ),
    ];
    for (key, span, why) in meaningless {
        let Some(span) = span else { continue };
        let message = format!("`{key}` says nothing about a consumer: {why}");
        findings.push(Finding::warning("no-effect", message).at(span).help("remove it"));
    }
}

fn check_placeholders(template: &Spanned<Template>, findings: &mut Findings) {
    let unknown = template.get_ref().placeholders().find(|name| !FILLED.contains(name));
    if let Some(name) = unknown {
        let message = format!("nothing fills `{{{name}}}`: a consumer reads its messages itself");
        let finding = Finding::error("bad-placeholder", message).at(template.span());
        findings.push(finding.help("`{queue_url}` and `{queue_name}` are filled; write `{{` for a brace"));
    }
}

#[cfg(test)]
mod tests {
    use crate::project::load;

    fn codes(keys: &str) -> Vec<&'static str> {
        let (_, findings) = load(&format!("[project]\nname = \"p\"\n[job.j]\n{keys}\n"));
        findings.0.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_consumer_is_given_its_queue_and_no_message() {
        let consumer = |keys: &str| codes(&format!("mode = \"consumer\"\n{keys}"));
        assert_eq!(
            consumer("command = [\"x\", \"--sqsUrl\", \"{queue_url}\"]\nenv = { Q = \"{queue_name}\" }"),
            [""; 0]
        );
        assert_eq!(consumer("command = [\"x\", \"{dest}\"]"), ["bad-placeholder"]);
        assert_eq!(
            consumer("command = [\"x\"]\nenv = { D = \"{dest}\" }"),
            ["bad-placeholder"]
        );
        assert_eq!(
            consumer("command = [\"x\"]\ntimeout = \"1m\"\non_exit = { 3 = \"skip\" }"),
            ["no-effect", "no-effect"]
        );
        assert_eq!(consumer("command = [\"x\"]\nparams = [{ dest = \"BOS\" }]"), [""; 0]);
        assert_eq!(codes("command = [\"x\"]\nheartbeat = false"), ["no-effect"]);
    }
}
