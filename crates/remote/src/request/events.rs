//! EventBridge: a dispatcher tells whom it concerns that a run is late or has cost what it may. Rules of the stack pass it on.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::json::{JSON_1_1, Protocol};

const EVENTS: Protocol = Protocol {
    service: Service::Events,
    target: "AWSEvents",
    content_type: JSON_1_1,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    failed_entry_count: u32,
}

/// Puts one event on the account's default bus; whether it was taken.
///
/// # Errors
/// When EventBridge does not answer, or refuses.
pub fn put(client: &Client, source: &str, kind: &str, detail: &Value) -> Result<bool, RequestError> {
    let entry = json!({ "Source": source, "DetailType": kind, "Detail": detail.to_string() });
    let answer: Answer = EVENTS.ask(client, "events:PutEvents", &json!({ "Entries": [entry] }))?;
    Ok(answer.failed_entry_count == 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Server, client};
    use super::*;

    #[test]
    fn an_event_is_put_as_it_is_and_one_that_is_not_taken_is_told() {
        let server = Server::start(|asked| {
            let body: Value = serde_json::from_slice(&asked.body).expect("JSON");
            let entry = &body["Entries"][0];
            assert!(
                asked
                    .head
                    .to_ascii_lowercase()
                    .contains("x-amz-target: awsevents.putevents")
            );
            assert_eq!(
                (&entry["Source"], &entry["Detail"]),
                (&json!("kingtide"), &json!("{\"run\":\"j-1\"}"))
            );
            let failed = u32::from(entry["DetailType"] == "bad");
            Server::answer(200, &[], &json!({ "FailedEntryCount": failed }).to_string())
        });
        let client = client(&server);
        let put = |kind: &str| put(&client, "kingtide", kind, &json!({ "run": "j-1" })).expect("an answer");
        assert_eq!((put("Kingtide Run Late"), put("bad")), (true, false));
    }
}
