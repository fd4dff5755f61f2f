//! Golden requests and answers about queues: their lives, attributes, tags and permissions.

use super::{case, check, jobs, map, texts};
use crate::sqs::members::Action;
use crate::sqs::operation::{Answer, Operation, Page};

#[test]
fn queues() {
    let url = r#"{"QueueUrl":"http://localhost:9324/000000000000/jobs"}"#;
    let url_xml = "<QueueUrl>http://localhost:9324/000000000000/jobs</QueueUrl>";
    check(
        &case(
            Action::CreateQueue,
            r#""QueueName":"jobs","Attributes":{"DelaySeconds":"3"},"tags":{"team":"x & y"}"#,
            "QueueName=jobs&Attribute.1.Name=DelaySeconds&Attribute.1.Value=3&Tag.1.Key=team&Tag.1.Value=x+%26+y",
            Operation::CreateQueue {
                name: jobs(),
                attributes: map(&[("DelaySeconds", "3")]),
                tags: map(&[("team", "x & y")]),
            },
        )
        .answered(Answer::Queue(jobs()), url, url_xml),
    );
    check(
        &case(
            Action::GetQueueUrl,
            r#""QueueName":"jobs","QueueOwnerAWSAccountId":"000000000000""#,
            "QueueName=jobs&QueueOwnerAWSAccountId=000000000000",
            Operation::GetQueueUrl { name: jobs() },
        )
        .answered(Answer::Queue(jobs()), url, url_xml),
    );
    check(
        &case(
            Action::ListQueues,
            r#""QueueNamePrefix":"j","MaxResults":1,"NextToken":"t""#,
            "QueueNamePrefix=j&MaxResults=1&NextToken=t",
            Operation::ListQueues {
                prefix: Some("j".to_owned()),
                page: Page {
                    limit: Some(1),
                    token: Some("t".to_owned()),
                },
            },
        )
        .answered(
            Answer::Queues {
                names: vec![jobs()],
                next: Some("u".to_owned()),
            },
            r#"{"QueueUrls":["http://localhost:9324/000000000000/jobs"],"NextToken":"u"}"#,
            "<QueueUrl>http://localhost:9324/000000000000/jobs</QueueUrl><NextToken>u</NextToken>",
        ),
    );
    check(
        &case(
            Action::ListDeadLetterSourceQueues,
            r#""MaxResults":"2""#,
            "MaxResults=2",
            Operation::ListDeadLetterSourceQueues {
                queue: jobs(),
                page: Page {
                    limit: Some(2),
                    token: None,
                },
            },
        )
        .answered(
            Answer::Queues {
                names: vec![jobs()],
                next: None,
            },
            r#"{"queueUrls":["http://localhost:9324/000000000000/jobs"]}"#,
            url_xml,
        ),
    );
    for (action, operation) in [
        (Action::DeleteQueue, Operation::DeleteQueue { queue: jobs() }),
        (Action::PurgeQueue, Operation::PurgeQueue { queue: jobs() }),
    ] {
        check(&case(action, "", "", operation));
    }
}

#[test]
fn attributes_tags_and_permissions() {
    check(
        &case(
            Action::GetQueueAttributes,
            r#""AttributeNames":["All","QueueArn"]"#,
            "AttributeName.1=All&AttributeName.2=QueueArn",
            Operation::GetQueueAttributes {
                queue: jobs(),
                names: texts(&["All", "QueueArn"]),
            },
        )
        .answered(
            Answer::Attributes(map(&[("DelaySeconds", "3"), ("Policy", "{\"a\":1}")])),
            r#"{"Attributes":{"DelaySeconds":"3","Policy":"{\"a\":1}"}}"#,
            "<Attribute><Name>DelaySeconds</Name><Value>3</Value></Attribute>\
                 <Attribute><Name>Policy</Name><Value>{&quot;a&quot;:1}</Value></Attribute>",
        ),
    );
    check(&case(
        Action::SetQueueAttributes,
        r#""Attributes":{"DelaySeconds":"3"}"#,
        "Attribute.Name=DelaySeconds&Attribute.Value=3",
        Operation::SetQueueAttributes {
            queue: jobs(),
            attributes: map(&[("DelaySeconds", "3")]),
        },
    ));
    check(&case(
        Action::TagQueue,
        r#""Tags":{"a":"1","b":""}"#,
        "Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b",
        Operation::TagQueue {
            queue: jobs(),
            tags: map(&[("a", "1"), ("b", "")]),
        },
    ));
    check(&case(
        Action::UntagQueue,
        r#""TagKeys":["a","b"]"#,
        "TagKey.member.1=a&TagKey.member.2=b",
        Operation::UntagQueue {
            queue: jobs(),
            keys: texts(&["a", "b"]),
        },
    ));
    check(
        &case(
            Action::ListQueueTags,
            "",
            "",
            Operation::ListQueueTags { queue: jobs() },
        )
        .answered(
            Answer::Tags(map(&[("a", "1")])),
            r#"{"Tags":{"a":"1"}}"#,
            "<Tag><Key>a</Key><Value>1</Value></Tag>",
        ),
    );
    check(&case(
        Action::AddPermission,
        r#""Label":"l","AWSAccountIds":["1","2"],"Actions":["*"]"#,
        "Label=l&AWSAccountId.1=1&AWSAccountId.2=2&ActionName.1=*",
        Operation::AddPermission {
            queue: jobs(),
            label: "l".to_owned(),
            accounts: texts(&["1", "2"]),
            actions: texts(&["*"]),
        },
    ));
    check(&case(
        Action::RemovePermission,
        r#""Label":"l""#,
        "Label=l",
        Operation::RemovePermission {
            queue: jobs(),
            label: "l".to_owned(),
        },
    ));
}
