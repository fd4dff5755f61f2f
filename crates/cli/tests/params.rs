//! Files of parameters as people have them: ragged, in another encoding, with a mark, empty, huge. Each either runs or is
//! told apart before anything starts.

use kingtide_testkit::TestProject;

const TOML: &str = r#"
[project]
name = "params"

[job.hello]
command = ["echo", "{dest}"]
params = "params.csv"
"#;

fn project(params: impl AsRef<[u8]>) -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(TOML)
        .file("params.csv", params)
}

/// What `run` says about parameters that are wrong; nothing may have started.
#[track_caller]
fn refused(project: &TestProject) -> String {
    let output = project.run(&["run", "hello"]).expect_code(3);
    assert_eq!(output.stdout, "");
    assert!(!project.exists(".kingtide"), "nothing was started");
    project.redactor().redact(&output.stderr)
}

#[test]
fn ragged_rows_are_named() {
    insta::assert_snapshot!(refused(&project("dest,depth\nBOS,4\nLAX\nSFO,4,8\nJFK,8\n")));
}

#[test]
fn a_placeholder_without_a_column() {
    insta::assert_snapshot!(refused(&project("dst,depth\nBOS,4\nLAX,8\n")));
}

#[test]
fn a_row_without_a_value_is_named() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&TOML.replace("params.csv", "params.jsonl"))
        .file(
            "params.jsonl",
            "{\"dest\":\"BOS\"}\n{\"dst\":\"LAX\"}\n{\"dest\":\"JFK\"}\n",
        );
    insta::assert_snapshot!(refused(&project));
}

#[test]
fn another_encoding_is_named() {
    insta::assert_snapshot!(refused(&project(b"dest\nBOS\nZ\xfcrich\n")));
}

#[test]
fn an_empty_file_and_one_with_names_only() {
    insta::assert_snapshot!("empty", refused(&project("")));
    insta::assert_snapshot!("names only", refused(&project("dest\n")));
}

#[test]
fn names_that_are_ours() {
    insta::assert_snapshot!(refused(&project("dest,run,output\nBOS,1,x\n")));
}

#[test]
fn json_that_is_none() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&TOML.replace("params.csv", "params.jsonl"))
        .file("params.jsonl", "{\"dest\":\"BOS\"}\n{\"dest\": LAX}\n[1]\n");
    insta::assert_snapshot!(refused(&project));
}

#[test]
fn no_such_file_and_no_such_format() {
    let none = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(TOML);
    insta::assert_snapshot!("no such file", refused(&none));
    let parquet = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&TOML.replace("params.csv", "params.parquet"))
        .file("params.parquet", "PAR1");
    insta::assert_snapshot!("no such format", refused(&parquet));
}

/// A mark, Windows line ends, quotes with commas and line ends in them: all of it is a CSV file.
#[test]
fn what_spreadsheets_write() {
    let project = project("\u{feff}dest,note\r\nBOS,\"a, b\"\r\nLAX,\"two\r\nlines\"\r\n\r\n");
    project.run(&["run", "hello"]).expect_code(0);
    let rows = project.run(&["results", "--format", "jsonl"]).expect_code(0).stdout;
    let rows: Vec<serde_json::Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).expect("JSON"))
        .collect();
    let notes: Vec<&str> = rows.iter().filter_map(|row| row["note"].as_str()).collect();
    assert_eq!(notes, ["a, b", "two\r\nlines"]);
    assert_eq!(rows[0]["dest"], "BOS");
}

#[test]
fn rows_that_are_the_same_run_as_often() {
    let project = project("dest\nBOS\nLAX\nBOS\n");
    let output = project.run(&["run", "hello", "--json"]).expect_code(0);
    assert!(output.stderr.contains("warning[duplicate-rows]"), "{}", output.stderr);
    assert!(
        output.stdout.contains("\"total\":3,\"succeeded\":3"),
        "{}",
        output.stdout
    );
    insta::assert_snapshot!(project.redactor().redact(&project.run(&["check"]).text()));
}

#[test]
fn arrays_and_matrices_in_the_file() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide")).toml(
        r#"
[project]
name = "params"

[job.matrix]
command = ["echo", "{dest}-{depth}"]
params = { matrix = { dest = ["BOS", "LAX"], depth = [4, 8] } }

[job.array]
command = ["echo", "{rate}"]
params = [{ rate = 0.5, deep = { a = [1, 2] } }, { rate = true }]
"#,
    );
    project.run(&["run", "matrix"]).expect_code(0);
    let rows = project
        .run(&["results", "matrix", "--format", "csv"])
        .expect_code(0)
        .stdout;
    let pairs: Vec<String> = rows
        .lines()
        .skip(1)
        .map(|row| row.split(',').skip(1).take(2).collect::<Vec<_>>().join("-"))
        .collect();
    assert_eq!(pairs, ["BOS-4", "BOS-8", "LAX-4", "LAX-8"]);
    project.run(&["run", "array"]).expect_code(0);
    let log = |task: &str| project.run(&["logs", "array", task]).expect_code(0).stdout;
    assert!(log("1").ends_with(" 0.5\n") && log("2").ends_with(" true\n"));
}

#[test]
fn another_file_and_filters_by_flag() {
    let project = project("dest\nBOS\n").file(
        "other.jsonl",
        "{\"dest\":\"JFK\",\"n\":1}\n{\"dest\":\"SFO\",\"n\":2}\n{\"dest\":\"JFK\",\"n\":3}\n",
    );
    let total = |args: &[&str]| {
        let mut all = vec!["run", "hello", "--json"];
        all.extend(args);
        let last: serde_json::Value =
            serde_json::from_str(project.run(&all).expect_code(0).stdout.trim_end()).expect("one line");
        last["tasks"]["total"].as_u64().expect("a number")
    };
    assert_eq!(total(&["--params", "other.jsonl"]), 3);
    assert_eq!(total(&["--params", "other.jsonl", "--only", "dest=JFK"]), 2);
    assert_eq!(
        total(&["--params", "other.jsonl", "--only", "dest=JFK", "--only", "n=3"]),
        1
    );
    assert_eq!(total(&["--params", "other.jsonl", "--only", "n=1", "--only", "n=2"]), 2);
    for args in [
        ["--only", "dest=NOWHERE"],
        ["--only", "dst=BOS"],
        ["--params", "missing.csv"],
    ] {
        let output = project.run(&["run", "hello", args[0], args[1]]).expect_code(3);
        insta::assert_snapshot!(
            format!("{} {}", args[0], args[1]),
            project.redactor().redact(&output.text())
        );
    }
}

/// Peak memory in KiB of a command, by the kernel's account.
#[expect(clippy::zombie_processes, reason = "wait4 reaps it, and says what it took")]
fn peak_kib(project: &TestProject, args: &[&str]) -> u64 {
    use std::os::unix::process::CommandExt;
    let mut command = project.command(args);
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    // A group of its own, so that a failing test leaves none.
    let child = command.process_group(0).spawn().expect("the binary starts");
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one, and both pointers outlive the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let pid = libc::pid_t::try_from(child.id()).expect("a process number");
        assert_eq!(libc::wait4(pid, &raw mut status, 0, &raw mut usage), pid);
        usage
    };
    assert_eq!(libc::WEXITSTATUS(status), 0, "{args:?}");
    u64::try_from(usage.ru_maxrss).expect("not negative")
}

#[test]
fn a_million_rows_in_flat_memory() {
    let mut rows = String::with_capacity(12 << 20);
    rows.push_str("dest,n\n");
    for n in 0..1_000_000 {
        rows.push_str("BOS,");
        rows.push_str(&n.to_string());
        rows.push('\n');
    }
    let project = project(&rows);
    for args in [vec!["check"], vec!["run", "hello", "--dry-run"]] {
        let peak = peak_kib(&project, &args);
        assert!(peak < 150 * 1024, "{args:?} took {} MiB", peak / 1024);
    }
}

/// One bad row far behind is found too, and named by its line.
#[test]
fn the_last_of_many_rows_is_read_too() {
    let mut rows = "dest\n".to_owned() + &"BOS\n".repeat(50_000);
    rows.push_str("LAX,8\n");
    let text = refused(&project(&rows));
    assert!(text.contains("params.csv:50002"), "{text}");
}

#[test]
fn bodies_up_to_a_mebibyte() {
    let body = |bytes: usize| format!("{{\"dest\":\"BOS\",\"body\":\"{}\"}}\n", "x".repeat(bytes));
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(&TOML.replace("params.csv", "params.jsonl"))
        .file("params.jsonl", body((1 << 20) - 100));
    project.run(&["run", "hello"]).expect_code(0);
    project.write("params.jsonl", body((1 << 20) + 1));
    let output = project.run(&["run", "hello"]).expect_code(3);
    insta::assert_snapshot!(project.redactor().redact(&output.stderr));
}
