//! A conversation with the real `kingtide-aws`, whose AWS is somewhere else.

use std::io::BufReader;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kingtide_remote::wire::{self, Ask, Event, Failed, Request, Target};

pub(crate) struct Conversation {
    child: Child,
    requests: Option<ChildStdin>,
    events: BufReader<ChildStdout>,
    stack: String,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

impl Conversation {
    pub(crate) fn with(url: &str, stack: &str) -> Conversation {
        Conversation::of(&[("AWS_ENDPOINT_URL", url)], stack)
    }

    /// With these variables beside keys and a region, or without where they are empty; nothing of whoever runs the test.
    pub(crate) fn of(variables: &[(&str, &str)], stack: &str) -> Conversation {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kingtide-aws"));
        command
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for (name, value) in variables {
            match value.is_empty() {
                true => command.env_remove(name),
                false => command.env(name, value),
            };
        }
        let mut child = command.spawn().expect("it starts");
        let requests = child.stdin.take();
        let mut events = BufReader::new(child.stdout.take().expect("a pipe"));
        let hello: Option<Event> = wire::read(&mut events).expect("a greeting");
        assert!(matches!(hello, Some(Event::Hello(_))), "{hello:?}");
        Conversation {
            child,
            requests,
            events,
            stack: stack.to_owned(),
        }
    }

    /// All events of the answer.
    pub(crate) fn try_ask(&mut self, ask: Ask) -> Result<Vec<Event>, Failed> {
        let request = Request {
            target: Target {
                region: None,
                stack: self.stack.clone(),
            },
            ask,
        };
        wire::write(self.requests.as_mut().expect("open"), &request).expect("it listens");
        let mut said = Vec::new();
        loop {
            match wire::read(&mut self.events)
                .expect("events")
                .expect("an answer has an end")
            {
                Event::Done => return Ok(said),
                Event::Failed(failed) => return Err(failed),
                event => said.push(event),
            }
        }
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Vec<Event> {
        let shown = format!("{ask:?}");
        let shown = shown.get(..200).unwrap_or(&shown).to_owned();
        self.try_ask(ask).unwrap_or_else(|failed| panic!("{shown}: {failed:?}"))
    }
}
