//! A job with `python = "requirements.txt"`: its environment is made on first use and is there the next time.

use kingtide_testkit::TestProject;

/// Without a package to fetch, so that it needs no network.
#[test]
fn an_environment_is_made_once_and_used_again() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(
            r#"
[project]
name = "python"

[job.it]
command = ["python", "-c", "import sys; print(sys.prefix)"]
python = "requirements.txt"
"#,
        )
        .file("requirements.txt", "# nothing is needed\n");
    let first = project.run(&["run", "it"]).expect_code(0);
    let prefix = |run: &str| {
        let log = project.run(&["logs", run]).expect_code(0).stdout;
        log.trim_end()
            .rsplit_once("Z ")
            .expect("a line with its time")
            .1
            .to_owned()
    };
    let environment = prefix("it-1");
    assert!(
        environment.starts_with(&*project.cache().to_string_lossy()),
        "{environment}: {}",
        first.stderr
    );
    let made = std::fs::metadata(&environment)
        .and_then(|folder| folder.modified())
        .expect("it is there");
    project.run(&["run", "it"]).expect_code(0);
    assert_eq!(prefix("it-2"), environment);
    let then = std::fs::metadata(&environment)
        .and_then(|folder| folder.modified())
        .expect("it is there");
    assert_eq!(made, then, "it was not made again");
}

#[test]
fn requirements_that_cannot_be_had_start_nothing() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(
            r#"
[project]
name = "python"

[job.it]
command = ["touch", "started"]
python = "requirements.txt"
"#,
        )
        .file("requirements.txt", "--no-index\nno-such-package-of-kingtide==1.0\n");
    let output = project.run(&["run", "it"]);
    assert!([1, 3].contains(&output.code), "{}", output.text());
    assert!(
        output.stderr.contains("no-such-package-of-kingtide"),
        "{}",
        output.text()
    );
    assert!(!project.exists("started"));
}
