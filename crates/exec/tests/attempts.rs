//! One attempt from start to end: how it is started, what it finds, how its end is told.

mod stage;

use kingtide_exec::wire::{End, Report, Request, StopReason};
use stage::{Stage, assert_not_started, read_line};

#[test]
fn an_end_is_told_with_its_code_its_log_and_its_tail() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let exited = runtime.run_shell("1/1/1", "echo one; echo two >&2; printf three; exit 3");
    assert_eq!(exited.end, End::Code(3));
    assert_eq!(exited.tail, "one\ntwo\nthree");
    assert!(exited.ended_ms >= exited.started_ms);
    let log = stage.log("1.log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    for (line, text) in lines.iter().zip(["one", "two", "three"]) {
        let (stamp, rest) = line.split_at(25);
        assert_eq!(rest, text);
        assert!(stamp.starts_with("20") && stamp.ends_with("Z "), "{stamp}");
    }
    let exited = runtime.run_shell("1/2/1", "kill -9 $$");
    assert_eq!(exited.end, End::Signal(9));
    let exited = runtime.run_shell("1/3/1", "echo fine");
    assert_eq!((exited.end, exited.tail.as_str()), (End::Code(0), ""));
}

#[test]
fn a_silent_program_has_no_log() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let mut start = runtime.order("1/1/1", &["true"]);
    start.log = stage.path("logs/deep/1.log").to_string_lossy().into_owned();
    assert_eq!(runtime.run(start.clone()).end, End::Code(0));
    assert!(!stage.path("logs").exists());
    start.attempt = "1/1/2".into();
    start.argv = vec!["echo".into(), "x".into()];
    runtime.run(start);
    assert!(stage.log("logs/deep/1.log").ends_with("Z x\n"));
}

#[test]
fn a_program_finds_what_it_was_promised() {
    let mut stage = Stage::new();
    stage.env.insert("INHERITED".into(), "1".into());
    stage.env.insert("HIDDEN".into(), "1".into());
    let mut runtime = stage.runtime(1);
    let script = "echo \"$INHERITED $HIDDEN $OWN $PWD\"; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l; \
                  ls -d $KINGTIDE_OUTPUT; ls $KINGTIDE_OUTPUT | wc -l; ls $KINGTIDE_RESULT 2>/dev/null; \
                  grep -E 'SigBlk|SigIgn' /proc/self/status; ps -o pid=,pgid= -p $$; exit 1";
    let mut start = runtime.shell("1/1/1", script);
    start.env = vec![
        ("OWN".into(), "a".into()),
        ("HIDDEN".into(), "2".into()),
        ("OWN".into(), "b".into()),
    ];
    let tail = runtime.run(start).tail;
    let lines: Vec<&str> = tail.lines().collect();
    assert_eq!(
        lines[0],
        format!("1 2 b {}", stage.path("").to_string_lossy().trim_end_matches('/'))
    );
    // `ls` itself has one descriptor more: of the folder it lists.
    assert_eq!(lines[1..3], ["/dev/null", "4"]);
    assert!(
        lines[3].ends_with("/output") && lines[3].contains("/.kingtide/work/"),
        "{tail}"
    );
    assert_eq!(
        lines[4..7],
        ["0", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]
    );
    let ids: Vec<&str> = lines[7].split_whitespace().collect();
    assert_eq!(ids[0], ids[1], "a group of its own");
}

#[test]
fn what_cannot_be_started_is_told_in_words() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    std::fs::write(stage.path("plain"), "x").expect("a file");
    stage.script("no_interpreter", "#!/no/such/thing\n");
    stage.script("no_shebang", "echo x\n");
    let cases = [
        (
            vec!["no-such-program"],
            "no such program `no-such-program` (looked in PATH",
        ),
        (vec!["./no-such-file"], "no such program `./no-such-file` in"),
        (vec!["/no/such/file"], "no such program `/no/such/file`"),
        (vec!["./plain"], "`./plain` is not executable"),
        (vec!["/"], "is a folder"),
        (vec![""], "the command is empty"),
        (vec!["./no_interpreter"], "wants the interpreter `/no/such/thing`"),
        (vec!["./no_shebang"], "a script begins with a line such as"),
    ];
    for (number, (argv, words)) in cases.iter().enumerate() {
        let start = runtime.order(&format!("1/{number}/1"), argv);
        assert_not_started(&runtime.run(start), words);
    }
    let mut start = runtime.order("2/1/1", &["true"]);
    start.workdir = stage.path("nowhere").to_string_lossy().into_owned();
    assert_not_started(&runtime.run(start), "no such folder");
    let mut start = runtime.order("2/2/1", &["true"]);
    start.env = vec![("BIG".into(), "x".repeat(1 << 20))];
    assert_not_started(&runtime.run(start), "arguments and environment are too large");
    let mut start = runtime.order("2/3/1", &["true"]);
    start.argv.push("a\0b".into());
    assert_not_started(&runtime.run(start), "contains a NUL byte");
    // The program's own PATH counts.
    let mut start = runtime.order("2/4/1", &["plain"]);
    start.env = vec![("PATH".into(), format!("/bin:{}", stage.path("").display()))];
    assert_not_started(&runtime.run(start), "is not executable");
}

#[test]
fn a_timeout_ends_an_attempt() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let mut start = runtime.order("1/1/1", &["sleep", "1000"]);
    start.timeout_ms = Some(150);
    let exited = runtime.run(start);
    assert_eq!(exited.end, End::Stopped(StopReason::Timeout));
    assert!(exited.ended_ms - exited.started_ms >= 150);
    // Time enough is no reason to be stopped.
    let mut start = runtime.order("1/2/1", &["true"]);
    start.timeout_ms = Some(600_000);
    assert_eq!(runtime.run(start).end, End::Code(0));
}

#[test]
fn who_ignores_term_is_killed_and_who_obeys_may_say_goodbye() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let fifo = stage.fifo("deaf");
    let script = format!(
        "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo x > {}; wait",
        fifo.display()
    );
    let mut start = runtime.shell("1/1/1", &script);
    start.stop_timeout_ms = 100;
    runtime.start(start);
    read_line(&fifo);
    runtime.stop("1/1/1", StopReason::Cancel);
    assert_eq!(runtime.exited("1/1/1").end, End::Stopped(StopReason::Cancel));
    stage.assert_empty();

    let fifo = stage.fifo("polite");
    let script = format!(
        "trap 'echo goodbye; exit 0' TERM; echo x > {}; while :; do sleep 0.05; done",
        fifo.display()
    );
    runtime.start(runtime.shell("1/2/1", &script));
    read_line(&fifo);
    runtime.stop("1/2/1", StopReason::Release);
    let exited = runtime.exited("1/2/1");
    assert_eq!(exited.end, End::Stopped(StopReason::Release));
    // The shell may say before that its `sleep` was terminated.
    assert!(exited.tail.ends_with("goodbye\n"), "{}", exited.tail);
}

#[test]
fn a_stopped_process_can_be_ended() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    runtime.start(runtime.shell("1/1/1", "kill -STOP $$"));
    runtime.started("1/1/1");
    runtime.stop("1/1/1", StopReason::Cancel);
    assert_eq!(runtime.exited("1/1/1").end, End::Stopped(StopReason::Cancel));
}

#[test]
fn the_end_of_the_leader_is_the_end() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    // In the background, in the group, with the log open.
    assert_eq!(runtime.run_shell("1/1/1", "sleep 1000 & echo x").end, End::Code(0));
    stage.assert_empty();
    // Fled from the group, twice, with the log open.
    let exited = runtime.run_shell(
        "1/2/1",
        "setsid sh -c '(sleep 1000; true) & sleep 1000; true' & sleep 0.1; exit 4",
    );
    assert_eq!(exited.end, End::Code(4));
    stage.assert_empty();
    // Without the mark in its environment: ended with the last attempt it may belong to.
    let stage_name = "KINGTIDE_TEST_STAGE=\"$KINGTIDE_TEST_STAGE\"";
    runtime.run_shell(
        "1/3/1",
        &format!("env -i {stage_name} /usr/bin/setsid /bin/sleep 1000 & sleep 0.1"),
    );
    stage.await_empty();
}

#[test]
fn a_closed_stdout_is_not_the_end() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let fifo = stage.fifo("closed");
    runtime.start(runtime.shell("1/1/1", &format!("exec >&- 2>&-; read x < {}; exit 7", fifo.display())));
    runtime.started("1/1/1");
    std::fs::write(&fifo, "x\n").expect("a reader");
    assert_eq!(runtime.exited("1/1/1").end, End::Code(7));
}

#[test]
fn results_and_outputs_are_named_and_empty_folders_used_again() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let exited = runtime.run_shell("1/1/1", "echo '{}' > $KINGTIDE_RESULT; mkdir $KINGTIDE_OUTPUT/a");
    let (result, output) = (exited.result.expect("a result"), exited.output.expect("an output"));
    assert_eq!(std::fs::read_to_string(&result).expect("a file"), "{}\n");
    assert!(std::path::Path::new(&output).join("a").is_dir());
    for number in 2..6 {
        let exited = runtime.run_shell(&format!("1/{number}/1"), "true");
        assert_eq!((exited.result, exited.output), (None, None));
    }
    // Removing or replacing the folder harms nobody.
    let exited = runtime.run_shell("1/6/1", "rmdir $KINGTIDE_OUTPUT");
    assert_eq!(exited.output, None);
    let exited = runtime.run_shell(
        "1/7/1",
        "rmdir $KINGTIDE_OUTPUT && mkdir $KINGTIDE_OUTPUT && touch $KINGTIDE_OUTPUT/x",
    );
    assert!(
        exited
            .output
            .is_some_and(|output| std::path::Path::new(&output).join("x").exists())
    );
    let exited = runtime.run_shell("1/8/1", "ls $KINGTIDE_OUTPUT; exit 1");
    assert_eq!(exited.tail, "");
    let folders = std::fs::read_dir(stage.path(".kingtide/work"))
        .expect("a folder")
        .count();
    assert!(folders <= 5, "{folders} folders for eight attempts");
}

#[test]
fn a_long_attempt_is_told_of_and_sampled() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    // Busy until it is told to end, so that there is time of the processor to be sampled.
    let stop = stage.path("stop");
    let script = format!("while [ ! -e {} ]; do :; done", stop.display());
    runtime.start(runtime.shell("1/1/1", &script));
    let pid = runtime.started("1/1/1");
    assert!(stage::is_alive(pid));
    let sample = |report: &Report| match report {
        Report::Sample { usage, .. } if usage.cpu_ms > 0 => Some(*usage),
        _ => None,
    };
    let usage = runtime.hear(sample);
    assert!(usage.memory > 0, "{usage:?}");
    std::fs::write(&stop, "").expect("a folder");
    let exited = runtime.exited("1/1/1");
    assert!(
        exited.usage.cpu_ms > 0 && exited.usage.memory_peak >= usage.memory / 2,
        "{exited:?}"
    );
}

#[test]
fn pools_keep_their_limits_and_their_order() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let fifo = stage.fifo("gate");
    let gate = format!("read x < {}", fifo.display());
    let mut requests = Vec::new();
    for number in 1..=4 {
        let mut start = runtime.shell(&format!("1/{number}/1"), if number == 1 { &gate } else { "true" });
        start.limit = 1;
        requests.push(Request::Start(Box::new(start)));
    }
    // Another pool is not held up by it.
    let mut other = runtime.order("1/9/1", &["true"]);
    other.pool = "q".into();
    requests.push(Request::Start(Box::new(other)));
    runtime.say(&requests);
    assert_eq!(runtime.exited("1/9/1").end, End::Code(0));
    runtime.started("1/1/1");
    runtime.stop("1/3/1", StopReason::Cancel);
    let withdrawn = |report: &Report| match report {
        Report::Withdrawn { attempts } => Some(attempts.clone()),
        _ => None,
    };
    assert_eq!(runtime.hear(withdrawn), ["1/3/1"]);
    runtime.say(&[Request::Withdraw { pool: Some("p".into()) }]);
    assert_eq!(runtime.hear(withdrawn), ["1/2/1", "1/4/1"]);
    std::fs::write(&fifo, "x\n").expect("a reader");
    assert_eq!(runtime.exited("1/1/1").end, End::Code(0));
}
