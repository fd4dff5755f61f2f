//! The examples, copied elsewhere and run as their README says. Of `flight-delays` a few destinations are trained, among
//! them both that have too few flights; the whole takes minutes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kingtide_testkit::TestProject;
use kingtide_testkit::patience::eventually;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// A copy of an example in a folder of its own.
fn copied(name: &str) -> TestProject {
    let mut project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"));
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(example(name).join(&folder)).expect("the example is there") {
            let entry = entry.expect("its entries can be read");
            let path = folder.join(entry.file_name());
            match entry.file_type().expect("it has a type").is_dir() {
                true if entry.file_name() == ".kingtide" || entry.file_name() == "__pycache__" => {}
                true => folders.push(path),
                false => {
                    let contents = std::fs::read(entry.path()).expect("it can be read");
                    project = project.file(&path.to_string_lossy(), contents);
                }
            }
        }
    }
    project
}

#[test]
fn heavy_flight_delays_trains_models() {
    let Some(wheels) = std::env::var_os("KINGTIDE_TEST_WHEELS") else {
        eprintln!("skipped: KINGTIDE_TEST_WHEELS names no folder of Python packages; `cargo xtask check` fetches them");
        return;
    };
    let project = copied("flight-delays")
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", wheels);
    project.write("some.csv", "dest\nBOS\nLEX\nLGA\nHNL\nANC\n");

    let run = project
        .run(&["run", "retrain", "--params", "some.csv", "--json"])
        .expect_code(0);
    let last: serde_json::Value =
        serde_json::from_str(run.stdout.lines().last().expect("a last line")).expect("the last line is JSON");
    assert_eq!(last["state"], "succeeded", "{last}");
    assert_eq!(
        (&last["tasks"]["succeeded"], &last["tasks"]["skipped"]),
        (&3.into(), &2.into()),
        "{last}"
    );

    let results = project.run(&["results", "--format", "jsonl"]).expect_code(0);
    let mut trained = 0;
    for line in results.stdout.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("a row is JSON");
        if row["state"] == "succeeded" {
            trained += 1;
            let (mae, naive) = (row["mae"].as_f64(), row["naive_mae"].as_f64());
            assert!(mae.is_some_and(|mae| mae > 0.0) && naive.is_some(), "{row}");
            let model = format!(".kingtide/outputs/retrain-1/{}", row["task"]);
            assert!(
                project.exists(&format!("{model}/manifest.json")),
                "{model} has no manifest"
            );
        } else {
            assert_eq!(row["state"], "skipped", "{row}");
        }
    }
    assert_eq!(trained, 3);
}

/// A container engine, and the images that the examples' Dockerfiles begin with, made of this machine's own programs: no
/// registry can be asked. `None` where none can run.
fn engine(example: &str) -> Option<OsString> {
    let Some(host) = std::env::var_os("KINGTIDE_TEST_DOCKER") else {
        eprintln!("skipped: KINGTIDE_TEST_DOCKER names no container engine; `cargo xtask check` starts one");
        return None;
    };
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/images");
    let mut script = std::process::Command::new("sh");
    script.env("DOCKER_HOST", &host);
    match example {
        "consumer" => {
            let Some(packages) = std::env::var_os("KINGTIDE_TEST_BOTO") else {
                eprintln!(
                    "skipped: KINGTIDE_TEST_BOTO names no folder of Python packages; `cargo xtask check` installs them"
                );
                return None;
            };
            script
                .arg(images.join("python.sh"))
                .arg("python:3.11-slim")
                .arg(Path::new(&packages).join("boto3"));
        }
        _ => {
            script.arg(images.join("busybox.sh")).arg("busybox:1.36");
        }
    }
    let made = script.output().expect("sh starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(host)
}

#[test]
fn heavy_container_counts_words() {
    let Some(host) = engine("container") else { return };
    let project = copied("container").env("DOCKER_HOST", host);
    let run = project.run(&["run", "count", "--json"]).expect_code(0);
    let last: serde_json::Value =
        serde_json::from_str(run.stdout.lines().last().expect("a last line")).expect("the last line is JSON");
    assert_eq!(
        (&last["tasks"]["succeeded"], &last["tasks"]["skipped"]),
        (&2.into(), &1.into()),
        "{last}"
    );
    let results = project.run(&["results", "--format", "csv"]).expect_code(0);
    assert!(results.stdout.contains("preamble.txt,succeeded"), "{}", results.text());
    assert!(project.exists(".kingtide/outputs/count-1/1/words.txt"));
}

#[test]
fn heavy_consumer_works_off_what_is_sent_and_survives_a_kill() {
    let Some(host) = engine("consumer") else { return };
    let project = copied("consumer").env("DOCKER_HOST", &host);
    let mut up = project.spawn(&["up", "--sqs", "127.0.0.1:0", "--web", "127.0.0.1:0"]);
    up.wait_for_line("kingtide is up");
    for n in 1..=6 {
        let invoice = format!("invoice=n{n}");
        project
            .run(&["send", "invoices", &invoice, "pages=2", "seconds=5"])
            .expect_code(0);
    }
    let containers = || {
        let listed = std::process::Command::new("docker")
            .env("DOCKER_HOST", &host)
            .args(["ps", "--all", "--quiet", "--filter", "label=kingtide.job=invoices"])
            .output()
            .expect("docker answers");
        String::from_utf8_lossy(&listed.stdout).lines().count()
    };
    let logs = || {
        let folder = project.path().join(".kingtide/logs/invoices-consumers");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        texts.collect::<String>()
    };
    // Building the image takes a while; then as many work as may, and Kingtide is killed in the middle of it.
    eventually("four messages are held", Duration::from_secs(120), || {
        let status = project.run(&["queue", "ls", "--json"]);
        status.stdout.contains("\"in_flight\":4").then_some(())
    });
    up.kill();
    let mut up = project.spawn(&["up", "--sqs", "127.0.0.1:0", "--web", "127.0.0.1:0"]);
    up.wait_for_line("kingtide is up");
    eventually("everything is worked off", Duration::from_secs(120), || {
        let status = project.run(&["status", "--json"]);
        status.stdout.contains("\"state\":\"succeeded\"").then_some(())
    });
    eventually("no container is left", Duration::from_secs(30), || {
        (containers() == 0).then_some(())
    });
    up.signal(rustix::process::Signal::TERM);
    up.wait().expect_code(0);
    let status = project.run(&["status", "--json"]).expect_code(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(status["tasks"]["succeeded"], 6, "{status}");
    assert_eq!(
        status["tasks"]["attempts"], 6,
        "containers were adopted with what they held: {status}"
    );
    let said = logs();
    for n in 1..=6 {
        assert_eq!(said.matches(&format!("invoice n{n}:")).count(), 1, "{said}");
    }
}
