//! Every action in both protocols, byte for byte: what is asked is read into the same operation from either, and an answer is
//! written down in both. `queues.rs` and `messages.rs` are the cases. That SDKs read the answers is seen in `boto.rs`.

mod messages;
mod queues;

use std::collections::BTreeMap;

use crate::sqs::document::{Remembered, lay_out};
use crate::sqs::members::Action;
use crate::sqs::operation::{Answer, Operation};
use crate::sqs::{json, query, xml};

const QUEUE: &str = r#""QueueUrl":"http://localhost:9324/000000000000/jobs""#;
const QUEUE_FORM: &str = "QueueUrl=http%3A%2F%2Flocalhost%3A9324%2F000000000000%2Fjobs";

struct Case {
    action: Action,
    /// Members beside the queue's URL, in JSON and as a form.
    json: String,
    form: String,
    operation: Operation,
    answer: Answer,
    to_json: String,
    /// Inside of the result element.
    to_xml: String,
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|text| (*text).to_owned()).collect()
}

fn jobs() -> String {
    "jobs".to_owned()
}

fn case(action: Action, json: &str, form: &str, operation: Operation) -> Case {
    Case {
        action,
        json: json.to_owned(),
        form: form.to_owned(),
        operation,
        answer: Answer::Done,
        to_json: "{}".to_owned(),
        to_xml: String::new(),
    }
}

impl Case {
    fn answered(self, answer: Answer, to_json: &str, to_xml: &str) -> Case {
        Case {
            answer,
            to_json: to_json.to_owned(),
            to_xml: to_xml.to_owned(),
            ..self
        }
    }
}

#[track_caller]
fn check_texts(action: Action, json_members: &str, form_members: &str, expected: &Operation) {
    let braced = format!("{{{json_members}}}");
    let from_json = json::read(braced.as_bytes()).and_then(|members| members.operation(action, "/"));
    assert_eq!(from_json.as_ref(), Ok(expected), "{braced}");
    let form = format!("Action={}&Version=2012-11-05&{form_members}", action.name());
    let from_form = query::read(b"", form.as_bytes());
    let from_form = from_form.and_then(|(read, members)| {
        assert_eq!(read, action);
        members.operation(action, "/")
    });
    assert_eq!(from_form.as_ref(), Ok(expected), "{form}");
    // The same in the URL of a GET.
    let from_url = query::read(form.as_bytes(), b"").and_then(|(_, members)| members.operation(action, "/"));
    assert_eq!(from_url.as_ref(), Ok(expected), "{form}");
}

#[track_caller]
fn check(case: &Case) {
    let name = case.action.name();
    let (mut json_members, mut form) = (case.json.clone(), case.form.clone());
    if !matches!(
        case.action,
        Action::CreateQueue
            | Action::GetQueueUrl
            | Action::ListQueues
            | Action::StartMessageMoveTask
            | Action::CancelMessageMoveTask
            | Action::ListMessageMoveTasks
    ) {
        let comma = if json_members.is_empty() { "" } else { "," };
        json_members = format!("{QUEUE}{comma}{json_members}");
        form = format!("{QUEUE_FORM}&{form}");
    }
    check_texts(case.action, &json_members, &form, &case.operation);
    let remembered = Remembered::of(&case.operation);
    let fields = lay_out(case.action, &case.answer, &remembered, "localhost:9324");
    let written = String::from_utf8(json::write(&fields)).expect("text");
    assert_eq!(written, case.to_json, "{name}");
    let result = match case.action.has_result() {
        true => format!("<{name}Result>{}</{name}Result>", case.to_xml),
        false => String::new(),
    };
    let expected = format!(
        "<?xml version=\"1.0\"?><{name}Response xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">{result}\
         <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></{name}Response>"
    );
    let written = String::from_utf8(xml::write(case.action, &fields, "r-1")).expect("text");
    assert_eq!(written, expected, "{name}");
}
