//! The view of a run in a real terminal: what is seen, what keys do, and that the terminal is left as it was found.

use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::sqs::{leave, up};
use kingtide_testkit::{Terminal, TestProject, assert_no_process_left};
use rustix::process::Signal;

/// Writes some lines, and ends when the file `go` is there.
const GATED: &str = "#!/bin/sh
for epoch in 1 2 3 4 5 6; do echo \"epoch $epoch of $1\"; done
touch \"said-$1\"
while [ ! -e go ]; do sleep 0.02; done
";

/// Three tasks, two at a time.
fn project() -> TestProject {
    let toml = "[project]\nname = \"terminal\"\n[local]\ncpu = 2\n[job.work]\ncommand = [\"./work\", \"{n}\"]\n\
                params = { matrix = { n = [1, 2, 3] } }\n";
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(toml)
        .program("work", GATED)
}

/// Waits until the first two tasks have written what they have to say, and it is in their logs.
#[track_caller]
fn await_logs(project: &TestProject) {
    for seq in [1, 2] {
        let log = project.path().join(format!(".kingtide/logs/work-1/{seq}.1.log"));
        eventually("its log is written", PATIENCE, || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.contains("epoch 6").then_some(())
        });
    }
}

/// Before the first frame nobody listens.
#[track_caller]
fn await_keys(terminal: &Terminal) {
    eventually("keys are listened to", PATIENCE, || {
        (!terminal.is_as_usual()).then_some(())
    });
}

#[track_caller]
fn assert_left_as_found(terminal: Terminal, code: i32) -> String {
    eventually("the terminal is as it was", PATIENCE, || {
        terminal.is_as_usual().then_some(())
    });
    let (ended, text) = terminal.wait();
    assert_eq!(ended, code, "{text}");
    text
}

#[test]
fn a_run_of_this_process_is_seen_and_asked_about() {
    let project = project();
    let mut terminal = project.terminal(&["run", "work"], 80, 24);
    await_logs(&project);
    terminal.wait_for("2 running");
    await_keys(&terminal);
    let text = terminal.wait_for("? keys");
    assert!(text.contains("work-1  ╍╍╍"), "a bar: {text}");
    assert!(text.contains("0/3  0 %"), "{text}");
    terminal.press("t");
    let text = terminal.wait_for("│ epoch 6 of 2");
    assert!(text.contains("work-1: 2 running\n"), "{text}");
    assert!(
        text.contains("│ epoch 2 of 1") && !text.contains("epoch 1 of"),
        "the last five lines: {text}"
    );
    terminal.press("q");
    terminal.wait_for("work-1 runs in this process: Ctrl-C stops it");
    terminal.press("?");
    terminal.wait_for("t       what runs");
    // Narrower and wider: there is one region, and what was printed stays.
    for (columns, rows, has_room) in [(40, 20, false), (120, 30, true)] {
        terminal.resize(columns, rows);
        terminal.wait_until("one region", |text| {
            text.matches("2 running · 1 waiting").count() == 1 && text.contains("memory") == has_room
        });
    }
    project.write("go", "");
    terminal.wait_for("work-1 succeeded");
    let text = assert_left_as_found(terminal, 0);
    assert!(!text.contains("? keys"), "the region is gone: {text}");
    assert!(text.contains("│ epoch 6 of 2"), "what was printed stays: {text}");
    assert_no_process_left(project.root());
}

#[test]
fn a_run_of_another_process_is_left_by_a_key() {
    let project = project();
    let (mut up, _) = up(&project);
    let mut terminal = project.terminal(&["run", "work"], 80, 24);
    await_logs(&project);
    terminal.wait_for("2 running");
    await_keys(&terminal);
    terminal.signal(Signal::USR1);
    terminal.wait_for("│ epoch 6 of 2");
    terminal.press("q");
    terminal.wait_for("work-1 goes on; `kingtide cancel work-1` ends it");
    assert_left_as_found(terminal, 5);
    // The same view for whoever comes later, and the same way out.
    for (key, signal) in [(Some("q"), None), (Some("\x03"), None), (None, Some(Signal::TERM))] {
        let mut watching = project.terminal(&["status", "--watch"], 80, 24);
        watching.wait_for("slots 2/2");
        await_keys(&watching);
        if let Some(key) = key {
            watching.press(key);
        }
        if let Some(signal) = signal {
            watching.signal(signal);
        }
        watching.wait_for("work-1 is running: 0 of 3 tasks done");
        assert_left_as_found(watching, 5);
    }
    // `up` itself answers without a terminal, and lives on.
    up.signal(Signal::USR1);
    up.wait_for_line("work-1: 2 running");
    up.wait_for_line("│ epoch 6 of 2");
    project.write("go", "");
    project.run(&["status", "--watch", "--quiet"]).expect_code(0);
    leave(up);
    assert_no_process_left(project.root());
}

#[test]
fn the_terminal_is_put_back_on_every_way_out() {
    let ways = [("\x1c", 128 + 3, "Ctrl-\\"), ("\x03\x03", 5, "Ctrl-C twice")];
    for (keys, code, what) in ways {
        let project = project();
        let mut terminal = project.terminal(&["run", "work"], 80, 24);
        terminal.wait_for("2 running");
        await_keys(&terminal);
        for key in keys.chars() {
            terminal.press(&key.to_string());
            if code == 5 {
                terminal.wait_for("nothing new starts");
            }
        }
        let text = assert_left_as_found(terminal, code);
        assert!(!text.contains("? keys"), "{what}: the region is gone: {text}");
    }
    let project = project();
    let terminal = project.terminal(&["run", "work"], 80, 24);
    terminal.wait_for("2 running");
    await_keys(&terminal);
    terminal.signal(Signal::HUP);
    assert_left_as_found(terminal, 128 + 1);
}

#[test]
fn a_shell_stops_it_and_has_it_go_on() {
    let project = project();
    let mut shell = project.command(&[]);
    let kingtide = shell.get_program().to_string_lossy().into_owned();
    let environment: Vec<_> = shell
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    shell = std::process::Command::new("bash");
    shell
        .args(["--norc", "--noprofile", "--noediting", "-i"])
        .current_dir(project.path());
    for (name, value) in environment {
        shell.env(name, value.unwrap_or_default());
    }
    let mut terminal = Terminal::start(&shell, 80, 24);
    terminal.press(&format!("{kingtide} run work\n"));
    terminal.wait_for("2 running");
    await_keys(&terminal);
    terminal.press("\x1a");
    let text = terminal.wait_for("Stopped");
    assert!(!text.contains("? keys"), "the region is gone: {text}");
    assert!(
        terminal.is_as_usual(),
        "a stopped program leaves the terminal to the shell"
    );
    // In the background it draws nothing and touches nothing.
    terminal.press("bg; echo and $((40 + 2))\n");
    terminal.wait_for("and 42");
    assert!(terminal.is_as_usual());
    terminal.press("fg\n");
    terminal.wait_for("? keys");
    await_keys(&terminal);
    await_logs(&project);
    terminal.press("t");
    terminal.wait_for("│ epoch 6 of 2");
    project.write("go", "");
    terminal.wait_for("work-1 succeeded");
    terminal.press("exit 7\n");
    let text = assert_left_as_found(terminal, 7);
    assert!(!text.contains("? keys"), "{text}");
    assert_no_process_left(project.root());
}

#[test]
fn without_a_terminal_a_signal_asks_what_runs() {
    let project = project();
    let mut run = project.spawn(&["run", "work"]);
    await_logs(&project);
    // The first progress may not have been told yet.
    eventually("it says what runs", PATIENCE, || {
        run.signal(Signal::USR1);
        run.wait_for_line("work-1: ").contains("2 running").then_some(())
    });
    run.wait_for_line("│ epoch 6 of 2");
    project.write("go", "");
    run.wait().expect_code(0);
    assert_no_process_left(project.root());
}
