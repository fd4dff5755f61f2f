//! What the checker says about being done in time.

use kingtide_core::project::{self, Surroundings, load};
use kingtide_core::time::Timestamp;

/// 2026-11-24T18:00:00Z.
const NOW: Timestamp = Timestamp(1_795_543_200_000);

/// The codes and messages about one job with these lines.
fn said(lines: &str) -> Vec<String> {
    let source = format!("[project]\nname = \"p\"\n[job.j]\ncommand = [\"true\"]\n{lines}\n");
    let (project, mut findings) = load(&source);
    if let Some(project) = project {
        let here = Surroundings {
            programs: ["true".to_owned()].into(),
            cpu_milli: 4000,
            memory: 16 << 30,
            now: NOW,
            ..Surroundings::default()
        };
        findings
            .0
            .extend(project::check_surroundings(&source, &project, &here).0);
    }
    let text = |finding: &kingtide_core::finding::Finding| format!("{}: {}", finding.code, finding.message);
    findings.0.iter().map(text).collect()
}

#[test]
fn good_ones_are_taken_as_they_are() {
    assert_eq!(
        said("deadline = \"1h\"\nconfidence = 0.95\nexpected = \"22min\""),
        [""; 0]
    );
    assert_eq!(said("deadline = \"07:00 Europe/Zurich\""), [""; 0]);
    assert_eq!(said("[local]\ncost = { cpu_hour = 0.04, gib_hour = 0.004 }"), [""; 0]);
}

#[test]
fn bad_ones_are_explained() {
    let all = [
        "deadline = 60",
        "deadline = \"soon\"",
        "deadline = \"07:00\"",
        "deadline = \"07:00 Europe/Zuerich\"",
        "deadline = \"0s\"",
        "deadline = \"1h\"\nconfidence = 90",
        "deadline = \"1h\"\nconfidence = 1.0",
        "deadline = \"1h\"\nconfidence = 0",
        "confidence = 0.9",
        "deadline = \"10min\"\nexpected = \"22min\"",
        "deadline = \"2h\"\nmax_duration = \"1h\"",
        "expected = \"0s\"",
        "[local]\ncost = { cpu_hour = -1.0 }",
        "[local]\ncost = { cpu = 1.0 }",
        // Skipped on a Sunday in March, there twice on one in October.
        "deadline = \"02:30 Europe/Zurich\"",
    ];
    let told: Vec<String> = all
        .iter()
        .map(|lines| format!("{}\n    {}", lines.replace('\n', " · "), said(lines).join("\n    ")))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}
