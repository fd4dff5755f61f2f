//! Whatever the bytes, reading them neither panics nor points outside of them.

use kingtide_core::finding::{Findings, Place};
use kingtide_core::id::RunId;
use kingtide_core::project::params::{Params, RowCheck, Rows};
use kingtide_core::project::{Job, Surroundings, check_surroundings, load, load_bytes, wanted};
use proptest::prelude::*;

const SEED: &str = include_str!("../src/project/complete.toml");

/// Pieces that a file of this kind is made of, and some that break it.
const PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "'",
    "=",
    ",",
    "\n",
    "\r",
    "#",
    ".",
    "-",
    "\\",
    "\\u0000",
    "\u{feff}",
    "\0",
    "ß",
    "[job.a]",
    "[[job]]",
    "[job]",
    "command",
    "command = []",
    "params = ",
    "matrix",
    "{dest}",
    "{{",
    "}}",
    "1e999",
    "nan",
    "-0",
    "99999999999999999999",
    "0x1",
    "1979-05-27",
    "true",
    "\"5%\"",
    "\"-1s\"",
    "\"99999999999y\"",
    "\"1e9EiB\"",
    "\".\"",
    "secrets = {",
    "env = {",
    "backoff = {}",
    "on_exit = { 1 = ",
    "workdir = \"\"",
    "sh",
    "-c",
];

const PUNCTUATION: &[u8] = b"[]{}\",:\n\r\\ ab1";

fn well_placed(findings: &Findings, source: &str) {
    for finding in &findings.0 {
        if let Some(Place::Project(span)) = &finding.place {
            assert!(
                source.get(span.clone()).is_some(),
                "{finding:?} points outside of {source:?}"
            );
        }
    }
}

fn whole(source: &str) {
    let (project, findings) = load(source);
    well_placed(&findings, source);
    assert_eq!(project.is_none(), findings.has_errors(), "{findings:?}");
    let Some(project) = project else { return };
    wanted(&project);
    well_placed(&check_surroundings(source, &project, &Surroundings::default()), source);
    for job in project.jobs.values() {
        let Some(params @ (Params::Inline(_) | Params::Matrix(_))) = &job.params else {
            continue;
        };
        let rows = params.rows(|_| Err::<&[u8], _>(std::io::Error::other("no file is asked for")));
        for row in rows.expect("no file is asked for").take(100) {
            let message = row.expect("rows of the project are read").message;
            let attempt = RunId(1).task(1).attempt(1);
            kingtide_core::contract::invocation(job, &message, attempt, "a-1", |_| false).expect("the row was checked");
        }
    }
}

fn any_job() -> Job {
    load(SEED)
        .0
        .expect("it is right")
        .jobs
        .remove("few")
        .expect("it is there")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(source in "\\PC*") {
        whole(&source);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, findings) = load_bytes(&bytes);
        well_placed(&findings, &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_soup_of_pieces(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..30)) {
        whole(&pieces.concat());
    }

    #[test]
    fn a_good_file_with_bad_places(
        edits in proptest::collection::vec((0..SEED.len(), 0..12_usize, proptest::sample::select(PIECES)), 1..4),
    ) {
        let mut source = SEED.to_owned();
        for (at, length, piece) in edits {
            let start = source.floor_char_boundary(at.min(source.len()));
            let end = source.ceil_char_boundary((start + length).min(source.len()));
            source.replace_range(start..end, piece);
        }
        whole(&source);
    }

    #[test]
    fn a_good_file_with_bad_bytes(at in 0..SEED.len(), byte in any::<u8>()) {
        let mut bytes = SEED.as_bytes().to_vec();
        bytes[at] = byte;
        let (_, findings) = load_bytes(&bytes);
        well_placed(&findings, &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_parameters(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(PUNCTUATION)], 0..200),
        name in proptest::sample::select(&["p.csv", "p.jsonl", "p.json"][..]),
        size in 1..20_usize,
    ) {
        let job = any_job();
        let mut check = RowCheck::new(&job, Some(name));
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let cut = std::io::BufReader::with_capacity(size, &bytes[..]);
        let rows: Vec<_> = Rows::from_file(name, cut).expect("a known kind").collect();
        prop_assert_eq!(&rows, &Rows::from_file(name, &bytes[..]).expect("a known kind").collect::<Vec<_>>());
        for row in &rows {
            if let Ok(row) = row {
                prop_assert!((1..=lines).contains(&row.line));
            }
            check.look(row);
        }
        for finding in check.finish().0 {
            if let Some(Place::Line { line, .. }) = finding.place {
                prop_assert!((1..=lines).contains(&line), "line {} of {}", line, lines);
            }
        }
    }
}
