//! What the compiler writes is understood by our interpreter of state machines, and nothing else is.

use kingtide_core::cloud;
use kingtide_core::project::load;
use kingtide_core::time::Timestamp;
use kingtide_testkit::states::{Answer, Call, Ending, Execution, Machine, Service};
use serde_json::{Value as Json, json};

fn template() -> Json {
    let source =
        "[project]\nname = \"p\"\n[aws]\nregion = \"eu-west-1\"\n[job.j]\ncommand = [\"true\"]\nparams = \"p.csv\"\n";
    let (project, findings) = load(source);
    let project = project.unwrap_or_else(|| panic!("{findings:?}"));
    let stack = cloud::compile(&project, None).unwrap_or_else(|findings| panic!("{findings:?}"));
    stack.template()
}

fn machine() -> Machine {
    Machine::of_template(&template(), "JMachine").unwrap_or_else(|why| panic!("{why}"))
}

/// An execution whose calls are answered one after the other, until it waits or has ended.
fn play(answers: &[Answer]) -> (Execution, Vec<Call>) {
    let (mut execution, mut call) = Execution::start(machine(), "e-1", json!({ "by": "schedule" }), Timestamp(0), 1);
    let mut calls = Vec::new();
    for answer in answers {
        if execution.ending().is_some() {
            break;
        }
        calls.extend(call);
        call = execution.answer(Timestamp(0), answer.clone());
        if let Some(at) = execution.next_wakeup() {
            call = execution.tick(at);
        }
    }
    calls.extend(call);
    (execution, calls)
}

fn outcome(state: &str, reason: Json) -> Answer {
    let body = json!({ "state": state, "reason": reason, "counts": { "total": 3 } }).to_string();
    Answer::Done(json!({ "Body": body, "ETag": "\"1\"" }))
}

fn failed(error: &str) -> Answer {
    Answer::Failed {
        error: error.to_owned(),
        cause: "{}".to_owned(),
    }
}

#[test]
fn a_run_that_succeeds_is_an_execution_that_does() {
    let stopped = Answer::Done(json!({ "LastStatus": "STOPPED" }));
    let (execution, calls) = play(&[stopped, outcome("succeeded", Json::Null)]);
    assert_eq!(
        calls.iter().map(|call| call.service).collect::<Vec<_>>(),
        [Service::RunTask, Service::GetObject]
    );
    assert!(
        matches!(execution.ending(), Some(Ending::Succeeded(_))),
        "{execution:?}"
    );
    let overrides = calls[0].arguments["Overrides"].to_string();
    assert!(
        overrides.contains("e-1") && overrides.contains("schedule"),
        "{overrides}"
    );
    let key = calls[1].arguments["Key"].as_str().expect("a key");
    assert!(key.contains("e-1") && key.contains("outcome"), "{key}");
}

#[test]
fn a_run_that_fails_says_why() {
    let stopped = Answer::Done(json!({}));
    let (execution, _) = play(&[stopped, outcome("failed", json!("3 of 3 tasks failed"))]);
    let ending = Ending::Failed {
        error: "Kingtide.failed".to_owned(),
        cause: "3 of 3 tasks failed".to_owned(),
    };
    assert_eq!(execution.ending(), Some(&ending));
}

#[test]
fn a_dispatcher_that_is_lost_is_started_again() {
    let lost = ["States.TaskFailed", "ECS.AmazonECSException", "AmazonECS.Unknown"].map(failed);
    let (execution, calls) = play(&lost);
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|call| call == &calls[0]), "with the same words");
    assert_eq!(execution.ending(), None);
    let (execution, _) = play(&vec![failed("States.TaskFailed"); 40]);
    assert!(execution.ending().is_some(), "and not for ever");
}

#[test]
fn what_is_not_understood_is_an_error() {
    let definition = template()["Resources"]["JMachine"]["Properties"]["DefinitionString"].clone();
    let definition: Json = serde_json::from_str(definition.as_str().expect("a text")).expect("JSON");
    let refused = |change: &dyn Fn(&mut Json)| {
        let mut changed = definition.clone();
        change(&mut changed);
        Machine::read(&changed.to_string()).expect_err("it was changed")
    };
    let wait = refused(&|of| of["States"]["Succeeded"]["Type"] = json!("Wait"));
    assert!(wait.contains("`Wait`"), "{wait}");
    let field = refused(&|of| of["States"]["Succeeded"]["ResultPath"] = json!("$"));
    assert!(field.contains("`ResultPath`"), "{field}");
    let next = refused(&|of| of["States"]["How it ended"]["Default"] = json!("Nowhere"));
    assert!(next.contains("`Nowhere`"), "{next}");
    let island = refused(&|of| of["States"]["Island"] = json!({ "Type": "Succeed" }));
    assert!(island.contains("`Island`"), "{island}");
    let language = refused(&|of| of["QueryLanguage"] = json!("JSONPath"));
    assert!(language.contains("JSONata"), "{language}");
}
