//! What an execution is handed: who starts it, and which event it is. An event may be delivered twice; whoever writes `starts/<event>` first has
//! it (`docs/decisions/008-run-on-aws.md`).

use serde_json::{Value as Json, json};

/// Who has started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Somebody, with a run that is there already.
    Cli,
    Schedule,
    /// An object that has arrived.
    Trigger,
    /// A message that has been sent.
    Doorbell,
}

/// An execution's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub by: By,
    /// What tells this start from any other; the execution's name where there is none.
    pub event: Option<String>,
    /// The number of the run, where whoever starts it has opened it.
    pub run: Option<u64>,
    /// When a schedule meant it to begin, RFC 3339.
    pub at: Option<String>,
    /// Of a trigger: the bucket, and the object as EventBridge describes it.
    pub bucket: Option<String>,
    pub key: Option<String>,
}

impl By {
    pub fn as_str(self) -> &'static str {
        match self {
            By::Cli => "cli",
            By::Schedule => "schedule",
            By::Trigger => "trigger",
            By::Doorbell => "doorbell",
        }
    }
}

impl Start {
    /// Of a run that is opened by whoever starts it.
    pub fn of_run(run: u64) -> Json {
        json!({ "by": By::Cli.as_str(), "run": run })
    }

    /// `None` where the text is something else. An execution that somebody starts by hand, with `{}`, is a run of the job's own parameters.
    pub fn parse(text: &str) -> Option<Start> {
        let json: Json = serde_json::from_str(text).ok()?;
        let json = match &json {
            // A pipe hands over what it has read as a list.
            Json::Array(list) => list.first()?,
            other => other,
        };
        json.as_object()?;
        let text = |json: &Json| json.as_str().map(str::to_owned);
        let all = [By::Cli, By::Schedule, By::Trigger, By::Doorbell];
        let by = match &json["by"] {
            Json::Null => By::Cli,
            written => all.into_iter().find(|by| written == by.as_str())?,
        };
        Some(Start {
            by,
            event: text(&json["event"]),
            run: json["run"].as_u64(),
            at: text(&json["at"]),
            bucket: text(&json["bucket"]["name"]),
            key: text(&json["object"]["key"]),
        })
    }
}

/// The event of a schedule: whoever looks whether it has begun knows it as well. `at` may be a place that AWS fills.
pub fn schedule_event(job: &str, at: &str) -> String {
    format!("schedule-{job}-{at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_say_who_and_which_event() {
        let of = |text: &str| Start::parse(text).map(|start| (start.by, start.event, start.run, start.key));
        assert_eq!(
            of(&Start::of_run(12).to_string()),
            Some((By::Cli, None, Some(12), None))
        );
        assert_eq!(of("{}"), Some((By::Cli, None, None, None)));
        let trigger = r#"{"by":"trigger","event":"e-1","bucket":{"name":"landing"},"object":{"key":"a \"b\""}}"#;
        let key = Some("a \"b\"".to_owned());
        assert_eq!(of(trigger), Some((By::Trigger, Some("e-1".to_owned()), None, key)));
        let rung = r#"[{"by":"doorbell","event":"m-1"}]"#;
        assert_eq!(of(rung), Some((By::Doorbell, Some("m-1".to_owned()), None, None)));
        assert_eq!((of("[]"), of("{\"by\":\"moon\"}"), of("7")), (None, None, None));
    }
}
