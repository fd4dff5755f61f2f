//! Attributes: what they may be, and how they read.

use super::*;

#[track_caller]
fn all(house: &mut House, queue: &str) -> BTreeMap<String, String> {
    let operation = Operation::GetQueueAttributes {
        queue: queue.to_owned(),
        names: vec!["All".to_owned()],
    };
    match house.perform(&operation) {
        Answer::Attributes(attributes) => attributes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_queue_that_was_asked_for_nothing_has_the_defaults() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.send("jobs", "one");
    let created = (START.0 / 1000).to_string();
    let expected = map(&[
        ("ApproximateNumberOfMessages", "1"),
        ("ApproximateNumberOfMessagesDelayed", "0"),
        ("ApproximateNumberOfMessagesNotVisible", "0"),
        ("CreatedTimestamp", &created),
        ("DelaySeconds", "0"),
        ("LastModifiedTimestamp", &created),
        ("MaximumMessageSize", "1048576"),
        ("MessageRetentionPeriod", "345600"),
        ("QueueArn", &arn("jobs")),
        ("ReceiveMessageWaitTimeSeconds", "0"),
        ("SqsManagedSseEnabled", "true"),
        ("VisibilityTimeout", "30"),
    ]);
    assert_eq!(all(&mut house, "jobs"), expected);
    house.create("jobs.fifo", &[("FifoQueue", "true")]);
    let fifo = all(&mut house, "jobs.fifo");
    for (name, value) in [
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "false"),
        ("DeduplicationScope", "queue"),
        ("FifoThroughputLimit", "perQueue"),
    ] {
        assert_eq!(fifo.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn attributes_are_asked_for_by_name() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let ask = |names: &[&str]| Operation::GetQueueAttributes {
        queue: "jobs".to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(house.perform(&ask(&[])), Answer::Attributes(BTreeMap::new()));
    let some = map(&[("QueueArn", &arn("jobs")), ("DelaySeconds", "0")]);
    assert_eq!(
        house.perform(&ask(&["QueueArn", "DelaySeconds", "Policy", "FifoQueue"])),
        Answer::Attributes(some)
    );
    let said = "Unknown Attribute Colour.".to_owned();
    assert_eq!(
        house.refuse(&ask(&["All", "Colour"])),
        (Code::InvalidAttributeName, said)
    );
}

#[test]
fn numbers_stay_within_their_ranges() {
    let mut house = House::new();
    house.create("jobs", &[]);
    for (name, least, most) in [
        ("DelaySeconds", 0, 900),
        ("MaximumMessageSize", 1024, 1_048_576),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43_200),
        ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
    ] {
        for good in [least, most] {
            house.pass(1);
            house.perform(&set("jobs", &[(name, &good.to_string())]));
            assert_eq!(house.attribute("jobs", name), Some(good.to_string()));
            let modified = house.attribute("jobs", "LastModifiedTimestamp");
            assert_eq!(modified, Some((house.now.0 / 1000).to_string()));
        }
        for bad in [
            (least - 1).to_string(),
            (most + 1).to_string(),
            "x".into(),
            String::new(),
            "1.5".into(),
        ] {
            let said = format!("Invalid value for the parameter {name}.");
            let expected = (Code::InvalidAttributeValue, said);
            assert_eq!(house.refuse(&set("jobs", &[(name, &bad)])), expected, "{bad}");
            assert_eq!(house.refuse(&create("other", &[(name, &bad)])), expected, "{bad}");
        }
    }
}

#[test]
fn what_cannot_be_set_is_named() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.create("jobs.fifo", &[("FifoQueue", "true")]);
    let unknown = |name: &str| (Code::InvalidAttributeName, format!("Unknown Attribute {name}."));
    for name in [
        "Colour",
        "All",
        "QueueArn",
        "CreatedTimestamp",
        "ApproximateNumberOfMessages",
    ] {
        assert_eq!(house.refuse(&set("jobs", &[(name, "1")])), unknown(name));
    }
    assert_eq!(
        house.refuse(&set("jobs", &[("FifoQueue", "true")])),
        unknown("FifoQueue")
    );
    assert_eq!(
        house.refuse(&create("new", &[("FifoQueue", "false")])),
        unknown("FifoQueue")
    );
    let dedup = [("ContentBasedDeduplication", "true")];
    assert_eq!(house.refuse(&set("jobs", &dedup)), unknown("ContentBasedDeduplication"));
    let said = "You can specify the DeduplicationScope only when FifoQueue is set to true.".to_owned();
    let refused = house.refuse(&set("jobs", &[("DeduplicationScope", "queue")]));
    assert_eq!(refused, (Code::InvalidAttributeName, said));
    let said = "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.".to_owned();
    let refused = house.refuse(&set("jobs.fifo", &[("FifoQueue", "false")]));
    assert_eq!(refused, (Code::InvalidAttributeValue, said));
    house.perform(&set("jobs.fifo", &[("FifoQueue", "true")]));
    let refused = house.refuse(&set("jobs.fifo", &[("FifoThroughputLimit", "perMessageGroupId")]));
    assert_eq!(refused.0, Code::InvalidAttributeValue);
    house.perform(&set(
        "jobs.fifo",
        &[
            ("FifoThroughputLimit", "perMessageGroupId"),
            ("DeduplicationScope", "messageGroup"),
        ],
    ));
}

#[test]
fn one_kind_of_encryption_at_a_time() {
    let mut house = House::new();
    house.create("jobs", &[("KmsMasterKeyId", "alias/mine")]);
    let kms = all(&mut house, "jobs");
    assert_eq!(kms["SqsManagedSseEnabled"], "false");
    assert_eq!(kms["KmsDataKeyReusePeriodSeconds"], "300");
    house.perform(&set("jobs", &[("SqsManagedSseEnabled", "true")]));
    let managed = all(&mut house, "jobs");
    assert_eq!(
        (managed.get("KmsMasterKeyId"), managed["SqsManagedSseEnabled"].as_str()),
        (None, "true")
    );
    let both = [("SqsManagedSseEnabled", "true"), ("KmsMasterKeyId", "x")];
    assert_eq!(house.refuse(&set("jobs", &both)).0, Code::InvalidAttributeName);
    assert_eq!(
        house.refuse(&set("jobs", &[("SqsManagedSseEnabled", "yes")])).0,
        Code::InvalidAttributeValue
    );
}

#[test]
fn redrive_policies_are_read_closely() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.create("dead", &[]);
    house.create("dead.fifo", &[("FifoQueue", "true")]);
    let dead = arn("dead");
    let prefix = |text: &str| format!("Value {text} for parameter RedrivePolicy is invalid. Reason: ");
    for (text, reason) in [
        (
            format!(r#"{{"deadLetterTargetArn":"{dead}"}}"#),
            "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
        ),
        (
            r#"{"maxReceiveCount":1}"#.to_owned(),
            "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
        ),
        (
            redrive_to("dead", 0),
            "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.",
        ),
        (
            redrive_to("dead", 1001),
            "Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.",
        ),
        (
            r#"{"deadLetterTargetArn":"dummy","maxReceiveCount":42}"#.to_owned(),
            "Invalid value for deadLetterTargetArn.",
        ),
        (redrive_to("none", 1), "Dead letter target does not exist."),
        (
            redrive_to("dead.fifo", 1),
            "Dead-letter queue must be same type of queue as the source.",
        ),
    ] {
        let refused = house.refuse(&set("jobs", &[("RedrivePolicy", &text)]));
        assert_eq!(refused, (Code::InvalidParameterValue, prefix(&text) + reason));
    }
    let said = "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map.";
    let refused = house.refuse(&set("jobs", &[("RedrivePolicy", "[]")]));
    assert_eq!(refused, (Code::InvalidAttributeValue, said.to_owned()));
    let policy = redrive_to("dead", 3);
    house.perform(&set("jobs", &[("RedrivePolicy", &policy)]));
    assert_eq!(house.attribute("jobs", "RedrivePolicy"), Some(policy));
    house.perform(&set("jobs", &[("RedrivePolicy", "")]));
    assert_eq!(house.attribute("jobs", "RedrivePolicy"), None);
}

#[test]
fn a_dead_letter_queue_says_whose_letters_it_takes() {
    let mut house = House::new();
    house.create("jobs", &[]);
    house.create("dead", &[("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#)]);
    let redrive = redrive_to("dead", 3);
    let wants = set("jobs", &[("RedrivePolicy", &redrive)]);
    assert_eq!(house.refuse(&wants).0, Code::InvalidParameterValue);
    let only = |queue: &str| {
        format!(
            r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{}"]}}"#,
            arn(queue)
        )
    };
    house.perform(&set("dead", &[("RedriveAllowPolicy", &only("other"))]));
    assert_eq!(house.refuse(&wants).0, Code::InvalidParameterValue);
    house.perform(&set("dead", &[("RedriveAllowPolicy", &only("jobs"))]));
    house.perform(&wants);
    for wrong in [
        "1",
        "{}",
        r#"{"redrivePermission":"some"}"#,
        r#"{"redrivePermission":"byQueue"}"#,
        r#"{"redrivePermission":"byQueue","sourceQueueArns":[]}"#,
        r#"{"redrivePermission":"byQueue","sourceQueueArns":["x"]}"#,
        r#"{"redrivePermission":"allowAll","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:jobs"]}"#,
        r#"{"redrivePermission":"allowAll","colour":1}"#,
    ] {
        let (code, said) = house.refuse(&set("dead", &[("RedriveAllowPolicy", wrong)]));
        let is_expected = matches!(code, Code::InvalidAttributeValue | Code::InvalidParameterValue);
        assert!(
            is_expected && said.contains("redrive allow policy"),
            "{wrong}: {code:?} {said}"
        );
    }
}

#[test]
fn permissions_are_statements_of_the_policy() {
    let mut house = House::new();
    house.create("jobs", &[]);
    let add = |label: &str, accounts: &[&str], actions: &[&str]| Operation::AddPermission {
        queue: "jobs".to_owned(),
        label: label.to_owned(),
        accounts: accounts.iter().map(|id| (*id).to_owned()).collect(),
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
    };
    let take = |label: &str| Operation::RemovePermission {
        queue: "jobs".to_owned(),
        label: label.to_owned(),
    };
    let one = "111111111111";
    house.perform(&add("share", &[one], &["SendMessage"]));
    let policy = house.attribute("jobs", "Policy").expect("there is one");
    let expected = format!(
        r#"{{"Version":"2008-10-17","Id":"{0}/SQSDefaultPolicy","Statement":[{{"Sid":"share","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{one}:root"}},"Action":"SQS:SendMessage","Resource":"{0}"}}]}}"#,
        arn("jobs")
    );
    assert_eq!(policy, expected);
    let said = "Value share for parameter Label is invalid. Reason: Already exists.".to_owned();
    let refused = house.refuse(&add("share", &[one], &["ReceiveMessage"]));
    assert_eq!(refused, (Code::InvalidParameterValue, said));
    let seven = ["GetQueueUrl"; 8];
    assert_eq!(house.refuse(&add("b", &[one], &seven)).0, Code::OverLimit);
    assert_eq!(
        house.refuse(&add("b", &[one], &["DeleteQueue"])).0,
        Code::InvalidParameterValue
    );
    assert_eq!(
        house.refuse(&add("b", &["me"], &["SendMessage"])).0,
        Code::InvalidParameterValue
    );
    assert_eq!(house.refuse(&add("b", &[], &["SendMessage"])).0, Code::MissingParameter);
    assert_eq!(house.refuse(&add("b", &[one], &[])).0, Code::MissingParameter);
    house.perform(&take("share"));
    assert_eq!(house.attribute("jobs", "Policy"), None);
    let said = "Value share for parameter Label is invalid. Reason: can't find label.".to_owned();
    assert_eq!(house.refuse(&take("share")), (Code::InvalidParameterValue, said));
    assert_eq!(
        house.refuse(&set("jobs", &[("Policy", "text")])).0,
        Code::InvalidAttributeValue
    );
    house.perform(&set("jobs", &[("Policy", &policy)]));
    house.perform(&set("jobs", &[("Policy", "")]));
    assert_eq!(house.attribute("jobs", "Policy"), None);
}
