//! The calls of `kingtide_remote::request` against both emulators: conditions, ranges, lists, parts, versions, queues, clusters, logs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use kingtide_remote::request::credentials::Container;
use kingtide_remote::request::s3::{self, BucketState, Condition};
use kingtide_remote::request::sqs::{self, Letter};
use kingtide_remote::request::transport::{Surroundings, Transport};
use kingtide_remote::request::{Client, Kind as Failure, cloudformation, ecs, logs, states, sts};
use serde_json::json;

use crate::emulator::{Emulator, Kind};

/// As a container of the emulator asks.
pub(crate) fn client(url: &str) -> Client {
    let url = url.to_owned();
    let env = move |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" => Some("AKIAIOSFODNN7EXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
        _ => None,
    };
    let transport = Transport::new(Surroundings::Container);
    let source = Container::new(transport.clone(), env.clone());
    Client::new(transport, Box::new(source), "eu-west-1", env)
}

/// A bucket and a queue, by a stack; the queue's URL.
fn premises(client: &Client) -> String {
    let template = json!({
        "Resources": {
            "Bucket": { "Type": "AWS::S3::Bucket", "Properties": { "BucketName": "things", "VersioningConfiguration": { "Status": "Enabled" } } },
            "Queue": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": "letters" } },
            "Cluster": { "Type": "AWS::ECS::Cluster", "Properties": { "ClusterName": "tasks" } },
        },
    });
    let wanted = cloudformation::Wanted {
        stack: "things",
        name: "first",
        is_new: true,
        template: cloudformation::Template::Body(&template.to_string()),
        parameters: &BTreeMap::new(),
        tags: &BTreeMap::new(),
    };
    cloudformation::create_change_set(client, &wanted).expect("a change set");
    cloudformation::execute_change_set(client, "things", "first").expect("a stack");
    let resources = cloudformation::resources(client, "things").expect("resources");
    let queue = resources.into_iter().find(|resource| resource.logical_id == "Queue");
    queue.expect("a queue").physical_id
}

fn objects(client: &Client) {
    let put = |key: &str, body: &str, condition| s3::put(client, "things", key, body.as_bytes(), condition);
    assert_eq!(s3::bucket(client, "things").expect("told"), BucketState::There);
    assert_eq!(
        s3::bucket(client, "nothing-of-ours").expect("told"),
        BucketState::Absent
    );

    // Who was first is decided by the bucket.
    let first = put("claims/ä 1+2", "first", Condition::Absent).expect("nobody was first");
    let late = put("claims/ä 1+2", "late", Condition::Absent).expect_err("somebody was");
    assert_eq!(late.kind, Failure::Precondition, "{late}");
    let second = put("claims/ä 1+2", "second", Condition::Match(&first.etag)).expect("over what was read");
    let stale = put("claims/ä 1+2", "stale", Condition::Match(&first.etag)).expect_err("over what is gone");
    assert_eq!(stale.kind, Failure::Precondition, "{stale}");
    let found = s3::get(client, "things", "claims/ä 1+2").expect("there");
    assert_eq!(
        (found.body.as_slice(), &found.head.etag),
        (&b"second"[..], &second.etag)
    );
    assert_eq!(s3::head(client, "things", "claims/ä 1+2").expect("there").size, 6);
    assert_eq!(
        s3::get_range(client, "things", "claims/ä 1+2", 1, 3)
            .expect("a part")
            .body,
        b"eco"
    );
    let absent = s3::get(client, "things", "claims/none").expect_err("nothing");
    assert_eq!(absent.kind, Failure::NotFound, "{absent}");

    // Lists come in order, from anywhere, and in pages.
    for number in 0..25 {
        put(&format!("many/{number:02}.a&b"), "", Condition::Always).expect("written");
    }
    let all = s3::list(client, "things", "many/", "").expect("a list");
    assert_eq!((all.len(), all[3].key.as_str()), (25, "many/03.a&b"));
    let after = s3::list(client, "things", "many/", "many/22.a&b").expect("a list");
    assert_eq!(
        after.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(),
        ["many/23.a&b", "many/24.a&b"]
    );
    let page = s3::list_page(client, "things", "", "", "/", 10).expect("a page");
    assert_eq!(page.folders, ["claims/", "many/"]);

    // Files, large ones in parts.
    let mut file = tempfile::tempfile().expect("a file");
    let line = [b'k'; 1024 * 1024];
    for _ in 0..65 {
        file.write_all(&line).expect("written");
    }
    let head = s3::put_file(client, "things", "large", &file, Condition::Always).expect("in parts");
    assert_eq!(head.size, 65 * 1024 * 1024);
    let mut back = tempfile::tempfile().expect("a file");
    let head = s3::get_file(client, "things", "large", &mut back).expect("fetched");
    assert_eq!(head.size, 65 * 1024 * 1024);
    back.rewind().expect("read");
    let mut start = [0; 16];
    back.read_exact(&mut start).expect("read");
    assert_eq!(start, [b'k'; 16]);

    // All of it goes, earlier versions and marks as well.
    s3::delete(client, "things", "large").expect("deleted");
    loop {
        let versions = s3::versions(client, "things", "").expect("versions");
        if versions.is_empty() {
            break;
        }
        s3::delete_versions(client, "things", &versions).expect("removed");
    }
    s3::delete_bucket(client, "things").expect("it is empty");
}

fn queues(client: &Client, queue: &str) {
    let letters: Vec<Letter> = (0..10)
        .map(|number| Letter {
            body: format!("{{\"n\":{number}}}"),
            attributes: BTreeMap::from([("kingtide.seq".to_owned(), number.to_string())]),
            ..Letter::default()
        })
        .collect();
    assert_eq!(sqs::send(client, queue, &letters).expect("sent"), []);
    let mut seen = BTreeSet::new();
    while seen.len() < 10 {
        let received = sqs::receive(client, queue, 10, Duration::from_secs(60), Duration::from_secs(1));
        let received = received.expect("received");
        assert!(!received.is_empty(), "{seen:?}");
        for message in received {
            assert_eq!(
                message.body,
                format!("{{\"n\":{}}}", message.attributes["kingtide.seq"])
            );
            assert_eq!(message.receives, 1);
            sqs::change_visibility(client, queue, &message.receipt, Duration::from_secs(30)).expect("extended");
            sqs::delete(client, queue, &message.receipt).expect("deleted");
            seen.insert(message.body);
        }
    }
    let attributes = sqs::attributes(client, queue).expect("attributes");
    assert_eq!(attributes["ApproximateNumberOfMessages"], "0");
    let gone = sqs::attributes(client, &queue.replace("letters", "none")).expect_err("no such queue");
    assert_eq!(gone.kind, Failure::NotFound, "{gone}");
}

fn others(client: &Client) {
    assert_eq!(sts::identity(client).expect("somebody").account.len(), 12);
    assert_eq!(
        ecs::list(client, "tasks", ecs::Wanted::default()).expect("a list"),
        [] as [&str; 0]
    );
    let none = ecs::definition(client, "none:1").expect_err("no such definition");
    assert_eq!(none.kind, Failure::Invalid, "{none}");
    let none = logs::lines(client, "/kingtide/none", "none", None).expect_err("no such group");
    assert_eq!(none.kind, Failure::NotFound, "{none}");
    let machine = "arn:aws:states:eu-west-1:000000000000:stateMachine:none";
    let none = states::start(client, machine, "x", &json!({})).expect_err("no such machine");
    assert_eq!(none.kind, Failure::NotFound, "{none}");
    assert_eq!(cloudformation::describe(client, "none").expect("told"), None);
}

fn check(kind: Kind) {
    let Some(emulator) = Emulator::start(kind) else { return };
    let client = client(&emulator.url);
    let queue = premises(&client);
    objects(&client);
    queues(&client, &queue);
    others(&client);
}

#[test]
fn calls_mean_on_ministack_what_they_mean_on_aws() {
    check(Kind::Ministack);
}

#[test]
fn calls_mean_on_moto_what_they_mean_on_aws() {
    check(Kind::Moto);
}
