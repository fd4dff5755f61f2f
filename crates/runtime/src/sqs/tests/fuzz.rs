//! Whatever arrives: never a panic, always a well-formed answer.

use hyper::Request as Http;
use proptest::prelude::*;

use crate::sqs::document::{Remembered, lay_out};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::members::Action;
use crate::sqs::operation::{Answer, Received};
use crate::sqs::{json, query, sigv4, xml};

/// Names that mean something, so that more than the first step is reached.
fn words() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Action",
        "QueueUrl",
        "QueueName",
        "MessageBody",
        "DelaySeconds",
        "MessageAttribute",
        "MessageAttributes",
        "Value",
        "Name",
        "Key",
        "DataType",
        "StringValue",
        "BinaryValue",
        "Entries",
        "SendMessageBatchRequestEntry",
        "Id",
        "Tag",
        "tags",
        "AttributeName",
        "member",
        "1",
        "4294967295",
        "-1",
        "99999999999999999999",
        "Attribute",
        "VisibilityTimeout",
        "MaxResults",
        "ReceiptHandle",
        "SendMessage",
        "SendMessageBatch",
        "ReceiveMessage",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,8}", 1 => any::<String>()]
}

/// Something like JSON.
fn json_like() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((words(), inner), 0..8).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn form_like() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::collection::vec(words(), 1..5).prop_map(|parts| parts.join("."));
    let pair = (
        name,
        words(),
        prop_oneof![Just("="), Just("&"), Just("%"), Just("=%e"), Just("+")],
    );
    let pairs = prop::collection::vec(
        pair.prop_map(|(name, value, glue)| format!("{name}{glue}{value}")),
        0..12,
    );
    prop_oneof![
        pairs.prop_map(|pairs| pairs.join("&").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

fn check_fault(fault: &Fault) {
    let body: serde_json::Value = serde_json::from_slice(&json::write_fault(fault)).expect("JSON");
    assert_eq!(body["message"], fault.message);
    let xml = String::from_utf8(xml::write_fault(fault, "r")).expect("text");
    check_xml(&xml);
}

/// Well-formed: elements close in order, and nothing stands in it that XML cannot hold.
#[track_caller]
fn check_xml(document: &str) {
    let legal = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(document.chars().all(legal), "{document:?}");
    let inside = document.strip_prefix("<?xml version=\"1.0\"?>").expect("a declaration");
    let mut open: Vec<&str> = Vec::new();
    for tag in inside.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a tag's end");
        assert!(
            !text.contains('>') && !tag.contains('"') || tag.contains(" xmlns="),
            "{document}"
        );
        for entity in text.split('&').skip(1) {
            let (entity, _) = entity.split_once(';').expect("an entity's end");
            assert!(["amp", "lt", "gt", "quot", "#13"].contains(&entity), "{document}");
        }
        match (tag.strip_prefix('/'), tag.ends_with('/')) {
            (Some(name), _) => assert_eq!(open.pop(), Some(name), "{document}"),
            (None, true) => {}
            (None, false) => open.push(tag.split(' ').next().unwrap_or_default()),
        }
    }
    assert!(open.is_empty(), "{document}");
}

proptest! {
    #[test]
    fn bodies_of_the_json_protocol(body in json_like(), index in 0..Action::ALL.len(), path in "\\PC{0,20}") {
        let read = json::read(body.to_string().as_bytes());
        if let Err(fault) = read.and_then(|members| members.operation(Action::ALL[index], &path)) {
            check_fault(&fault);
        }
    }

    #[test]
    fn bytes_as_json(body in prop::collection::vec(any::<u8>(), 0..200), target in prop::collection::vec(any::<u8>(), 0..20)) {
        if let Err(fault) = json::read(&body) {
            check_fault(&fault);
        }
        if let Err(fault) = json::action(&target) {
            check_fault(&fault);
        }
    }

    #[test]
    fn forms(url in form_like(), body in form_like(), action in words()) {
        let body = [format!("Action={action}&").into_bytes(), body].concat();
        if let Err(fault) = query::read(&url, &body).and_then(|(action, members)| members.operation(action, "/")) {
            check_fault(&fault);
        }
    }

    #[test]
    fn signatures(authorization in prop::collection::vec(32_u8..=255, 0..200), query in "[!-~]{0,100}", date in "[ -~]{0,20}") {
        for authorization in [authorization.clone(), [b"AWS4-HMAC-SHA256 ".to_vec(), authorization].concat()] {
            let request = Http::builder()
                .uri(format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&{}", query.replace('#', "")))
                .header("authorization", authorization)
                .header("x-amz-date", &date)
                .body(());
            let Ok(request) = request else { continue };
            let head = request.into_parts().0;
            let fault = sigv4::verify(&head, b"", std::time::SystemTime::UNIX_EPOCH, |_| Some(String::new()));
            check_fault(&fault.expect_err("nobody guesses a signature"));
            let _ = sigv4::claimed_access_key(&head);
        }
    }

    #[test]
    fn signatures_in_the_url(parts in prop::collection::vec(("X-Amz-(Credential|Date|SignedHeaders|Signature|Expires)", "[!-~]{0,30}"), 0..8)) {
        let query: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={}", value.replace('#', ""))).collect();
        let uri = format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&{}", query.join("&"));
        if let Ok(request) = Http::builder().uri(uri).body(()) {
            let head = request.into_parts().0;
            let fault = sigv4::verify(&head, b"", std::time::SystemTime::UNIX_EPOCH, |_| Some(String::new()));
            check_fault(&fault.expect_err("nobody guesses a signature"));
        }
    }

    #[test]
    fn answers(body in any::<String>(), receipt in any::<String>(), names in prop::collection::vec(any::<String>(), 0..4)) {
        let message = Received {
            message_id: "m".to_owned(),
            receipt,
            body: body.clone(),
            attributes: std::collections::BTreeMap::new(),
            system: names.iter().map(|name| (name.clone(), body.clone())).collect(),
        };
        let remembered = Remembered::Received { system: vec!["All".to_owned()], attributes: names };
        let answer = Answer::Received(vec![message]);
        let fields = lay_out(Action::ReceiveMessage, &answer, &remembered, "h");
        let written: serde_json::Value = serde_json::from_slice(&json::write(&fields)).expect("JSON");
        assert_eq!(&written["Messages"][0]["Body"], &body);
        check_xml(&String::from_utf8(xml::write(Action::ReceiveMessage, &fields, "r")).expect("text"));
        check_fault(&Fault::new(Code::InvalidParameterValue, body));
    }
}
