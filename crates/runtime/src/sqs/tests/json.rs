//! Golden requests and answers of the JSON protocol.

use serde_json::json;

use super::House;

#[test]
fn a_message_goes_through() {
    let house = House::open();
    let mut client = house.client();
    let made = client.json("CreateQueue", r#"{"QueueName":"jobs"}"#);
    let url = format!("http://{}/000000000000/jobs", house.address);
    assert_eq!((made.status, made.json()), (200, json!({ "QueueUrl": url })));
    let body = json!({ "QueueUrl": url, "MessageBody": "hello" }).to_string();
    let sent = client.json("SendMessage", &body);
    assert_eq!(sent.json()["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    let body = json!({ "QueueUrl": url, "WaitTimeSeconds": 5 }).to_string();
    let received = client.json("ReceiveMessage", &body);
    let message = &received.json()["Messages"][0];
    assert_eq!(message["Body"], "hello");
    assert_eq!(message["MD5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    let body = json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] }).to_string();
    let deleted = client.json("DeleteMessage", &body);
    assert_eq!((deleted.status, deleted.body.as_str()), (200, "{}"));
}
