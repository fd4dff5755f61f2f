//! A rung of a job's ladder: what its workers have, and the queue that they read. Jobs whose memory may grow have several, each with twice as
//! much as the one before. The dispatcher is told them as JSON (`variables::RUNGS`).

use serde_json::{Value as Json, json};

/// What the dispatcher starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The ARN of a task definition.
    pub definition: String,
    pub queue_url: String,
    /// 1024 to a core, of the whole task.
    pub cpu: u32,
    pub memory_mib: u32,
    /// Gigabytes of disk that are paid for.
    pub extra_gib: u32,
    pub gpus: u32,
    /// The capacity provider of instances that it runs on; Fargate where there is none. Such a task has the network of its instance and is
    /// started without a network configuration.
    pub capacity: Option<String>,
}

impl Rung {
    pub fn json(&self) -> Json {
        let mut json = json!({
            "definition": self.definition,
            "queue_url": self.queue_url,
            "cpu": self.cpu,
            "memory_mib": self.memory_mib,
            "extra_gib": self.extra_gib,
            "gpus": self.gpus,
        });
        if let Some(capacity) = &self.capacity {
            json["capacity"] = json!(capacity);
        }
        json
    }

    /// All rungs, the smallest first; `None` where the text is something else.
    pub fn parse(text: &str) -> Option<Vec<Rung>> {
        let json: Json = serde_json::from_str(text).ok()?;
        json.as_array()?.iter().map(Rung::of).collect()
    }

    fn of(json: &Json) -> Option<Rung> {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let number = |key: &str| json[key].as_u64().and_then(|number| u32::try_from(number).ok());
        Some(Rung {
            definition: text("definition")?,
            queue_url: text("queue_url")?,
            cpu: number("cpu")?,
            memory_mib: number("memory_mib")?,
            extra_gib: number("extra_gib")?,
            gpus: number("gpus")?,
            capacity: text("capacity"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let rung = |capacity: Option<&str>| Rung {
            definition: "arn:aws:ecs:eu-west-1:123456789012:task-definition/w:7".to_owned(),
            queue_url: "https://sqs.eu-west-1.amazonaws.com/123456789012/q".to_owned(),
            cpu: 1024,
            memory_mib: 2048,
            extra_gib: 30,
            gpus: 1,
            capacity: capacity.map(str::to_owned),
        };
        let rungs = [rung(None), rung(Some("gpu"))];
        let text = Json::Array(rungs.iter().map(Rung::json).collect()).to_string();
        assert_eq!(Rung::parse(&text).as_deref(), Some(&rungs[..]));
        assert_eq!(Rung::parse("{}"), None);
    }
}
