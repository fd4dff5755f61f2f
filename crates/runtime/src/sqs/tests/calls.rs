//! Golden requests and answers of the JSON protocol.

use serde_json::json as value;

use super::{House, json};

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
    assert_eq!(message["MD5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    let body = value!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] }).to_string();
    let deleted = json(&mut client, "DeleteMessage", &body);
    assert_eq!((deleted.status, deleted.body.as_str()), (200, "{}"));
}
