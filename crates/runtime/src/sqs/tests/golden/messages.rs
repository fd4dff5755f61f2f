//! Golden requests and answers about messages. The digests were computed by other means, from how AWS documents them.

use std::collections::BTreeMap;

use super::{case, check, jobs, texts};
use crate::sqs::fault::{Code, Fault};
use crate::sqs::members::Action;
use crate::sqs::operation::{Answer, Attribute, AttributeValue, Entry, Move, Operation, Receive, Received, Send, Sent};

fn entry<T>(id: &str, of: T) -> Entry<T> {
    Entry { id: id.to_owned(), of }
}

fn attribute(data_type: &str, value: AttributeValue) -> Attribute {
    Attribute {
        data_type: data_type.to_owned(),
        value,
    }
}

fn message() -> Send {
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    let trace = attribute("String", text("Root=1"));
    Send {
        body: "a <b> & \"c\"\r\n\u{e9}".to_owned(),
        delay: Some(5),
        attributes: BTreeMap::from([
            ("count".to_owned(), attribute("Number", text("7"))),
            (
                "raw".to_owned(),
                attribute("Binary.gzip", AttributeValue::Binary(vec![0xff, 0xfe])),
            ),
        ]),
        system_attributes: BTreeMap::from([("AWSTraceHeader".to_owned(), trace)]),
        group: Some("g".to_owned()),
        deduplication: Some("d".to_owned()),
    }
}

fn sent() -> Sent {
    Sent {
        message_id: "m-1".to_owned(),
        sequence: Some("18".to_owned()),
    }
}

/// The message that is sent, as JSON and as a form.
const MESSAGE: &str = r#""MessageBody":"a <b> & \"c\"\r\n\u00e9","DelaySeconds":5,"MessageAttributes":{
    "count":{"DataType":"Number","StringValue":"7"},"raw":{"DataType":"Binary.gzip","BinaryValue":"//4="}},
    "MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}},
    "MessageGroupId":"g","MessageDeduplicationId":"d""#;
const MESSAGE_FORM: &[&str] = &[
    "MessageBody=a+%3Cb%3E+%26+%22c%22%0D%0A%C3%A9",
    "DelaySeconds=5",
    "MessageAttribute.2.Name=count",
    "MessageAttribute.2.Value.DataType=Number",
    "MessageAttribute.2.Value.StringValue=7",
    "MessageAttribute.1.Name=raw",
    "MessageAttribute.1.Value.BinaryValue=%2F%2F4%3D",
    "MessageAttribute.1.Value.DataType=Binary.gzip",
    "MessageSystemAttribute.1.Name=AWSTraceHeader",
    "MessageSystemAttribute.1.Value.DataType=String",
    "MessageSystemAttribute.1.Value.StringValue=Root%3D1",
    "MessageGroupId=g",
    "MessageDeduplicationId=d",
];

fn message_form(prefix: &str) -> String {
    let pairs: Vec<String> = MESSAGE_FORM.iter().map(|pair| format!("{prefix}{pair}")).collect();
    pairs.join("&")
}

const SENT_JSON: &str = r#""MessageId":"m-1","MD5OfMessageBody":"f8aae90d6bcd76f89b33edf9f5ee3d39","MD5OfMessageAttributes":"9e251390264c968af8a1610f0a9659eb","MD5OfMessageSystemAttributes":"d6619b3d47b81d3fc72c0db005a70eda","SequenceNumber":"18""#;
const SENT_XML: &str = "<MessageId>m-1</MessageId>\
    <MD5OfMessageBody>f8aae90d6bcd76f89b33edf9f5ee3d39</MD5OfMessageBody>\
    <MD5OfMessageAttributes>9e251390264c968af8a1610f0a9659eb</MD5OfMessageAttributes>\
    <MD5OfMessageSystemAttributes>d6619b3d47b81d3fc72c0db005a70eda</MD5OfMessageSystemAttributes>\
    <SequenceNumber>18</SequenceNumber>";
const FAILED_JSON: &str = r#""SenderFault":true,"Code":"InvalidMessageContents","Message":"no <such>""#;
const FAILED_XML: &str =
    "<SenderFault>true</SenderFault><Code>InvalidMessageContents</Code><Message>no &lt;such&gt;</Message>";

#[test]
fn sending() {
    let form = message_form("");
    check(
        &case(
            Action::SendMessage,
            MESSAGE,
            &form,
            Operation::SendMessage {
                queue: jobs(),
                message: message(),
            },
        )
        .answered(Answer::Sent(sent()), &format!(r#"{{{SENT_JSON}}}"#), SENT_XML),
    );
}

#[test]
fn batches() {
    let mut form = message_form("SendMessageBatchRequestEntry.1.");
    form.push_str("&SendMessageBatchRequestEntry.1.Id=one&SendMessageBatchRequestEntry.2.Id=two");
    form.push_str("&SendMessageBatchRequestEntry.2.MessageBody=b");
    let json = format!(r#""Entries":[{{"Id":"one",{MESSAGE}}},{{"Id":"two","MessageBody":"b"}}]"#);
    let plain = Send {
        body: "b".to_owned(),
        ..Send::default()
    };
    let fault = Fault::new(Code::InvalidMessageContents, "no <such>");
    check(
        &case(
            Action::SendMessageBatch,
            &json,
            &form,
            Operation::SendMessageBatch {
                queue: jobs(),
                entries: vec![entry("one", message()), entry("two", plain)],
            },
        )
        .answered(
            Answer::SentBatch(vec![entry("two", Err(fault.clone())), entry("one", Ok(sent()))]),
            &format!(r#"{{"Successful":[{{"Id":"one",{SENT_JSON}}}],"Failed":[{{"Id":"two",{FAILED_JSON}}}]}}"#),
            &format!(
                "<SendMessageBatchResultEntry><Id>one</Id>{SENT_XML}</SendMessageBatchResultEntry>\
                  <BatchResultErrorEntry><Id>two</Id>{FAILED_XML}</BatchResultErrorEntry>"
            ),
        ),
    );
    check(
        &case(
            Action::DeleteMessageBatch,
            r#""Entries":[{"Id":"one","ReceiptHandle":"r"}]"#,
            "DeleteMessageBatchRequestEntry.1.Id=one&DeleteMessageBatchRequestEntry.1.ReceiptHandle=r",
            Operation::DeleteMessageBatch {
                queue: jobs(),
                entries: vec![entry("one", "r".to_owned())],
            },
        )
        .answered(
            Answer::DoneBatch(vec![entry("one", Ok(()))]),
            r#"{"Successful":[{"Id":"one"}]}"#,
            "<DeleteMessageBatchResultEntry><Id>one</Id></DeleteMessageBatchResultEntry>",
        ),
    );
    check(
        &case(
            Action::ChangeMessageVisibilityBatch,
            r#""Entries":[{"Id":"one","ReceiptHandle":"r","VisibilityTimeout":30},{"Id":"two","ReceiptHandle":"s"}]"#,
            "ChangeMessageVisibilityBatchRequestEntry.1.Id=one&\
               ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle=r&\
               ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout=30&\
               ChangeMessageVisibilityBatchRequestEntry.7.Id=two&\
               ChangeMessageVisibilityBatchRequestEntry.7.ReceiptHandle=s",
            Operation::ChangeMessageVisibilityBatch {
                queue: jobs(),
                entries: vec![
                    entry("one", ("r".to_owned(), Some(30))),
                    entry("two", ("s".to_owned(), None)),
                ],
            },
        )
        .answered(
            Answer::DoneBatch(vec![entry("one", Ok(())), entry("two", Err(fault))]),
            &format!(r#"{{"Successful":[{{"Id":"one"}}],"Failed":[{{"Id":"two",{FAILED_JSON}}}]}}"#),
            &format!(
                "<ChangeMessageVisibilityBatchResultEntry><Id>one</Id></ChangeMessageVisibilityBatchResultEntry>\
                  <BatchResultErrorEntry><Id>two</Id>{FAILED_XML}</BatchResultErrorEntry>"
            ),
        ),
    );
}

fn received() -> Received {
    Received {
        message_id: "m-1".to_owned(),
        receipt: "r".to_owned(),
        body: message().body,
        attributes: message().attributes,
        system: BTreeMap::from([
            ("ApproximateReceiveCount".to_owned(), "1".to_owned()),
            ("SentTimestamp".to_owned(), "1700000000000".to_owned()),
        ]),
    }
}

const BARE_JSON: &str = r#""MessageId":"m-1","ReceiptHandle":"r","MD5OfBody":"f8aae90d6bcd76f89b33edf9f5ee3d39","Body":"a <b> & \"c\"\r\né""#;
const BARE_XML: &str = "<MessageId>m-1</MessageId><ReceiptHandle>r</ReceiptHandle>\
    <MD5OfBody>f8aae90d6bcd76f89b33edf9f5ee3d39</MD5OfBody><Body>a &lt;b&gt; &amp; &quot;c&quot;&#13;\né</Body>";
const COUNT_JSON: &str = r#""MD5OfMessageAttributes":"e1fd4655f8fa7a3ddc02f774ad95564c","MessageAttributes":{"count":{"StringValue":"7","DataType":"Number"}}"#;

fn receive(system: &[&str], attributes: &[&str]) -> Operation {
    Operation::ReceiveMessage(Receive {
        queue: jobs(),
        max: Some(10),
        visibility: Some(60),
        wait: Some(20),
        attempt: Some("a".to_owned()),
        system: texts(system),
        attributes: texts(attributes),
    })
}

const RECEIVE: &str =
    r#""MaxNumberOfMessages":10,"VisibilityTimeout":60,"WaitTimeSeconds":20,"ReceiveRequestAttemptId":"a""#;
const RECEIVE_FORM: &str = "MaxNumberOfMessages=10&VisibilityTimeout=60&WaitTimeSeconds=20&ReceiveRequestAttemptId=a";

#[test]
fn receiving() {
    check(
        &case(
            Action::ReceiveMessage,
            &format!(r#"{RECEIVE},"AttributeNames":["SenderId"],"MessageSystemAttributeNames":["All"],"MessageAttributeNames":["cou.*"]"#),
            &format!("{RECEIVE_FORM}&AttributeName.1=SenderId&MessageSystemAttributeName.1=All&MessageAttributeName.1=cou.*"),
            receive(&["SenderId", "All"], &["cou.*"]),
        )
        .answered(
            Answer::Received(vec![received()]),
            &format!(
                r#"{{"Messages":[{{{BARE_JSON},"Attributes":{{"ApproximateReceiveCount":"1","SentTimestamp":"1700000000000"}},{COUNT_JSON}}}]}}"#
            ),
            &format!(
                "<Message>{BARE_XML}<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>\
                 <Attribute><Name>SentTimestamp</Name><Value>1700000000000</Value></Attribute>\
                 <MD5OfMessageAttributes>e1fd4655f8fa7a3ddc02f774ad95564c</MD5OfMessageAttributes>\
                 <MessageAttribute><Name>count</Name><Value><StringValue>7</StringValue><DataType>Number</DataType></Value>\
                 </MessageAttribute></Message>"
            ),
        ),
    );
    // Only what was asked for, and nothing at all when there is no message.
    let bare = || case(Action::ReceiveMessage, RECEIVE, RECEIVE_FORM, receive(&[], &[]));
    check(&bare().answered(
        Answer::Received(vec![received()]),
        &format!(r#"{{"Messages":[{{{BARE_JSON}}}]}}"#),
        &format!("<Message>{BARE_XML}</Message>"),
    ));
    check(&bare().answered(Answer::Received(Vec::new()), "{}", ""));
}

#[test]
fn every_attribute_that_was_asked_for() {
    let all = r#""MD5OfMessageAttributes":"9e251390264c968af8a1610f0a9659eb","MessageAttributes":{"count":{"StringValue":"7","DataType":"Number"},"raw":{"BinaryValue":"//4=","DataType":"Binary.gzip"}}"#;
    for wanted in ["All", ".*"] {
        check(
            &case(
                Action::ReceiveMessage,
                &format!(r#"{RECEIVE},"AttributeNames":["SentTimestamp"],"MessageAttributeNames":["{wanted}"]"#),
                &format!("{RECEIVE_FORM}&AttributeName.1=SentTimestamp&MessageAttributeName.1={wanted}"),
                receive(&["SentTimestamp"], &[wanted]),
            )
            .answered(
                Answer::Received(vec![received()]),
                &format!(r#"{{"Messages":[{{{BARE_JSON},"Attributes":{{"SentTimestamp":"1700000000000"}},{all}}}]}}"#),
                &format!(
                    "<Message>{BARE_XML}<Attribute><Name>SentTimestamp</Name><Value>1700000000000</Value></Attribute>\
                     <MD5OfMessageAttributes>9e251390264c968af8a1610f0a9659eb</MD5OfMessageAttributes>\
                     <MessageAttribute><Name>count</Name><Value><StringValue>7</StringValue><DataType>Number</DataType></Value>\
                     </MessageAttribute><MessageAttribute><Name>raw</Name><Value><BinaryValue>//4=</BinaryValue>\
                     <DataType>Binary.gzip</DataType></Value></MessageAttribute></Message>"
                ),
            ),
        );
    }
}

#[test]
fn deleting_and_keeping() {
    check(&case(
        Action::DeleteMessage,
        r#""ReceiptHandle":"r+/=""#,
        "ReceiptHandle=r%2B%2F%3D",
        Operation::DeleteMessage {
            queue: jobs(),
            receipt: "r+/=".to_owned(),
        },
    ));
    check(&case(
        Action::ChangeMessageVisibility,
        r#""ReceiptHandle":"r","VisibilityTimeout":0"#,
        "ReceiptHandle=r&VisibilityTimeout=0",
        Operation::ChangeMessageVisibility {
            queue: jobs(),
            receipt: "r".to_owned(),
            visibility: 0,
        },
    ));
}

#[test]
fn moving() {
    let arn = |queue: &str| format!("arn:aws:sqs:us-east-1:000000000000:{queue}");
    check(
        &case(
            Action::StartMessageMoveTask,
            r#""SourceArn":"arn:aws:sqs:us-east-1:000000000000:dlq","DestinationArn":"arn:aws:sqs:us-east-1:000000000000:jobs","MaxNumberOfMessagesPerSecond":5"#,
            "SourceArn=arn:aws:sqs:us-east-1:000000000000:dlq&DestinationArn=arn:aws:sqs:us-east-1:000000000000:jobs&\
             MaxNumberOfMessagesPerSecond=5",
            Operation::StartMessageMoveTask {
                source: arn("dlq"),
                destination: Some(arn("jobs")),
                rate: Some(5),
            },
        )
        .answered(
            Answer::MoveStarted { handle: "h".to_owned() },
            r#"{"TaskHandle":"h"}"#,
            "<TaskHandle>h</TaskHandle>",
        ),
    );
    check(
        &case(
            Action::CancelMessageMoveTask,
            r#""TaskHandle":"h""#,
            "TaskHandle=h",
            Operation::CancelMessageMoveTask { handle: "h".to_owned() },
        )
        .answered(
            Answer::MoveCancelled { moved: 7 },
            r#"{"ApproximateNumberOfMessagesMoved":7}"#,
            "<ApproximateNumberOfMessagesMoved>7</ApproximateNumberOfMessagesMoved>",
        ),
    );
    let of = Move {
        handle: Some("h".to_owned()),
        status: "RUNNING",
        source: "s".to_owned(),
        destination: Some("d".to_owned()),
        rate: Some(5),
        moved: 7,
        to_move: Some(9),
        failure: Some("f".to_owned()),
        started_at: 1_700_000_000_000,
    };
    check(
        &case(
            Action::ListMessageMoveTasks,
            r#""SourceArn":"s","MaxResults":2"#,
            "SourceArn=s&MaxResults=2",
            Operation::ListMessageMoveTasks {
                source: "s".to_owned(),
                limit: Some(2),
            },
        )
        .answered(
            Answer::Moves(vec![of]),
            r#"{"Results":[{"TaskHandle":"h","Status":"RUNNING","SourceArn":"s","DestinationArn":"d","MaxNumberOfMessagesPerSecond":5,"ApproximateNumberOfMessagesMoved":7,"ApproximateNumberOfMessagesToMove":9,"FailureReason":"f","StartedTimestamp":1700000000000}]}"#,
            "<ListMessageMoveTasksResultEntry><TaskHandle>h</TaskHandle><Status>RUNNING</Status><SourceArn>s</SourceArn>\
             <DestinationArn>d</DestinationArn><MaxNumberOfMessagesPerSecond>5</MaxNumberOfMessagesPerSecond>\
             <ApproximateNumberOfMessagesMoved>7</ApproximateNumberOfMessagesMoved>\
             <ApproximateNumberOfMessagesToMove>9</ApproximateNumberOfMessagesToMove><FailureReason>f</FailureReason>\
             <StartedTimestamp>1700000000000</StartedTimestamp></ListMessageMoveTasksResultEntry>",
        ),
    );
}
