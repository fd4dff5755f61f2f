//! `results`: parameters, state, figures and the programs' own columns in one table, however ragged and nested they are.

use kingtide_testkit::TestProject;
use serde_json::Value;

const PROGRAM: &str = r#"#!/bin/sh
case $KINGTIDE_TASK in
1) printf '%s\n' '{"mae":1.25,"model":{"depth":4,"rates":[0.1,0.2]},"note":"plain"}' ;;
2) printf '%s\n' '{"mae":2,"note":"a, \"quoted\"\nline"}'; printf '%s\n' '{"mae":"none","late":true}' ;;
3) ;;
4) exit 3 ;;
esac > $KINGTIDE_RESULT
"#;

fn project() -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(
            r#"
[project]
name = "results"

[job.it]
command = ["./program"]
params = [{ dest = "BOS" }, { dest = "LAX", mae = 1 }, { dest = "ZÜRICH" }, { dest = "SFO" }]
on_exit = { 3 = "skip" }
"#,
        )
        .program("program", PROGRAM)
}

/// The columns whose values differ from run to run, replaced.
fn steady(csv: &str) -> String {
    let mut reader = csv::ReaderBuilder::new().from_reader(csv.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let mut text = header.iter().collect::<Vec<_>>().join(" | ") + "\n";
    for record in reader.records() {
        let record = record.expect("a record");
        let cells = header.iter().zip(&record).map(|(name, cell)| match name {
            "seconds" | "memory_peak" if !cell.is_empty() => "[NUMBER]".to_owned(),
            _ => cell.escape_debug().to_string(),
        });
        text += &(cells.collect::<Vec<_>>().join(" | ") + "\n");
    }
    text
}

#[test]
fn ragged_and_nested_results_are_one_table() {
    let project = project();
    project.run(&["run", "it"]).expect_code(0);
    let csv = project.run(&["results", "--format", "csv"]).expect_code(0).stdout;
    insta::assert_snapshot!("csv", steady(&csv));
    // Piped, CSV is what one gets.
    assert_eq!(project.run(&["results"]).expect_code(0).stdout, csv);

    let jsonl = project
        .run(&["results", "it-1", "--format", "jsonl"])
        .expect_code(0)
        .stdout;
    let rows: Vec<Value> = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(rows.len(), 5);
    let keys = |row: &Value| row.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert!(
        rows.iter().all(|row| keys(row) == keys(&rows[0])),
        "each row has all columns"
    );
    assert_eq!(project.run(&["results", "--json"]).expect_code(0).stdout, jsonl);

    let table = project.run(&["results", "--format", "table"]).expect_code(0).stdout;
    assert!(table.contains("ZÜRICH") && table.contains("skipped"), "{table}");
    assert_eq!(
        table.lines().count(),
        6,
        "line breaks in values break no line:\n{table}"
    );
}

#[test]
fn many_columns_and_few_rows() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml("[project]\nname = \"wide\"\n[job.it]\ncommand = [\"./program\"]\n")
        .program(
            "program",
            "#!/bin/sh\n(printf '{'; i=0; while [ $i -lt 600 ]; do printf '\"c%s\":%s,' $i $i; i=$((i+1)); done; printf '\"last\":1}') > $KINGTIDE_RESULT\n",
        );
    project.run(&["run", "it"]).expect_code(0);
    let csv = project.run(&["results", "--format", "csv"]).expect_code(0).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let record = reader.records().next().expect("a record").expect("whole");
    assert_eq!(header.len(), record.len());
    assert!(csv.contains("599"), "nothing is lost");
}
