//! Summaries as people see them.

use super::*;

#[test]
fn a_run_that_succeeded() {
    insta::assert_snapshot!(render(&sample::succeeded(), Style::plain()));
}

#[test]
fn a_run_that_failed() {
    insta::assert_snapshot!(render(&sample::failed(), Style::plain()));
}

#[test]
fn a_run_left_unfinished() {
    let mut facts = sample::failed();
    facts.run.state = RunState::Open;
    facts.run.reason = None;
    facts.run.counts.succeeded = 40;
    insta::assert_snapshot!(render(&facts, Style::plain()));
}

#[test]
fn advice_on_memory() {
    let with = |memory: Option<u64>, peak: u64, killed| {
        let mut facts = sample::succeeded();
        facts.memory = memory;
        if let Some(seen) = &mut facts.peak {
            seen.memory = peak;
        }
        if killed > 0 {
            facts.totals.outcomes.insert(Outcome::OutOfMemory, killed);
        }
        super::memory(&facts).expect("something to say")
    };
    let said = [
        with(Some(2 << 30), 412 << 20, 0),
        with(Some(2 << 30), 1500 << 20, 0),
        with(Some(2 << 30), 2000 << 20, 0),
        with(None, 30 << 20, 0),
        with(Some(1 << 30), 1 << 30, 3),
        with(Some(64 << 30), 20 << 30, 0),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_task_is_named_so_that_a_shell_understands_it() {
    let named = |body| naming(&sample::message(body), 37);
    assert_eq!(named(r#"{"dest":"BOS","depth":4}"#), "dest=BOS depth=4");
    assert_eq!(named(r#"{"dest":"New York"}"#), "37");
    assert_eq!(named(r#"{"dest":"$HOME"}"#), "37");
    assert_eq!(named(r#"{}"#), "37");
}
