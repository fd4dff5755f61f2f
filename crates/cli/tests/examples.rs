//! The examples, copied elsewhere and run as their README says. Of `flight-delays` a few destinations are trained, among
//! them both that have too few flights; the whole takes minutes.

use std::path::{Path, PathBuf};

use kingtide_testkit::TestProject;

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
