//! CloudFormation as a script: states that no emulator gets into.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use kingtide_remote::wire::{Ask, Deploy, Event, Failed, FailureKind};

use crate::conversation::Conversation;

/// Answers each action with the next of its texts, and the last for ever; what it was asked stands in `asked`.
struct Script {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn start(answers: &[(&str, &[String])]) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut left: BTreeMap<String, Vec<String>> = answers
            .iter()
            .map(|(action, texts)| ((*action).to_owned(), texts.to_vec()))
            .collect();
        let of_server = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(action) = action(&stream) else { continue };
                let texts = left.get_mut(&action);
                let text = match texts {
                    Some(texts) if texts.len() > 1 => texts.remove(0),
                    Some(texts) => texts[0].clone(),
                    None => format!("<{action}Response/>"),
                };
                of_server.lock().expect("asked").push(action);
                let mut stream = stream;
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                    text.len()
                );
            }
        });
        Script { url, asked }
    }

    fn deploy(&self) -> Result<Vec<Event>, Failed> {
        let deploy = Deploy {
            template: "{}".to_owned(),
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        Conversation::with(&self.url, "flights").try_ask(Ask::Deploy(deploy))
    }

    fn was_asked(&self, action: &str) -> usize {
        let asked = self.asked.lock().expect("asked");
        asked.iter().filter(|one| *one == action).count()
    }
}

fn action(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let (_, rest) = body.split_once("Action=")?;
    Some(rest.split('&').next().unwrap_or(rest).to_owned())
}

fn stack(status: &str) -> String {
    format!(
        "<R><DescribeStacksResult><Stacks><member><StackId>arn:s</StackId><StackStatus>{status}</StackStatus>\
         <StackStatusReason>As it is.</StackStatusReason><CreationTime>2026-11-24T22:00:00Z</CreationTime></member></Stacks>\
         </DescribeStacksResult></R>"
    )
}

fn events(events: &[(&str, &str, &str, &str)]) -> String {
    let members: String = events
        .iter()
        .map(|(id, logical, status, reason)| {
            format!(
                "<member><EventId>{id}</EventId><LogicalResourceId>{logical}</LogicalResourceId><ResourceType>AWS::X::{logical}</ResourceType>\
                 <Timestamp>2026-11-24T22:00:01Z</Timestamp><ResourceStatus>{status}</ResourceStatus>\
                 <ResourceStatusReason>{reason}</ResourceStatusReason></member>"
            )
        })
        .collect();
    format!("<R><DescribeStackEventsResult><StackEvents>{members}</StackEvents></DescribeStackEventsResult></R>")
}

fn identity() -> String {
    "<R><GetCallerIdentityResult><Account>1</Account><Arn>a</Arn></GetCallerIdentityResult></R>".to_owned()
}

fn change_set(status: &str, reason: &str) -> String {
    format!(
        "<R><DescribeChangeSetResult><Status>{status}</Status><StatusReason>{reason}</StatusReason></DescribeChangeSetResult></R>"
    )
}

#[test]
fn a_stack_that_nothing_can_be_made_of_is_refused_with_what_to_do() {
    for (status, help) in [
        ("ROLLBACK_COMPLETE", "`kingtide destroy`, then deploy again"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("DELETE_IN_PROGRESS", "deploy again when it is gone"),
    ] {
        let script = Script::start(&[
            ("GetCallerIdentity", &[identity()]),
            ("DescribeStacks", &[stack(status)]),
        ]);
        let failed = script.deploy().expect_err("nothing can be done");
        assert_eq!(failed.kind, FailureKind::Stack);
        assert!(
            failed.message.contains(status) && failed.causes == ["As it is."],
            "{failed:?}"
        );
        assert!(failed.help.as_deref().unwrap_or_default().contains(help), "{failed:?}");
        assert_eq!(script.was_asked("CreateChangeSet"), 0);
    }
}

#[test]
fn a_deploy_goes_on_where_an_earlier_one_was_left() {
    let script = Script::start(&[
        ("GetCallerIdentity", &[identity()]),
        (
            "DescribeStacks",
            &[
                stack("CREATE_IN_PROGRESS"),
                stack("CREATE_IN_PROGRESS"),
                stack("CREATE_COMPLETE"),
            ],
        ),
        (
            "DescribeStackEvents",
            &[
                events(&[("1", "Queue", "CREATE_IN_PROGRESS", "")]),
                events(&[
                    ("2", "Queue", "CREATE_COMPLETE", ""),
                    ("1", "Queue", "CREATE_IN_PROGRESS", ""),
                ]),
            ],
        ),
        (
            "DescribeChangeSet",
            &[change_set(
                "FAILED",
                "The submitted information didn't contain changes.",
            )],
        ),
    ]);
    let said = script.deploy().expect("it is complete");
    let told: Vec<&str> = said
        .iter()
        .map(|event| match event {
            Event::Resource(resource) => resource.status.as_str(),
            Event::Stack(stack) => stack.status.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["CREATE_COMPLETE", "CREATE_COMPLETE"]);
    // What had nothing to change is not left behind.
    assert_eq!(
        (
            script.was_asked("DeleteChangeSet"),
            script.was_asked("ExecuteChangeSet")
        ),
        (1, 0)
    );
}

#[test]
fn a_deploy_that_fails_is_explained_by_what_failed_first() {
    let script = Script::start(&[
        ("GetCallerIdentity", &[identity()]),
        (
            "DescribeStacks",
            &[
                stack("UPDATE_COMPLETE"),
                stack("UPDATE_IN_PROGRESS"),
                stack("UPDATE_ROLLBACK_COMPLETE"),
            ],
        ),
        (
            "DescribeStackEvents",
            &[
                events(&[("1", "flights", "UPDATE_COMPLETE", "")]),
                events(&[
                    ("4", "Cluster", "CREATE_FAILED", "Resource creation cancelled"),
                    ("3", "Role", "CREATE_FAILED", "No such policy."),
                    ("2", "Role", "CREATE_IN_PROGRESS", ""),
                    ("1", "flights", "UPDATE_COMPLETE", ""),
                ]),
            ],
        ),
        ("DescribeChangeSet", &[change_set("CREATE_COMPLETE", "")]),
    ]);
    let failed = script.deploy().expect_err("it fails");
    assert_eq!(
        failed.message,
        "the stack `flights` could not be changed, and is what it was before (UPDATE_ROLLBACK_COMPLETE)"
    );
    assert_eq!(failed.causes, ["Role (AWS::X::Role): No such policy."]);
}

#[test]
fn a_stack_that_has_not_heard_of_its_change_yet_is_not_taken_for_changed() {
    let before = [("1", "flights", "UPDATE_COMPLETE", "")];
    let after = [("2", "flights", "UPDATE_ROLLBACK_COMPLETE", ""), before[0]];
    let script = Script::start(&[
        ("GetCallerIdentity", &[identity()]),
        (
            "DescribeStacks",
            &[
                stack("UPDATE_COMPLETE"),
                stack("UPDATE_COMPLETE"),
                stack("UPDATE_IN_PROGRESS"),
                stack("UPDATE_ROLLBACK_COMPLETE"),
            ],
        ),
        (
            "DescribeStackEvents",
            &[events(&before), events(&before), events(&before), events(&after)],
        ),
        ("DescribeChangeSet", &[change_set("CREATE_COMPLETE", "")]),
    ]);
    let failed = script.deploy().expect_err("it fails, later");
    assert!(failed.message.contains("UPDATE_ROLLBACK_COMPLETE"), "{failed:?}");
}

#[test]
fn a_template_that_is_refused_is_so_in_cloudformations_words() {
    let script = Script::start(&[
        ("GetCallerIdentity", &[identity()]),
        ("DescribeStacks", &[stack("UPDATE_COMPLETE")]),
        (
            "DescribeChangeSet",
            &[change_set("FAILED", "Unresolved resource dependencies.")],
        ),
    ]);
    let failed = script.deploy().expect_err("refused");
    assert_eq!(failed.kind, FailureKind::Refused);
    assert_eq!(failed.causes, ["Unresolved resource dependencies."]);
    assert_eq!(script.was_asked("ExecuteChangeSet"), 0);
}

#[test]
fn what_was_changed_by_hand_is_told() {
    let looking = "<R><DetectionStatus>DETECTION_IN_PROGRESS</DetectionStatus></R>".to_owned();
    let done = "<R><DetectionStatus>DETECTION_COMPLETE</DetectionStatus></R>".to_owned();
    let drifts = "<R><DescribeStackResourceDriftsResult><StackResourceDrifts><member><LogicalResourceId>Queue</LogicalResourceId>\
                  <ResourceType>AWS::SQS::Queue</ResourceType><StackResourceDriftStatus>MODIFIED</StackResourceDriftStatus>\
                  <PropertyDifferences><member><PropertyPath>/VisibilityTimeout</PropertyPath><ExpectedValue>180</ExpectedValue>\
                  <ActualValue>30</ActualValue></member></PropertyDifferences></member></StackResourceDrifts>\
                  </DescribeStackResourceDriftsResult></R>";
    let script = Script::start(&[
        ("GetCallerIdentity", &[identity()]),
        ("DescribeStacks", &[stack("UPDATE_COMPLETE")]),
        (
            "DetectStackDrift",
            &["<R><StackDriftDetectionId>7</StackDriftDetectionId></R>".to_owned()],
        ),
        ("DescribeStackDriftDetectionStatus", &[looking, done]),
        ("DescribeStackResourceDrifts", &[drifts.to_owned()]),
    ]);
    let said = Conversation::with(&script.url, "flights").ask(Ask::Describe { drift: true });
    let [Event::Stack(stack)] = &said[..] else {
        panic!("{said:?}")
    };
    let drift = &stack.drift.as_ref().expect("it was looked")[0];
    assert_eq!((drift.logical_id.as_str(), drift.is_deleted), ("Queue", false));
    let difference = ("/VisibilityTimeout".to_owned(), "180".to_owned(), "30".to_owned());
    assert_eq!(drift.differences, [difference]);
}
