//! Stacks of the examples: made by their base first, changed, and removed with their data.

use std::collections::BTreeMap;
use std::path::Path;

use kingtide_core::project::load;
use kingtide_core::{cloud, project::Project};
use kingtide_remote::wire::{Ask, Base, Deploy, Event, Repository, Stack};
use serde_json::{Value as Json, json};

use crate::conversation::Conversation;
use crate::emulator::{Emulator, Kind};

const EXAMPLES: [&str; 3] = ["flight-delays", "container", "consumer"];

/// What is deployed of a project.
pub(crate) struct Made {
    pub(crate) template: Json,
    pub(crate) base: Base,
    pub(crate) parameters: BTreeMap<String, String>,
}

pub(crate) fn example(name: &str) -> Project {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let source = std::fs::read_to_string(folder.join("kingtide.toml")).expect("an example");
    let (project, findings) = load(&source);
    project.unwrap_or_else(|| panic!("{findings:?}"))
}

/// The template with values for its parameters, and its base.
pub(crate) fn made(project: &Project) -> Made {
    let stack = cloud::compile(project, None).unwrap_or_else(|findings| panic!("{findings:?}"));
    let base = cloud::base(project, None).unwrap_or_else(|findings| panic!("{findings:?}"));
    let names = stack
        .parameters
        .iter()
        .filter(|(_, parameter)| parameter.default.is_none());
    Made {
        parameters: names.map(|(name, _)| (name.clone(), "busybox:1".to_owned())).collect(),
        base: Base {
            template: base.template().to_string(),
            tags: BTreeMap::from([("kingtide:project".to_owned(), project.name.clone())]),
        },
        template: stack.template(),
    }
}

impl Made {
    pub(crate) fn deploy(&self) -> Deploy {
        Deploy {
            template: self.template.to_string(),
            parameters: self.parameters.clone(),
            tags: self.base.tags.clone(),
            files: BTreeMap::new(),
        }
    }
}

pub(crate) fn stack(events: &[Event]) -> &Stack {
    let found = events.iter().find_map(|event| match event {
        Event::Stack(stack) => Some(&**stack),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no stack in {events:?}"))
}

fn registry(made: &Made) -> Ask {
    Ask::Registry {
        base: made.base.clone(),
        repositories: vec![Repository {
            name: "worker".to_owned(),
            tag: "0123".to_owned(),
        }],
    }
}

/// All there is to a stack; what its template has and the emulator has not, by logical id.
fn life(name: &str) -> Option<Vec<String>> {
    let emulator = Emulator::start(Kind::Ministack)?;
    let project = example(name);
    let made = made(&project);
    let stack_name = cloud::stack_name(&project, None);
    let mut aws = Conversation::with(&emulator.url, &stack_name);
    let none = aws.ask(Ask::Describe { drift: false });
    assert!(matches!(none[..], [Event::NoStack { .. }]), "{none:?}");

    // The bucket and the repository first, in the same stack.
    let first = aws.ask(registry(&made));
    let Some(Event::Registry(places)) = first.last() else {
        panic!("{first:?}");
    };
    assert_eq!(
        (places.places[0].tag.as_str(), &places.places[0].digest),
        ("worker-0123", &None)
    );
    let id = |event: &Event| match event {
        Event::Resource(resource) => Some(resource.logical_id.clone()),
        _ => None,
    };
    let made_first: Vec<String> = first.iter().filter_map(id).collect();
    assert!(made_first.iter().any(|id| id == "Bucket"), "{made_first:?}");
    assert!(!made_first.iter().any(|id| id == "Cluster"), "{made_first:?}");

    // The whole, then the same again, then something else.
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut deploy = made.deploy();
    let path = file.path().display().to_string();
    deploy.files.insert("params/retrain.jsonl".to_owned(), path);
    let whole = aws.ask(Ask::Deploy(deploy.clone()));
    let deployed = stack(&whole);
    assert!(deployed.status.ends_with("_COMPLETE"), "{}", deployed.status);
    assert!(deployed.outputs.contains_key("Bucket"), "{:?}", deployed.outputs);
    let deployed_template: Json = serde_json::from_str(&deployed.template).expect("JSON");
    assert_eq!(deployed_template, made.template);
    aws.ask(Ask::Deploy(deploy.clone()));
    let mut other = deploy;
    other.template = made.template.to_string().replace("Kingtide project", "The project");
    other
        .parameters
        .values_mut()
        .for_each(|value| *value = "busybox:2".to_owned());
    let changed = aws.ask(Ask::Deploy(other));
    assert_eq!(stack(&changed).parameters[cloud::WORKER_IMAGE], "busybox:2");

    // One that is too long to be handed over by itself goes by the bucket.
    let mut long = made.deploy();
    let mut template = made.template.clone();
    template["Metadata"] = json!({ "Long": "x".repeat(60_000) });
    long.template = template.to_string();
    long.parameters
        .values_mut()
        .for_each(|value| *value = "busybox:3".to_owned());
    assert_eq!(
        stack(&aws.ask(Ask::Deploy(long))).parameters[cloud::WORKER_IMAGE],
        "busybox:3"
    );

    let contents = aws.ask(Ask::Contents);
    let Some(Event::Contents(contents)) = contents.first() else {
        panic!("{contents:?}");
    };
    assert!(
        contents.bucket.is_some() && !contents.bucket_is_foreign && contents.objects >= 1,
        "{contents:?}"
    );
    assert!(!contents.messages.is_empty(), "{contents:?}");

    let skipped = emulator.skipped(&stack_name, &made.template);
    aws.ask(Ask::Destroy { with_data: true });
    let none = aws.ask(Ask::Describe { drift: false });
    assert!(matches!(none[..], [Event::NoStack { .. }]), "{none:?}");
    // Again it is no error.
    aws.ask(Ask::Destroy { with_data: true });
    Some(skipped)
}

#[test]
fn stacks_of_all_examples_live_and_go_on_ministack() {
    for name in EXAMPLES {
        let Some(skipped) = life(name) else {
            return;
        };
        assert_eq!(skipped, [] as [&str; 0], "{name}: the emulator has made all of it");
    }
}

/// Moto forgets the outputs of a stack that was made by a change set, so nothing can be pushed or put there, and
/// removes networks in an order that it refuses itself: made and changed only.
#[test]
fn stacks_of_all_examples_are_made_and_changed_on_moto() {
    for name in EXAMPLES {
        let Some(emulator) = Emulator::start(Kind::Moto) else {
            return;
        };
        let project = example(name);
        let mut made = made(&project);
        // It gives a repository without a name one that it refuses itself.
        made.template["Resources"]["Repository"]["Properties"]["RepositoryName"] = json!("images");
        let mut aws = Conversation::with(&emulator.url, &project.name);
        let mut deploy = made.deploy();
        assert_eq!(stack(&aws.ask(Ask::Deploy(deploy.clone()))).status, "CREATE_COMPLETE");
        let skipped = emulator.skipped(&project.name, &made.template);
        deploy
            .parameters
            .values_mut()
            .for_each(|value| *value = "busybox:2".to_owned());
        assert_eq!(stack(&aws.ask(Ask::Deploy(deploy))).status, "UPDATE_COMPLETE");
        // What it passes over in silence is not shown to work by it.
        insta::assert_snapshot!(format!("moto_skips_{name}"), skipped.join("\n"));
    }
}

#[test]
fn a_deploy_that_cannot_succeed_says_what_failed_first_and_what_to_do_then() {
    let Some(emulator) = Emulator::start(Kind::Ministack) else {
        return;
    };
    let mut aws = Conversation::with(&emulator.url, "broken");
    let deploy = |template: Json| {
        Ask::Deploy(Deploy {
            template: template.to_string(),
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
            files: BTreeMap::new(),
        })
    };
    let template = json!({ "Resources": { "Odd": { "Type": "AWS::Nothing::Known", "Properties": {} } } });
    let failed = aws.try_ask(deploy(template)).expect_err("no such type");
    assert!(
        failed.causes.iter().any(|cause| cause.contains("AWS::Nothing::Known")),
        "{failed:?}"
    );
}

#[test]
fn what_bounds_a_run_is_looked_at() {
    let Some(emulator) = Emulator::start(Kind::Ministack) else {
        return;
    };
    let mut aws = Conversation::with(&emulator.url, "flights");
    aws.ask(Ask::Deploy(made(&example("flight-delays")).deploy()));
    let premises = aws.ask(Ask::Premises);
    let Some(Event::Premises(premises)) = premises.first() else {
        panic!("{premises:?}");
    };
    assert_eq!(premises.region, "eu-west-1");
    assert!(premises.addresses.is_some_and(|free| free > 100), "{premises:?}");
    let image = "000000000000.dkr.ecr.eu-west-1.amazonaws.com/nothing:1".to_owned();
    let seen = aws.ask(Ask::Doctor {
        images: vec![image, "busybox:1".to_owned()],
        architecture: "x86_64".to_owned(),
    });
    let lines: Vec<String> = seen
        .iter()
        .map(|event| match event {
            Event::Check(check) => format!("{} {:?}: {}", check.name, check.verdict, check.text),
            other => panic!("{other:?}"),
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
