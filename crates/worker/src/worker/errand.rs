//! What exactly is to be started for a message: the same invocation as on one machine, in the user's own image.

use std::path::Path;

use kingtide_core::contract;
use kingtide_core::engine::event::Ledger;
use kingtide_core::id::AttemptId;
use kingtide_core::message::Message;
use kingtide_core::time::milliseconds;
use kingtide_exec::wire::Start;

use crate::settings::Settings;

/// A program to be run.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) attempt: AttemptId,
    pub(crate) ledger: Ledger,
    /// Of the message.
    pub(crate) body: String,
}

/// Where an attempt works: a folder of its own.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) path: std::path::PathBuf,
}

/// TERM comes this long before KILL on AWS, and what follows the program's end takes time as well.
const MOST_PATIENCE_MS: u64 = 100_000;

impl Folder {
    pub(crate) fn file(&self, name: &str) -> String {
        self.path.join(name).to_string_lossy().into_owned()
    }
}

impl Errand {
    /// What to start, and whether the message goes along as a file.
    ///
    /// # Errors
    /// Why it cannot be started, in words.
    pub(crate) fn start(&self, settings: &Settings, folder: &Folder) -> Result<(Start, bool), String> {
        let job = &settings.job;
        let message = Message::parse(&self.body).ok_or("its message is no JSON object")?;
        let run = format!("{}-{}", job.name, self.attempt.task.run);
        let invocation = contract::invocation(job, &message, self.attempt, &run, is_inherited)
            .map_err(|missing| missing.to_string())?;
        let mut env = invocation.env;
        if invocation.message_file {
            env.push(("KINGTIDE_MESSAGE_FILE".to_owned(), folder.file("message.json")));
        }
        let workdir = match (job.container(), &job.workdir) {
            (Some(_), Some(workdir)) => workdir.clone(),
            // The image's own; for a job without one it was built with the job's folder.
            _ => std::env::current_dir()
                .map_err(|error| format!("its folder cannot be found: {error}"))?
                .to_string_lossy()
                .into_owned(),
        };
        let start = Start {
            attempt: self.attempt.to_string(),
            pool: String::new(),
            limit: 1,
            argv: argv(settings, invocation.argv),
            workdir,
            env,
            memory: self.ledger.memory.or(settings.memory),
            timeout_ms: job.timeout.map(milliseconds),
            stop_timeout_ms: milliseconds(job.stop_timeout).min(MOST_PATIENCE_MS),
            log: folder.file("log"),
            log_limit: settings.log_limit,
        };
        Ok((start, invocation.message_file))
    }
}

/// As a container engine puts them together: an entrypoint of the job's own takes the image's command with it.
fn argv(settings: &Settings, command: Vec<String>) -> Vec<String> {
    let own = settings
        .job
        .container()
        .and_then(|container| container.entrypoint.clone());
    let is_container = settings.job.container().is_some();
    let mut argv = match &own {
        Some(entrypoint) => entrypoint.clone(),
        None if is_container => settings.entrypoint.clone(),
        None => Vec::new(),
    };
    match command.is_empty() && own.is_none() {
        true => argv.extend(settings.command.iter().cloned()),
        false => argv.extend(command),
    }
    argv
}

/// Whether a program inherits a variable of ours: what the image sets, and what AWS's SDKs find their way by; nothing that this binary is told.
pub(crate) fn is_inherited(name: &str) -> bool {
    !name.starts_with("KINGTIDE_") && std::env::var_os(name).is_some()
}

/// Writes the message beside the program.
pub(crate) fn write_message(folder: &Path, body: &str) -> std::io::Result<()> {
    std::fs::write(folder.join("message.json"), body)
}

#[cfg(test)]
mod tests {
    use kingtide_core::cloud::document;
    use kingtide_core::project::load;

    use super::*;

    fn started(lines: &str, entrypoint: &[&str], command: &[&str]) -> Vec<String> {
        let (project, findings) = load(&format!("[project]\nname = \"p\"\n[job.j]\n{lines}\n"));
        let job = project.unwrap_or_else(|| panic!("{findings:?}")).jobs["j"].clone();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let settings = Settings::for_tests(document::read(&document::write(&job)).expect("it is a job"));
        let settings = Settings {
            entrypoint: words(entrypoint),
            command: words(command),
            ..settings
        };
        let errand = Errand {
            attempt: kingtide_core::id::RunId(1).task(7).attempt(1),
            ledger: Ledger::default(),
            body: r#"{"dest":"BOS"}"#.to_owned(),
        };
        let folder = Folder { path: "/work/1".into() };
        errand.start(&settings, &folder).expect("it can be started").0.argv
    }

    #[test]
    fn entrypoint_and_command_are_put_together_as_engines_do() {
        let image = |lines: &str| started(lines, &["tini", "--"], &["sh", "run.sh"]);
        assert_eq!(image("image = \"i\""), ["tini", "--", "sh", "run.sh"]);
        assert_eq!(image("image = \"i\"\ncommand = [\"{dest}\"]"), ["tini", "--", "BOS"]);
        assert_eq!(image("image = \"i\"\nentrypoint = [\"python3\"]"), ["python3"]);
        let both = image("image = \"i\"\nentrypoint = [\"python3\"]\ncommand = [\"x.py\"]");
        assert_eq!(both, ["python3", "x.py"]);
        // A job without an image has one built for it, whatever that starts.
        assert_eq!(image("command = [\"./run\", \"{dest}\"]"), ["./run", "BOS"]);
    }
}
