//! An execution: a call at a time, its answers, retries after their time, and how it ended.

use std::time::Duration;

use fastrand::Rng;
use kingtide_core::time::Timestamp;
use serde_json::{Value as Json, json};

use super::expression::evaluate;
use super::machine::{Machine, Service, State};

/// What a state, and an execution, may be handed and hand on, in bytes.
const MOST_BYTES: usize = 256 * 1024;
/// Events of its history; one more, and it fails.
const MOST_EVENTS: u32 = 25_000;

/// An execution of a state machine.
#[derive(Debug)]
pub struct Execution {
    machine: Machine,
    context: Json,
    /// The state that it is in, and what that was handed.
    current: String,
    input: Json,
    /// Of this state, by retrier.
    attempts: Vec<u32>,
    standing: Standing,
    events: u32,
    random: Rng,
}

#[derive(Clone, Debug)]
enum Standing {
    Asking,
    /// The call is made again then.
    Waiting(Timestamp),
    Ended(Ending),
}

/// A call of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub service: Service,
    pub arguments: Json,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Answer {
    Done(Json),
    Failed { error: String, cause: String },
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Succeeded(Json),
    Failed { error: String, cause: String },
}

impl Execution {
    /// An execution of that name, and its first call.
    pub fn start(machine: Machine, name: &str, input: Json, now: Timestamp, seed: u64) -> (Execution, Option<Call>) {
        let context = json!({
            "Execution": {
                "Id": format!("arn:aws:states:eu-west-1:123456789012:execution:machine:{name}"),
                "Name": name,
                "Input": input,
                // RFC 3339; nobody here reads the time in it.
                "StartTime": "2026-01-05T06:00:00.000Z",
            },
            "StateMachine": { "Id": "arn:aws:states:eu-west-1:123456789012:stateMachine:machine", "Name": "machine" },
        });
        let mut execution = Execution {
            current: machine.start.clone(),
            machine,
            context,
            input: Json::Null,
            attempts: Vec::new(),
            standing: Standing::Asking,
            events: 1,
            random: Rng::with_seed(seed),
        };
        let start = execution.current.clone();
        let call = execution.enter(&start, input, now);
        (execution, call)
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.standing {
            Standing::Ended(ending) => Some(ending),
            Standing::Asking | Standing::Waiting(_) => None,
        }
    }

    /// When `tick` is due.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Waiting(at) => Some(at),
            Standing::Asking | Standing::Ended(_) => None,
        }
    }

    /// The state that it is in.
    pub fn state(&self) -> &str {
        &self.current
    }

    /// The time has come for another attempt.
    pub fn tick(&mut self, now: Timestamp) -> Option<Call> {
        match self.standing {
            Standing::Waiting(at) if at <= now => self.call(now),
            _ => None,
        }
    }

    /// What came of the call.
    ///
    /// # Panics
    /// When none is under way.
    pub fn answer(&mut self, now: Timestamp, answer: Answer) -> Option<Call> {
        assert!(
            matches!(self.standing, Standing::Asking),
            "{:?} asks nothing",
            self.standing
        );
        self.events += 3;
        let State::Task(task) = &self.machine.states[&self.current] else {
            panic!("`{}` asks nothing", self.current)
        };
        match answer {
            Answer::Done(result) => {
                let (output, next) = (task.output.clone(), task.next.clone());
                match evaluate(&output, &self.states(Some(&result))) {
                    Ok(output) => self.enter(&next, output, now),
                    Err(cause) => self.failed(now, "States.QueryEvaluationError", &cause),
                }
            }
            Answer::Failed { error, cause } => self.failed(now, &error, &cause),
        }
    }

    /// Goes on until it has to ask somebody, or has ended.
    fn enter(&mut self, state: &str, input: Json, now: Timestamp) -> Option<Call> {
        if input.to_string().len() > MOST_BYTES {
            return self.end("States.DataLimitExceeded", "more than 256 KiB");
        }
        self.current = state.to_owned();
        self.input = input;
        self.events += 2;
        let state = self.machine.states[state].clone();
        match state {
            State::Task(task) => {
                self.attempts = vec![0; task.retry.len()];
                self.call(now)
            }
            State::Choice { choices, default } => {
                let states = self.states(None);
                for (condition, next) in choices {
                    match condition.value(&states) {
                        Ok(Json::Bool(true)) => return self.enter(&next, self.input.clone(), now),
                        Ok(Json::Bool(false)) => {}
                        Ok(other) => {
                            return self.end("States.QueryEvaluationError", &format!("{other} is no condition"));
                        }
                        Err(cause) => return self.end("States.QueryEvaluationError", &cause),
                    }
                }
                self.enter(&default, self.input.clone(), now)
            }
            State::Succeed => {
                self.standing = Standing::Ended(Ending::Succeeded(self.input.clone()));
                None
            }
            State::Fail { error, cause } => {
                let states = self.states(None);
                let of = |template: &Json| evaluate(template, &states).map(|value| value.as_str().map(str::to_owned));
                match (of(&error), of(&cause)) {
                    (Ok(Some(error)), Ok(Some(cause))) => self.end(&error, &cause),
                    wrong => self.end("States.QueryEvaluationError", &format!("{wrong:?}")),
                }
            }
        }
    }

    fn call(&mut self, now: Timestamp) -> Option<Call> {
        let State::Task(task) = &self.machine.states[&self.current] else {
            panic!("`{}` asks nothing", self.current)
        };
        let (service, arguments) = (task.service, task.arguments.clone());
        self.events += 1;
        if self.events > MOST_EVENTS {
            return self.end("States.Runtime", "more than 25,000 events");
        }
        match evaluate(&arguments, &self.states(None)) {
            Ok(arguments) => {
                self.standing = Standing::Asking;
                Some(Call { service, arguments })
            }
            Err(cause) => self.failed(now, "States.QueryEvaluationError", &cause),
        }
    }

    /// The first retrier that takes the error decides.
    fn failed(&mut self, now: Timestamp, error: &str, cause: &str) -> Option<Call> {
        let State::Task(task) = &self.machine.states[&self.current] else {
            return self.end(error, cause);
        };
        let found = task.retry.iter().enumerate().find(|(_, retrier)| retrier.takes(error));
        let Some((place, retrier)) = found.filter(|(place, retrier)| self.attempts[*place] < retrier.attempts) else {
            return self.end(error, cause);
        };
        let mut delay = retrier.delay(self.attempts[place]);
        if retrier.has_jitter {
            delay = delay.mul_f64(self.random.f64());
        }
        self.attempts[place] += 1;
        self.standing = Standing::Waiting(now + delay.max(Duration::from_millis(1)));
        None
    }

    fn end(&mut self, error: &str, cause: &str) -> Option<Call> {
        self.standing = Standing::Ended(Ending::Failed {
            error: error.to_owned(),
            cause: cause.to_owned(),
        });
        None
    }

    /// `$states`
    fn states(&self, result: Option<&Json>) -> Json {
        let mut states = json!({ "input": self.input, "context": self.context });
        if let Some(result) = result {
            states["result"] = result.clone();
        }
        states
    }
}
