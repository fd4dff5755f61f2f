//! A definition, read strictly.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::expression::{self, Expression};

/// A state machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) start: String,
    pub(super) states: BTreeMap<String, State>,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Task(Task),
    Choice {
        choices: Vec<(Expression, String)>,
        default: String,
    },
    Succeed,
    Fail {
        error: Json,
        cause: Json,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) service: Service,
    pub(super) arguments: Json,
    pub(super) output: Json,
    pub(super) retry: Vec<Retrier>,
    pub(super) next: String,
}

/// What a task asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `ecs:runTask.sync`: answered when the task has stopped.
    RunTask,
    /// `aws-sdk:s3:getObject`
    GetObject,
}

#[derive(Clone, Debug)]
pub(super) struct Retrier {
    errors: Vec<String>,
    interval: Duration,
    rate: f64,
    most: Option<Duration>,
    pub(super) attempts: u32,
    pub(super) has_jitter: bool,
}

impl Machine {
    /// From a definition, its substitutions made.
    pub fn read(definition: &str) -> Result<Machine, String> {
        let json: Json = serde_json::from_str(definition).map_err(|error| error.to_string())?;
        let fields = Fields::of("the definition", &json)?;
        fields.only(&["Comment", "QueryLanguage", "StartAt", "States"])?;
        if fields.text("QueryLanguage")? != "JSONata" {
            return Err("JSONata is the only language that is understood".to_owned());
        }
        let states = fields.get("States")?.as_object().ok_or("`States` is an object")?;
        let states = states.iter().map(|(name, json)| {
            if name.chars().count() > 80 {
                return Err(format!("`{name}` is longer than 80 characters"));
            }
            Ok((name.clone(), State::read(name, json)?))
        });
        let machine = Machine {
            start: fields.text("StartAt")?.to_owned(),
            states: states.collect::<Result<_, String>>()?,
        };
        machine.check()?;
        Ok(machine)
    }

    /// The definition of the one machine of a template that has this logical id, with what CloudFormation would put in.
    pub fn of_template(template: &Json, id: &str) -> Result<Machine, String> {
        Machine::resolved(template, id, &physical)
    }

    /// The same, where somebody says what each value of the template is.
    pub fn resolved(template: &Json, id: &str, resolve: &dyn Fn(&Json) -> String) -> Result<Machine, String> {
        let properties = &template["Resources"][id]["Properties"];
        let definition = properties["DefinitionString"]
            .as_str()
            .ok_or_else(|| format!("`{id}` has no definition"))?;
        let mut definition = definition.to_owned();
        let places = properties["DefinitionSubstitutions"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, value) in places {
            definition = definition.replace(&format!("${{{name}}}"), &resolve(&value));
        }
        match definition.contains("${") {
            true => Err(format!("a place of `{id}` is not filled: {definition}")),
            false => Machine::read(&definition),
        }
    }

    /// Each state is reached, and leads somewhere.
    fn check(&self) -> Result<(), String> {
        let mut reached: Vec<&str> = vec![&self.start];
        let mut place = 0;
        while let Some(name) = reached.get(place).copied() {
            place += 1;
            let state = self
                .states
                .get(name)
                .ok_or_else(|| format!("there is no state `{name}`"))?;
            for next in state.next() {
                if !reached.contains(&next) {
                    reached.push(next);
                }
            }
        }
        match self.states.keys().find(|name| !reached.contains(&name.as_str())) {
            Some(name) => Err(format!("`{name}` is never reached")),
            None => Ok(()),
        }
    }
}

/// A name in place of what CloudFormation knows: the same for the same reference.
fn physical(value: &Json) -> String {
    let text = value.to_string();
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-'))
        .collect()
}

impl State {
    fn read(name: &str, json: &Json) -> Result<State, String> {
        let fields = Fields::of(name, json)?;
        match fields.text("Type")? {
            "Task" => Task::read(&fields).map(State::Task),
            "Choice" => {
                fields.only(&["Type", "Comment", "Choices", "Default"])?;
                let choices = fields.list("Choices")?.iter().map(|choice| {
                    let fields = Fields::of(name, choice)?;
                    fields.only(&["Condition", "Next"])?;
                    let condition = Expression::of(fields.text("Condition")?)?;
                    let condition = condition.ok_or_else(|| format!("`{name}`: a condition is an expression"))?;
                    Ok((condition, fields.text("Next")?.to_owned()))
                });
                Ok(State::Choice {
                    choices: choices.collect::<Result<_, String>>()?,
                    default: fields.text("Default")?.to_owned(),
                })
            }
            "Succeed" => {
                fields.only(&["Type", "Comment"])?;
                Ok(State::Succeed)
            }
            "Fail" => {
                fields.only(&["Type", "Comment", "Error", "Cause"])?;
                Ok(State::Fail {
                    error: fields.template("Error")?,
                    cause: fields.template("Cause")?,
                })
            }
            other => Err(format!("`{name}`: a state of type `{other}` is not understood")),
        }
    }

    fn next(&self) -> Vec<&str> {
        match self {
            State::Task(task) => vec![&task.next],
            State::Choice { choices, default } => {
                let next = choices.iter().map(|(_, next)| next.as_str());
                next.chain([default.as_str()]).collect()
            }
            State::Succeed | State::Fail { .. } => Vec::new(),
        }
    }
}

impl Task {
    fn read(fields: &Fields<'_>) -> Result<Task, String> {
        fields.only(&["Type", "Comment", "Resource", "Arguments", "Output", "Retry", "Next"])?;
        let service = match fields.text("Resource")? {
            "arn:aws:states:::ecs:runTask.sync" | "arn:${AWS::Partition}:states:::ecs:runTask.sync" => Service::RunTask,
            "arn:aws:states:::aws-sdk:s3:getObject" => Service::GetObject,
            other => return Err(format!("`{other}` is not understood")),
        };
        let retry = match fields.0.get("Retry") {
            Some(_) => fields
                .list("Retry")?
                .iter()
                .map(Retrier::read)
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Task {
            service,
            arguments: fields.template("Arguments")?,
            output: fields.template("Output")?,
            retry,
            next: fields.text("Next")?.to_owned(),
        })
    }
}

impl Retrier {
    fn read(json: &Json) -> Result<Retrier, String> {
        let fields = Fields::of("Retry", json)?;
        fields.only(&[
            "ErrorEquals",
            "IntervalSeconds",
            "BackoffRate",
            "MaxDelaySeconds",
            "MaxAttempts",
            "JitterStrategy",
        ])?;
        let seconds = |name: &str| fields.0.get(name).and_then(Json::as_u64).map(Duration::from_secs);
        let errors = fields
            .list("ErrorEquals")?
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_owned);
        Ok(Retrier {
            errors: errors.collect(),
            interval: seconds("IntervalSeconds").unwrap_or(Duration::from_secs(1)),
            rate: fields.0.get("BackoffRate").and_then(Json::as_f64).unwrap_or(2.0),
            most: seconds("MaxDelaySeconds"),
            attempts: fields.0.get("MaxAttempts").and_then(Json::as_u64).unwrap_or(3) as u32,
            has_jitter: match fields.0.get("JitterStrategy").and_then(Json::as_str) {
                None | Some("NONE") => false,
                Some("FULL") => true,
                Some(other) => return Err(format!("`{other}` is no strategy")),
            },
        })
    }

    /// `States.ALL` takes all but what is final; `States.TaskFailed` all but timeouts.
    pub(super) fn takes(&self, error: &str) -> bool {
        let is_final = matches!(error, "States.Runtime" | "States.DataLimitExceeded");
        self.errors.iter().any(|taken| match taken.as_str() {
            "States.ALL" => !is_final,
            "States.TaskFailed" => !is_final && error != "States.Timeout",
            taken => taken == error,
        })
    }

    /// Before the attempt that follows so many.
    pub(super) fn delay(&self, attempts: u32) -> Duration {
        let delay = self.interval.mul_f64(self.rate.powi(attempts as i32));
        self.most.map_or(delay, |most| delay.min(most))
    }
}

/// Of an object that is called so.
struct Fields<'a>(&'a Map<String, Json>, &'a str);

impl<'a> Fields<'a> {
    fn of(name: &'a str, json: &'a Json) -> Result<Fields<'a>, String> {
        let fields = json.as_object().ok_or_else(|| format!("{name} is no object"))?;
        Ok(Fields(fields, name))
    }

    fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!("{}: `{key}` is not understood", self.1)),
            None => Ok(()),
        }
    }

    fn get(&self, key: &str) -> Result<&'a Json, String> {
        self.0.get(key).ok_or_else(|| format!("{} has no `{key}`", self.1))
    }

    fn text(&self, key: &str) -> Result<&'a str, String> {
        let text = self.get(key)?.as_str();
        text.ok_or_else(|| format!("{}: `{key}` is a text", self.1))
    }

    fn list(&self, key: &str) -> Result<&'a Vec<Json>, String> {
        let list = self.get(key)?.as_array();
        list.ok_or_else(|| format!("{}: `{key}` is a list", self.1))
    }

    fn template(&self, key: &str) -> Result<Json, String> {
        let template = self.get(key)?;
        expression::check(template)?;
        Ok(template.clone())
    }
}
