//! The same job by `kingtide run` and by the worker: what its program saw, and what is kept of it, is the same.

use kingtide_core::engine::event::TaskState;
use kingtide_core::id::RunId;
use kingtide_testkit::TestProject;
use kingtide_testkit::sqs::kingtide;
use serde_json::{Value, json};

use crate::world::World;

/// Says what it sees, whatever differs by place left out; leaves a result and an output; ends as it is told.
const PROGRAM: &str = r#"#!/bin/sh
printf 'argument <%s>\n' "$@"
env | grep -E '^(KINGTIDE_|MODEL|TOKEN|PYTHONUNBUFFERED|[A-Z]+_NUM_THREADS)' | grep -v -E '^KINGTIDE_(RESULT|OUTPUT|MARK|MESSAGE_FILE|MESSAGE=.{1000}|PARAM_LONG)' | sort
test -z "$KINGTIDE_MESSAGE_FILE" || sha256sum < "$KINGTIDE_MESSAGE_FILE"
test -z "$(ls -A "$KINGTIDE_OUTPUT")" && echo "nothing is there"
printf '{"dest":"%s","token":"%s","x":1.50}' "$KINGTIDE_PARAM_DEST" "$TOKEN" > "$KINGTIDE_RESULT"
mkdir -p "$KINGTIDE_OUTPUT/sub/empty"
echo "model of $KINGTIDE_PARAM_DEST" > "$KINGTIDE_OUTPUT/sub/model"
ln -s sub/model "$KINGTIDE_OUTPUT/latest"
exit "$KINGTIDE_PARAM_CODE"
"#;

const JOB: &str = "command = [\"./program\", \"--dest={dest}\", \"{{}}\", \"{deep}\", \"\"]
env = { MODEL = \"{dest}-{code}\" }
secrets = [\"TOKEN\"]
cpu = 1.5
retries = 1
backoff = { first = \"0s\" }
on_exit = { 3 = \"skip\", 5 = \"reject\" }";

fn messages() -> Vec<Value> {
    let of = |dest: &str, code: i32, more: Value| json!({ "dest": dest, "code": code, "deep": { "a": [1, null, "é"] }, "long": more });
    vec![
        of("BOS", 0, Value::Null),
        of(
            "a 'quoted' \"text\" with $HOME, {braces} and\nlines",
            0,
            json!([1.5, 2]),
        ),
        of("Zürich ✈", 1, json!("x".repeat(1000))),
        of("skipped", 3, json!(true)),
        of("rejected", 5, json!(12_345_678_901_234_567_u64)),
        of("long", 0, json!("é".repeat(100_000))),
    ]
}

/// Without the times before its lines.
fn unstamped(log: &str) -> String {
    let line = |line: &str| line.get(25..).unwrap_or(line).to_owned();
    log.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_program_sees_the_same_here_and_there() {
    let messages = messages();
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let toml = format!("[project]\nname = \"p\"\n[job.j]\nparams = \"messages.jsonl\"\n{JOB}\n");
    let here = TestProject::new(kingtide(env!("CARGO_BIN_EXE_kingtide-worker")))
        .toml(&toml)
        .file("messages.jsonl", &lines)
        .program("program", PROGRAM)
        .env("TOKEN", "s3cr3t-t0k3n");
    // Some of them fail, which is what they are for.
    let _ = here.run(&["run", "j"]);

    let mut there = World::new(JOB);
    there.env.insert("TOKEN".to_owned(), "s3cr3t-t0k3n".to_owned());
    std::fs::copy(here.path().join("program"), there.work.path().join("program")).expect("it is copied");
    for (seq, message) in (1..).zip(&messages) {
        there.send(seq, message);
    }
    there.drain();

    let keys = there.keys();
    for (seq, message) in (1..).zip(&messages) {
        let task = there.task(seq).expect("it is there");
        for attempt in &task.attempts {
            let id = RunId(12).task(seq).attempt(attempt.number);
            let local = here.read(&format!(".kingtide/logs/j-1/{seq}.{}.log", attempt.number));
            let remote = there.text(&keys.log(id)).replace("j-12", "j-1");
            assert_eq!(unstamped(&local), unstamped(&remote), "the log of {message}");
            assert!(remote.contains("nothing is there"), "{remote}");
        }
        let next = task.attempts.len() + 1;
        assert!(
            !here.exists(&format!(".kingtide/logs/j-1/{seq}.{next}.log")),
            "as many attempts of {message}"
        );
        let id = RunId(12).task(seq).attempt(1);
        let manifest = format!(".kingtide/outputs/j-1/{seq}/manifest.json");
        let is_success = task.state() == TaskState::Succeeded;
        assert_eq!(here.exists(&manifest), is_success, "{message}");
        if is_success {
            let remote = there.text(&format!("{}manifest.json", keys.output(id)));
            assert_eq!(here.read(&manifest), remote, "the output of {message}");
        }
    }
    let rows = here.run(&["results", "j-1", "--json"]).expect_code(0).stdout;
    let done: Vec<i64> = (1..=messages.len() as i64)
        .filter(|seq| there.state(*seq) == Some(TaskState::Succeeded))
        .collect();
    assert_eq!(done, [1, 6], "what the second leaves is no JSON, here and there");
    for seq in done {
        let result = there.text(&keys.result(RunId(12).task(seq).attempt(1)));
        let result: Value = serde_json::from_str(&result).expect("JSON");
        assert_eq!(result["token"], "***");
        let dest = result["dest"].to_string();
        assert!(rows.contains(dest.trim_matches('"')), "{dest} is in {rows}");
    }
}
