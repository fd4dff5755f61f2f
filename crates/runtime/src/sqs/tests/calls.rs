//! Calls through a listener: who is asked, what a caller is told of mistakes, and what becomes of those who hang up.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::json as value;

use super::{House, json, query};
use crate::http::tests::client::Reply;
use crate::sqs::Call;
use crate::sqs::operation::{Answer, Operation};
use crate::sqs::service::{Policy, limits};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_message_goes_through() {
    let house = House::open();
    let mut client = house.client();
    let made = json(&mut client, "CreateQueue", r#"{"QueueName":"jobs"}"#);
    let url = format!("http://{}/000000000000/jobs", house.address);
    assert_eq!((made.status, made.json()), (200, value!({ "QueueUrl": url })));
    let body = value!({ "QueueUrl": url, "MessageBody": "hello" }).to_string();
    let sent = json(&mut client, "SendMessage", &body);
    assert_eq!(sent.json()["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    let body = value!({ "QueueUrl": url, "WaitTimeSeconds": 5 }).to_string();
    let received = json(&mut client, "ReceiveMessage", &body);
    let message = &received.json()["Messages"][0];
    assert_eq!(message["Body"], "hello");
    let body = value!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] }).to_string();
    let deleted = json(&mut client, "DeleteMessage", &body);
    assert_eq!((deleted.status, deleted.body.as_str()), (200, "{}"));
}

#[test]
fn a_queue_is_named_by_the_path_as_well() {
    let house = House::open();
    let mut client = house.client();
    // The URL carries the name by which the caller knows this machine.
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Host", "localhost:1234"),
    ];
    let made = client.request(
        "POST /",
        &headers,
        "Action=CreateQueue&QueueName=jobs&Version=2012-11-05",
    );
    assert!(
        made.body
            .contains("<QueueUrl>http://localhost:1234/000000000000/jobs</QueueUrl>"),
        "{made:?}"
    );
    assert_eq!(made.header("content-type"), Some("text/xml"));
    let sent = client.request("POST /000000000000/jobs", &headers, "Action=SendMessage&MessageBody=a");
    assert_eq!(sent.status, 200, "{sent:?}");
    let received = client.request(
        "GET /000000000000/jobs?Action=ReceiveMessage&AttributeName.1=All",
        &[],
        "",
    );
    assert!(received.body.contains("<Body>a</Body>"), "{received:?}");
    assert!(
        received
            .body
            .contains("<Name>ApproximateReceiveCount</Name><Value>1</Value>"),
        "{received:?}"
    );
}

#[test]
fn a_probe_is_answered() {
    let house = House::open();
    for path in ["GET /", "GET /healthz", "GET /?x=y"] {
        let reply = house.client().request(path, &[], "");
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
    }
    assert_eq!(house.client().request("GET /elsewhere", &[], "").status, 400);
}

/// What a fault says: status, `__type`, the code in the header, the message.
fn told(reply: &Reply) -> (u16, String, String, String) {
    let body = reply.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let code = reply.header("x-amzn-query-error").unwrap_or_default().to_owned();
    assert_eq!(reply.header("content-type"), Some("application/x-amz-json-1.0"));
    assert_eq!(reply.header("x-amzn-requestid").map(str::len), Some(36), "{reply:?}");
    (reply.status, text("__type"), code, text("message"))
}

#[test]
fn mistakes_are_told_in_json() {
    let house = House::open();
    let mut client = house.client();
    let mut check = |action: &str, body: &str, status: u16, kind: &str, code: &str, message: &str| {
        let told = told(&json(&mut client, action, body));
        let expected = (status, kind.to_owned(), code.to_owned(), message.to_owned());
        assert_eq!(told, expected, "{action} {body}");
    };
    check(
        "SendMessage",
        r#"{"QueueUrl":"http://localhost/000000000000/none","MessageBody":"a"}"#,
        400,
        "com.amazonaws.sqs#QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue;Sender",
        "The specified queue does not exist.",
    );
    check(
        "SendMessage",
        r#"{"QueueUrl":"none","MessageBody":"a"}"#,
        404,
        "com.amazonaws.sqs#InvalidAddress",
        "InvalidAddress;Sender",
        "The address none is not valid for this endpoint.",
    );
    for (action, body, parameter) in [
        ("SendMessage", "", "QueueUrl"),
        ("SendMessage", r#"{"QueueUrl":null,"MessageBody":"a"}"#, "QueueUrl"),
        ("SendMessage", r#"{"QueueUrl":"/0/q"}"#, "MessageBody"),
        ("DeleteMessage", r#"{"QueueUrl":"/0/q"}"#, "ReceiptHandle"),
        (
            "ChangeMessageVisibility",
            r#"{"QueueUrl":"/0/q","ReceiptHandle":"r"}"#,
            "VisibilityTimeout",
        ),
        ("CreateQueue", "{}", "QueueName"),
        ("StartMessageMoveTask", "{}", "SourceArn"),
        ("TagQueue", r#"{"QueueUrl":"/0/q"}"#, "Tags"),
    ] {
        check(
            action,
            body,
            400,
            "com.amazon.coral.service#MissingRequiredParameterException",
            "MissingParameter;Sender",
            &format!("The request must contain the parameter {parameter}."),
        );
    }
    check(
        "Frobnicate",
        "{}",
        400,
        "com.amazon.coral.service#UnknownOperationException",
        "InvalidAction;Sender",
        "The action Frobnicate is not valid for this endpoint.",
    );
}

#[test]
fn what_is_mistyped_in_json_is_told_with_its_place() {
    let house = House::open();
    let mut client = house.client();
    for (body, why) in [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("[]", "invalid type: sequence, expected a structure at line 1 column 0"),
        (
            r#"{"QueueUrl":5}"#,
            "invalid type: integer `5`, expected a string at line 1 column 13",
        ),
        (
            r#"{"DelaySeconds":"x"}"#,
            "\"x\" is not a whole number at line 1 column 19",
        ),
        (
            r#"{"DelaySeconds":1.5}"#,
            "1.5 is not a whole number at line 1 column 19",
        ),
        (
            r#"{"DelaySeconds":99999999999999999999}"#,
            "100000000000000000000 is not a whole number at line 1 column 36",
        ),
        (
            r#"{"DelaySeconds":true}"#,
            "invalid type: boolean `true`, expected a whole number at line 1 column 20",
        ),
        (
            r#"{"MessageAttributes":{"a":{"BinaryValue":"?"}}}"#,
            "not Base64: Invalid symbol 63, offset 0. at line 1 column 44",
        ),
        (
            r#"{"MessageBody":"\ud800"}"#,
            "unexpected end of hex escape at line 1 column 23",
        ),
    ] {
        let (status, kind, code, message) = told(&json(&mut client, "SendMessage", body));
        assert_eq!(status, 400);
        assert_eq!(kind, "com.amazon.coral.service#SerializationException");
        assert_eq!(code, "MalformedInput;Sender");
        assert_eq!(
            message,
            format!("The body is not the JSON that this operation takes: {why}."),
            "{body}"
        );
    }
    // Numbers as text, and as other languages write them, are numbers.
    json(&mut client, "CreateQueue", r#"{"QueueName":"q"}"#);
    for delay in ["\"3\"", "3.0", "3e0"] {
        let body = format!(r#"{{"QueueUrl":"/0/q","MessageBody":"a","DelaySeconds":{delay}}}"#);
        assert_eq!(json(&mut client, "SendMessage", &body).status, 200, "{body}");
    }
}

#[test]
fn mistakes_are_told_in_xml() {
    let house = House::open();
    let mut client = house.client();
    let mut check = |form: &str, status: u16, code: &str, message: &str| {
        let reply = query(&mut client, form);
        let id = reply.header("x-amzn-requestid").expect("an id").to_owned();
        let expected = format!(
            "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error>\
             <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message><Detail/></Error>\
             <RequestId>{id}</RequestId></ErrorResponse>"
        );
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, expected.as_str()),
            "{form}"
        );
        assert_eq!(reply.header("x-amzn-query-error"), None);
    };
    check(
        "Action=PurgeQueue&QueueUrl=/0/none",
        400,
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    );
    let missing = "The request is missing an action: it must contain the parameter Action.";
    check("", 400, "MissingAction", missing);
    let unknown = "The action &lt;&#13;\u{fffd}&gt; is not valid for this endpoint.";
    check("Action=%3C%0D%01%3E", 400, "InvalidAction", unknown);
    check(
        "Action=SendMessage&DelaySeconds=x",
        400,
        "MalformedInput",
        "The request could not be read: &quot;x&quot; for the parameter DelaySeconds is not a whole number.",
    );
    check(
        "Action=SendMessage&MessageBody=%ff",
        400,
        "MalformedInput",
        "The request could not be read: invalid utf-8 sequence of 1 bytes from index 0.",
    );
    check(
        "Action=TagQueue&QueueUrl=/0/q&Tag.3.Value=x",
        400,
        "MissingParameter",
        "The request must contain the parameter Tag.3.Key.",
    );
    let many = "a&".repeat(10_001);
    check(
        &many,
        400,
        "MalformedInput",
        "The request could not be read: more than 10000 parameters.",
    );
    let entries: String = (0..1001)
        .map(|n| format!("&DeleteMessageBatchRequestEntry.{n}.Id=x"))
        .collect();
    check(
        &format!("Action=DeleteMessageBatch{entries}"),
        400,
        "MalformedInput",
        "The request could not be read: more than 1000 entries.",
    );
}

#[test]
fn refusals_of_the_listener_are_told_in_the_callers_protocol() {
    let house = House::open();
    let target = ("X-Amz-Target", "AmazonSQS.ListQueues");
    let reply = house
        .client()
        .request("POST /", &[target, ("Host", "example.com")], "{}");
    let (status, kind, code, message) = told(&reply);
    assert_eq!((status, code.as_str()), (403, "AccessDenied;Sender"));
    assert_eq!(kind, "com.amazon.coral.service#AccessDeniedException");
    assert!(message.starts_with("the `Host` header names none of"), "{message}");
    let reply = house
        .client()
        .request("POST /", &[("Origin", "http://example.com")], "Action=ListQueues");
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("<Code>AccessDenied</Code>"), "{reply:?}");
    let mut client = house.client();
    let announced = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7340033\r\n\r\n";
    client.write(announced.as_bytes()).expect("written");
    let reply = client.reply().expect("an answer");
    assert_eq!(reply.status, 413);
    assert!(reply.body.contains("<Code>RequestEntityTooLarge</Code>"), "{reply:?}");
}

#[test]
fn the_loop_is_told_who_asks_and_whether_somebody_still_waits() {
    let (calls, inbox) = mpsc::channel::<Call>();
    let house = House::with(Policy::Loopback, limits(), move |call| drop(calls.send(call)));
    let mut client = house.client();
    let body = r#"{"QueueUrl":"/0/q","WaitTimeSeconds":20}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=KTINSTANCE7/20150830/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=00\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write(request.as_bytes()).expect("written");
    let mut call = inbox.recv_timeout(PATIENCE).expect("a call");
    assert_eq!(call.caller.access_key.as_deref(), Some("KTINSTANCE7"));
    assert!(matches!(&call.operation, Operation::ReceiveMessage(receive) if receive.wait == Some(20)));
    assert!(!call.reply.is_closed());
    drop(client);
    house.tokio.block_on(call.reply.closed());
    assert!(call.reply.send(Ok(Answer::Received(Vec::new()))).is_err());
}

#[test]
fn a_loop_that_leaves_is_told_to_the_caller() {
    let house = House::with(Policy::Loopback, limits(), drop);
    let reply = json(&mut house.client(), "ListQueues", "{}");
    let (status, kind, code, _) = told(&reply);
    assert_eq!((status, code.as_str()), (503, "ServiceUnavailable;Receiver"));
    assert_eq!(kind, "com.amazon.coral.service#ServiceUnavailableException");
}

#[test]
fn closing_lets_long_polls_end() {
    let (calls, inbox) = mpsc::channel::<Call>();
    let mut house = House::with(Policy::Loopback, limits(), move |call| drop(calls.send(call)));
    let mut client = house.client();
    let waits = std::thread::spawn(move || {
        json(
            &mut client,
            "ReceiveMessage",
            r#"{"QueueUrl":"/0/q","WaitTimeSeconds":20}"#,
        )
    });
    let call = inbox.recv_timeout(PATIENCE).expect("a call");
    let listener = house.listener.take().expect("open");
    let closing = house.tokio.spawn(listener.close(PATIENCE));
    call.reply
        .send(Ok(Answer::Received(Vec::new())))
        .expect("somebody waits");
    let reply = waits.join().expect("an answer");
    assert_eq!((reply.status, reply.body.as_str()), (200, "{}"));
    assert!(house.tokio.block_on(closing).expect("closed"));
}

#[test]
fn where_callers_sign_nobody_else_is_heard() {
    let secret = |key: &str| (key == "AKID").then(|| "secret".to_owned());
    let house = House::with(Policy::Signed(Box::new(secret)), limits(), |_: Call| {
        panic!("nobody may get here")
    });
    let reply = json(&mut house.client(), "ListQueues", "{}");
    let (status, kind, code, _) = told(&reply);
    assert_eq!((status, code.as_str()), (403, "MissingAuthenticationToken;Sender"));
    assert_eq!(kind, "com.amazon.coral.service#MissingAuthenticationTokenException");
    // Whoever looks whether there is an answer learns no more than that.
    assert_eq!(house.client().request("GET /healthz", &[], "").body, "ok\n");
    let reply = query(&mut house.client(), "Action=ListQueues");
    assert_eq!(reply.status, 403);
    assert!(
        reply.body.contains("<Code>MissingAuthenticationToken</Code>"),
        "{reply:?}"
    );
}
