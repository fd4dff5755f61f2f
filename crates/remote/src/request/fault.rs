//! What a service says when it says no, in the four ways that services have of saying it.

use serde::Deserialize;

use super::transport::Answer;
use super::xml;

/// Of an answer that is not understood, so many letters are quoted.
const MOST_QUOTED: usize = 200;
/// More is no fault.
const MOST: u64 = 256 * 1024;

/// What it says.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: String,
}

#[derive(Default, Deserialize)]
struct Document {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: Option<String>,
}

impl Fault {
    pub(super) fn read(answer: Answer) -> Fault {
        let status = answer.status();
        let header = |name: &str| answer.header(name).to_owned();
        let kind = header("x-amzn-errortype");
        let request_id = match header("x-amzn-requestid") {
            id if id.is_empty() => header("x-amz-request-id"),
            id => id,
        };
        // A body that is lost takes the message with it, and not the status.
        let body = answer.read(MOST).unwrap_or_default();
        let mut fault = Fault::of(&kind, &body);
        if fault.request_id.is_empty() {
            fault.request_id = request_id;
        }
        if fault.message.is_empty() {
            // Somebody in between perhaps, who speaks otherwise.
            let said: String = String::from_utf8_lossy(&body).chars().take(MOST_QUOTED).collect();
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let colon = if said.is_empty() { "" } else { ": " };
            fault.message = format!("the service answers {status}{colon}{said}");
        }
        fault
    }

    fn of(kind: &str, body: &[u8]) -> Fault {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('<') {
            return Fault::of_xml(text);
        }
        let document: Document = serde_json::from_str(text).unwrap_or_default();
        let kind = if document.kind.is_empty() { kind } else { &document.kind };
        Fault {
            code: plain(kind).to_owned(),
            message: document.message.unwrap_or_default(),
            request_id: String::new(),
        }
    }

    /// Of S3 it is the root, of the query protocol in it, of EC2 in a list.
    fn of_xml(text: &str) -> Fault {
        let Ok(document) = xml::read(text) else {
            return Fault::default();
        };
        let root = document.root_element();
        let error = root.descendants().find(|node| node.tag_name().name() == "Error");
        let of = |name| error.map(|error| xml::text(error, name)).unwrap_or_default();
        let id = root
            .descendants()
            .find(|node| matches!(node.tag_name().name(), "RequestId" | "RequestID"));
        Fault {
            code: of("Code"),
            message: of("Message"),
            request_id: id.and_then(|node| node.text()).unwrap_or_default().to_owned(),
        }
    }
}

/// `com.amazonaws.sqs#QueueDoesNotExist:http://…` is `QueueDoesNotExist`.
fn plain(kind: &str) -> &str {
    let kind = kind.rsplit('#').next().unwrap_or_default();
    kind.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, body: &str) -> String {
        let fault = Fault::of(kind, body.as_bytes());
        format!("{} | {} | {}", fault.code, fault.message, fault.request_id)
    }

    #[test]
    fn each_way_of_saying_no_is_understood() {
        insta::assert_snapshot!(
            [
                of("", r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"No such queue."}"#),
                of("AccessDeniedException:http://internal/", r#"{"Message":"Not you."}"#),
                of("", "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>None.</Message><RequestId>1</RequestId></Error>"),
                of(
                    "",
                    "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
                     <Code>ValidationError</Code><Message>Stack &apos;x&apos; does not exist</Message></Error><RequestId>2</RequestId></ErrorResponse>"
                ),
                of(
                    "",
                    "<Response><Errors><Error><Code>InvalidSubnetID.NotFound</Code><Message>Gone.</Message></Error></Errors>\
                     <RequestID>3</RequestID></Response>"
                ),
                of("", "<html>Bad gateway"),
                of("", ""),
            ]
            .join("\n")
        );
    }
}
