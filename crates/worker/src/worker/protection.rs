//! A service's worker is not chosen when the service becomes smaller, as long as it works: it says so to the agent of ECS beside it
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html>). Where that fails the message is handed back
//! when the task is told to stop, as with any other.

use std::time::{Duration, Instant};

use kingtide_remote::request::transport::{Body, Call, Surroundings, Transport};
use serde_json::json;

use crate::voice::say;

/// It lapses by itself after so long, and is renewed in time while work goes on.
const LASTS_MINUTES: u32 = 60;
const RENEWED_AFTER: Duration = Duration::from_secs(30 * 60);
const PATIENCE: Duration = Duration::from_secs(5);

/// The agent.
pub(crate) struct Protection {
    transport: Transport,
    url: String,
    since: Option<Instant>,
}

impl Protection {
    /// Of a service's worker, where there is an agent.
    pub(crate) fn find(is_service: bool) -> Option<Protection> {
        let agent = std::env::var("ECS_AGENT_URI").ok().filter(|_| is_service)?;
        Some(Protection {
            transport: Transport::new(Surroundings::Container),
            url: format!("{agent}/task-protection/v1/state"),
            since: None,
        })
    }

    /// It works, from now on or still.
    pub(crate) fn hold(&mut self) {
        if self.since.is_none_or(|since| since.elapsed() > RENEWED_AFTER) {
            let wish = json!({ "ProtectionEnabled": true, "ExpiresInMinutes": LASTS_MINUTES });
            if self.tell(&wish.to_string()) {
                self.since = Some(Instant::now());
            }
        }
    }

    /// It no longer works.
    pub(crate) fn let_go(&mut self) {
        if self.since.take().is_some() {
            self.tell(&json!({ "ProtectionEnabled": false }).to_string());
        }
    }

    fn tell(&self, body: &str) -> bool {
        let answer = self.transport.send(&Call {
            method: "PUT",
            url: &self.url,
            headers: &[("content-type", "application/json")],
            body: Body::Bytes(body.as_bytes()),
            patience: PATIENCE,
        });
        match answer {
            Ok(answer) if answer.status() == 200 => true,
            Ok(answer) => {
                say(&format!(
                    "the task is not protected: the agent answers {}",
                    answer.status()
                ));
                false
            }
            Err(error) => {
                say(&format!("the task is not protected: {error}"));
                false
            }
        }
    }
}
