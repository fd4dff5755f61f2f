//! `clean`: nothing goes while another works on the project, and `--dry-run` names all that would.

use kingtide_testkit::{TestProject, assert_no_process_left};
use serde_json::{Value, json};

const TOML: &str = "[project]\nname = \"clean\"\n[job.work]\ncommand = [\"./work\"]\n\
                    [job.long]\ncommand = [\"sh\", \"-c\", \"echo begun > begun; while [ ! -e go ]; do sleep 0.02; done\"]\n";

/// A project after one run of `work`, which left a log and an output.
fn project() -> TestProject {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(TOML).program(
        "work",
        "#!/bin/sh\necho hello\necho model > \"$KINGTIDE_OUTPUT/model\"\n",
    );
    project.run(&["run", "work"]).expect_code(0);
    project
}

fn left(project: &TestProject) -> [bool; 2] {
    [
        project.exists(".kingtide/outputs/work-1/1/model"),
        project.exists(".kingtide/logs/work-1/1.1.log"),
    ]
}

fn answer(project: &TestProject, args: &[&str]) -> Value {
    let output = project.run(args).expect_code(0);
    serde_json::from_str(&output.stdout).expect("one line of JSON")
}

#[test]
fn it_is_refused_before_anything_is_gone_while_another_works_here() {
    let project = project();
    assert_eq!(left(&project), [true, true]);
    let running = project.spawn(&["run", "long"]);
    kingtide_testkit::patience::eventually("the program runs", kingtide_testkit::patience::PATIENCE, || {
        project.exists("begun").then_some(())
    });
    let refused = project.run(&["clean", "--keep", "0"]).expect_code(1);
    assert!(refused.stderr.contains("kingtide cancel"), "{}", refused.text());
    assert_eq!(left(&project), [true, true], "nothing may be gone");
    // Who only looks is in nobody's way.
    assert_eq!(
        answer(&project, &["clean", "--keep", "0", "--dry-run", "--json"])["runs"],
        json!([1])
    );
    project.write("go", "");
    assert_eq!(running.wait().code, 0);
    project.run(&["clean", "--keep", "0"]).expect_code(0);
    assert_eq!(left(&project), [false, false]);
    assert_no_process_left(project.root());
}

#[test]
fn a_dry_run_counts_what_goes_and_leaves_it() {
    let project = project();
    let environment = project.cache().join("kingtide/python/0123456789abcdef");
    std::fs::create_dir_all(&environment).expect("a folder");
    std::fs::write(environment.join("half"), vec![b'x'; 50_000]).expect("a file");
    // Older than a nanosecond: all that is over.
    let clean = ["clean", "--older", "1ns", "--json"];
    let looked = answer(&project, &[&clean[..], &["--dry-run"]].concat());
    assert_eq!(
        (&looked["runs"], &looked["environments"]),
        (&json!([1]), &json!(1)),
        "{looked}"
    );
    assert!(
        environment.exists() && left(&project) == [true, true],
        "a look removes nothing"
    );
    let cleaned = answer(&project, &clean);
    assert_eq!(
        (&cleaned["runs"], &cleaned["environments"]),
        (&looked["runs"], &looked["environments"])
    );
    assert!(!environment.exists() && left(&project) == [false, false]);
}
