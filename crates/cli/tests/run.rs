//! A run as a person steers it: Ctrl-C once and twice, SIGTERM, `--resume`, and the live region of a terminal.

use kingtide_testkit::patience::{PATIENCE, eventually};
use kingtide_testkit::{Output, Running, TestProject, assert_no_process_left};
use rustix::process::Signal;
use serde_json::Value;

/// Tasks that note that they began and end when `go` is there.
fn project() -> TestProject {
    TestProject::new(env!("CARGO_BIN_EXE_kingtide"))
        .toml(
            r#"
[project]
name = "steered"

[job.it]
command = ["./program"]
params = { matrix = { n = [1, 2, 3] } }
max_workers = 1
stop_timeout = "300ms"
"#,
        )
        .program(
            "program",
            "#!/bin/sh\necho $KINGTIDE_PARAM_N >> begun\nuntil test -e go; do sleep 0.02; done\necho $KINGTIDE_PARAM_N >> done\n",
        )
}

#[track_caller]
fn last(output: &Output) -> Value {
    serde_json::from_str(output.stdout.lines().last().expect("a line")).expect("JSON")
}

fn wait_for(project: &TestProject, file: &str) {
    eventually(file, PATIENCE, || project.exists(file).then_some(()));
}

#[test]
fn the_first_interrupt_lets_end_what_runs() {
    let project = project();
    let mut run = project.spawn(&["run", "it", "--json"]);
    wait_for(&project, "begun");
    run.signal(Signal::INT);
    let words = run.wait_for_line("Ctrl-C");
    assert!(words.contains("nothing new") || words.contains("starts"), "{words}");
    project.write("go", "");
    let output = run.wait().expect_code(5);
    assert_eq!(project.read("done"), "1\n", "what ran has ended by itself");
    assert_eq!(last(&output)["tasks"]["succeeded"], 1);
    assert_no_process_left(project.root());

    let output = project.run(&["run", "it", "--resume", "--json"]).expect_code(0);
    assert_eq!(
        (&last(&output)["run"], &last(&output)["tasks"]["succeeded"]),
        (&1.into(), &3.into())
    );
    assert_eq!(project.read("begun"), "1\n2\n3\n", "nothing was done twice");
}

#[test]
fn the_second_interrupt_ends_what_runs_and_puts_it_back() {
    let project = project();
    let mut run = project.spawn(&["run", "it", "--json"]);
    wait_for(&project, "begun");
    run.signal(Signal::INT);
    run.wait_for_line("Ctrl-C");
    run.signal(Signal::INT);
    run.wait().expect_code(5);
    assert!(!project.exists("done"));
    assert_no_process_left(project.root());
    goes_on(&project);
}

#[test]
fn a_termination_ends_what_runs_and_puts_it_back() {
    let project = project();
    let run = project.spawn(&["run", "it", "--json"]);
    wait_for(&project, "begun");
    run.signal(Signal::TERM);
    run.wait().expect_code(5);
    assert!(!project.exists("done"));
    assert_no_process_left(project.root());
    goes_on(&project);
}

/// The run that was interrupted goes on, and what was ended costs no retry.
#[track_caller]
fn goes_on(project: &TestProject) {
    project.write("go", "");
    let output = project.run(&["run", "it", "--resume", "--json"]).expect_code(0);
    assert_eq!(
        (&last(&output)["run"], &last(&output)["tasks"]["succeeded"]),
        (&1.into(), &3.into())
    );
    assert_eq!(project.read("done"), "1\n2\n3\n");
}

/// `script` gives the binary a terminal; what it writes there is drawn, drawn over, and cleaned away at the end.
#[test]
fn on_a_terminal_there_is_a_live_region() {
    let project = project();
    let mut command = std::process::Command::new("script");
    let line = format!("stty cols 90 rows 24; {} run it", env!("CARGO_BIN_EXE_kingtide"));
    command.args(["-qec", &line, "/dev/null"]);
    let ours = project.command(&[]);
    command.env_clear().current_dir(project.path());
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env_remove("COLUMNS").env("TERM", "xterm-256color");
    let run = Running::start(command);
    wait_for(&project, "begun");
    // The region is drawn again and again while a task runs; its age shows that.
    let drawn = || project.run(&["status"]).stdout.contains("0:01").then_some(());
    eventually("a second has passed", PATIENCE, drawn);
    project.write("go", "");
    let output = run.wait().expect_code(0).stdout;
    assert!(output.contains('\u{1b}'), "there is something to draw over: {output:?}");
    let screen = screen(&output);
    assert!(
        screen
            .history
            .iter()
            .any(|frame| frame.contains("n=1") && frame.contains("0:01")),
        "a running task with its age"
    );
    let end = screen.text();
    assert!(end.contains("it-1 succeeded") && end.contains("3 succeeded"), "{end}");
    assert!(!end.contains("running"), "the region is gone:\n{end}");
    assert!(
        !output.contains("\u{1b}[?25l") || output.rfind("\u{1b}[?25h") > output.rfind("\u{1b}[?25l"),
        "the cursor is back"
    );

    // The same without colour, by the flag and by the variable.
    for extra in ["--color never", "--quiet"] {
        let mut command = std::process::Command::new("script");
        command.args([
            "-qec",
            &format!("{} run it {extra}", env!("CARGO_BIN_EXE_kingtide")),
            "/dev/null",
        ]);
        command.env_clear().current_dir(project.path()).env("TERM", "xterm");
        let ours = project.command(&[]);
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = Running::start(command).wait().expect_code(0).stdout;
        assert!(
            !output.contains("\u{1b}[3") && !output.contains("\u{1b}[1m"),
            "{extra}: {output:?}"
        );
        if extra == "--quiet" {
            assert_eq!(output, "");
        }
    }
}

/// What a terminal would show: enough of one for the codes we use.
#[derive(Default)]
struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// The text after each escape code.
    history: Vec<String>,
}

impl Screen {
    fn text(&self) -> String {
        let line = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        self.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn put(&mut self, character: char) {
        while self.lines.len() <= self.row {
            self.lines.push(Vec::new());
        }
        let line = &mut self.lines[self.row];
        while line.len() <= self.column {
            line.push(' ');
        }
        line[self.column] = character;
        self.column += 1;
    }

    fn code(&mut self, number: usize, kind: char) {
        let count = number.max(1);
        match kind {
            'A' | 'F' => self.row = self.row.saturating_sub(count),
            'B' | 'E' => self.row += count,
            'G' => self.column = count - 1,
            'K' => {
                if let Some(line) = self.lines.get_mut(self.row) {
                    line.truncate(if number == 2 { 0 } else { self.column });
                }
            }
            'J' => {
                self.lines.truncate(self.row + 1);
                if let Some(line) = self.lines.get_mut(self.row) {
                    line.truncate(self.column);
                }
            }
            _ => {}
        }
        if matches!(kind, 'E' | 'F') {
            self.column = 0;
        }
    }
}

fn screen(output: &str) -> Screen {
    let mut screen = Screen::default();
    let mut characters = output.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                let mut number = 0;
                for part in characters.by_ref().skip(1) {
                    if let Some(digit) = part.to_digit(10) {
                        number = number * 10 + digit as usize;
                    } else if part.is_ascii_alphabetic() {
                        let before = screen.text();
                        screen.history.push(before);
                        screen.code(number, part);
                        break;
                    } else {
                        number = 0;
                    }
                }
            }
            '\r' => screen.column = 0,
            '\n' => {
                screen.row += 1;
                screen.column = 0;
            }
            character => screen.put(character),
        }
    }
    screen
}
