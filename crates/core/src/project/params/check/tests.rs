//! Rows as users write them, and what is said of each.

use super::*;
use crate::project::load;
use crate::project::params::Rows;

fn job(keys: &str) -> Job {
    let (project, findings) = load(&format!("[project]\nname = \"p\"\n[job.j]\n{keys}"));
    project
        .unwrap_or_else(|| panic!("{findings:?}"))
        .jobs
        .remove("j")
        .expect("it is there")
}

fn check(keys: &str, csv: &str) -> Vec<String> {
    let job = job(keys);
    let mut check = RowCheck::new(&job, Some("p.csv"));
    Rows::from_file("p.csv", csv.as_bytes())
        .expect("a CSV file")
        .for_each(|row| check.look(&row));
    check.finish().0.iter().map(shown).collect()
}

fn shown(finding: &Finding) -> String {
    let line = match &finding.place {
        Some(Place::Line { line, .. }) => line.to_string(),
        Some(Place::File { .. }) => "file".to_owned(),
        _ => "nowhere".to_owned(),
    };
    let help = finding
        .help
        .as_deref()
        .map_or(String::new(), |help| format!(" [{help}]"));
    format!(
        "{line}: {} {}: {}{help}",
        finding.severity, finding.code, finding.message
    )
}

const COMMAND: &str = "command = [\"train\", \"{dest}\"]";

#[test]
fn good_rows_are_passed_over() {
    assert_eq!(check(COMMAND, "dest\nBOS\nLAX\n"), [""; 0]);
}

#[test]
fn a_placeholder_without_a_column_is_said_once() {
    assert_eq!(
        check(COMMAND, "dst\nBOS\nLAX\n"),
        [
            "2: error missing-parameter: nothing fills the placeholder `{dest}`: rows 2 and 3 have no parameter `dest` \
          [did you mean `{dst}`?]"
        ]
    );
}

#[test]
fn a_row_that_lacks_what_others_have_is_named() {
    let job = job(COMMAND);
    let mut check = RowCheck::new(&job, None);
    let bodies = [r#"{"dest":"BOS"}"#, r#"{"depth":4}"#, r#"{"dest":"LAX"}"#];
    let messages = bodies.map(|body| Message::parse(body).expect("an object"));
    Rows::inline(&messages).for_each(|row| check.look(&row));
    assert!(check.has_errors());
    let findings = check.finish();
    assert_eq!(findings.0.len(), 1);
    assert!(
        findings.0[0].message.contains("row 2 has no parameter `dest`"),
        "{findings:?}"
    );
}

#[test]
fn our_own_names_are_refused() {
    let said = check("command = [\"x\"]", "Task,a-b,a_b\n1,2,3\n");
    assert!(said[0].starts_with("2: error reserved-name: `Task`"), "{said:?}");
    assert!(
        said[1].starts_with("2: warning alike-names: `a-b` and `a_b`"),
        "{said:?}"
    );
}

#[test]
fn duplicates_are_counted_and_run() {
    let said = check(COMMAND, "dest\nBOS\nLAX\nBOS\nLAX\nLAX\n");
    assert_eq!(
        said,
        ["4: warning duplicate-rows: 3 rows repeat an earlier one, lines 2 and 4 first; all are run"]
    );
}

#[test]
fn nothing_to_run_is_an_error() {
    assert!(check(COMMAND, "dest\n")[0].starts_with("file: error empty-params"));
    assert!(check(COMMAND, "")[0].starts_with("file: error empty-params"));
}

#[test]
fn findings_are_capped() {
    let said = check("command = [\"x\"]", &format!("a,b\n{}", "1\n".repeat(1000)));
    assert_eq!(said.len(), 21);
    assert_eq!(
        said[20],
        "nowhere: error more-findings: and 980 more about the parameters"
    );
}

#[test]
fn what_is_too_long_is_found_before_it_fails() {
    let long = "x".repeat(MAX_STRING_BYTES + 1);
    let said = check(COMMAND, &format!("dest\n{long}\n"));
    assert!(
        said[0].starts_with("2: error parameter-too-large: argument 1 has 131072 bytes"),
        "{said:?}"
    );
    assert_eq!(
        check("command = [\"x\"]", &format!("dest\n{long}\n")),
        [""; 0],
        "it comes in a file"
    );
    let said = check(
        "command = [\"x\"]\nenv = { A = \"{dest}\" }",
        &format!("dest\n{long}\n"),
    );
    assert!(said[0].contains("the variable `A` has"), "{said:?}");
    let said = check(COMMAND, &format!("dest\n{}\n", "x".repeat(MAX_BODY_BYTES)));
    assert!(said[0].starts_with("2: error message-too-large"), "{said:?}");
    let said = check(
        &format!("command = [\"x\"{}]", ", \"{a}\"".repeat(20)),
        &format!("a\n{}\n", "x".repeat(100_000)),
    );
    assert!(said[0].contains("bytes together"), "{said:?}");
}

#[test]
fn a_zero_byte_is_found() {
    let job = job("command = [\"x\"]");
    let mut check = RowCheck::new(&job, None);
    check.look(&Ok(Row {
        line: 1,
        message: Message::parse(r#"{"a":"x\u0000"}"#).expect("an object"),
    }));
    assert_eq!(check.finish().0[0].code, "zero-byte");
}

#[test]
fn a_row_keeps_sixteen_bytes() {
    assert_eq!(size_of::<(i64, u64)>(), 16);
}
