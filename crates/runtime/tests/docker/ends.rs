//! How containers end, and what they leave.

use kingtide_exec::wire::{End, StopReason};

use crate::harbour::harbour;

#[test]
fn a_result_an_output_and_a_log_come_out_of_a_container() {
    let Some(mut harbour) = harbour() else { return };
    let script = "echo out $FROM_IMAGE $GREETING; echo err hunter2 >&2; echo '{\"rows\":3}' > $KINGTIDE_RESULT; \
                  mkdir $KINGTIDE_OUTPUT/deep; echo m > $KINGTIDE_OUTPUT/deep/model";
    let mut start = harbour.script("1/1/1", script);
    start.env = vec![("GREETING".to_owned(), "hello hunter2".to_owned())];
    let exited = harbour.run(start);
    assert_eq!((&exited.end, exited.tail.as_str()), (&End::Code(0), ""));
    assert!(exited.started_ms > 0 && exited.ended_ms >= exited.started_ms);
    let mut log = harbour.log("1/1/1");
    log.sort();
    assert_eq!(log, ["err ***", "out yes hello ***"]);
    let read = |path: &str| std::fs::read_to_string(path).expect("readable");
    assert_eq!(read(exited.result.as_deref().expect("a result")), "{\"rows\":3}\n");
    assert_eq!(
        read(&format!("{}/deep/model", exited.output.expect("an output"))),
        "m\n"
    );
    assert_eq!(harbour.containers().len(), 1, "kept until it is acknowledged");
    harbour.acknowledge("1/1/1");
    harbour.acknowledge("1/1/1");
    harbour.docker().settle(crate::harbour::PATIENCE);
    assert_eq!(harbour.containers(), [] as [&str; 0]);
    assert_eq!(harbour.work_folders(), [] as [&str; 0]);
}

#[test]
fn codes_and_signals_are_told_with_the_last_lines() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "echo first; echo last; exit 3");
    let exited = harbour.run(start);
    assert_eq!((exited.end, exited.tail.as_str()), (End::Code(3), "first\nlast\n"));
    assert_eq!((exited.result, exited.output), (None, None));
    // As process 1 the shell is spared what it sends itself; its child is not.
    let start = harbour.script("1/2/1", "sh -c 'kill -9 $$'; exit $?");
    assert_eq!(harbour.run(start).end, End::Signal(9));
}

#[test]
fn what_cannot_be_started_says_why() {
    let Some(mut harbour) = harbour() else { return };
    let mut start = harbour.script("1/1/1", "");
    start.args = vec!["no-such-program".to_owned(), "hunter2".to_owned()];
    let why = "there is no program `no-such-program` in the image".to_owned();
    assert_eq!(harbour.run(start).end, End::NotStarted(why));
    harbour.acknowledge("1/1/1");
    harbour.await_containers(0);
}

#[test]
fn a_container_is_stopped_when_somebody_asks_or_its_time_is_over() {
    let Some(mut harbour) = harbour() else { return };
    let polite = "trap 'echo bye; exit 7' TERM; echo up; while true; do sleep 0.1; done";
    let start = harbour.script("1/1/1", polite);
    harbour.docker().start(start);
    harbour.await_start("1/1/1");
    harbour.await_line("1/1/1", "up");
    harbour.stop("1/1/1", StopReason::Cancel);
    let exited = harbour.await_exit("1/1/1");
    assert_eq!(
        (exited.end, exited.tail.as_str()),
        (End::Stopped(StopReason::Cancel), "up\nbye\n")
    );

    // Process 1 without a handler is deaf to TERM.
    let mut start = harbour.script("1/2/1", "echo up; sleep 600");
    (start.timeout_ms, start.stop_timeout_ms) = (Some(300), 200);
    let exited = harbour.run(start);
    assert_eq!(exited.end, End::Stopped(StopReason::Timeout));
    assert!(
        exited.ended_ms - exited.started_ms >= 450,
        "TERM at 300 ms, KILL 200 ms later"
    );
}

#[test]
fn memory_is_limited_and_its_want_told_apart() {
    let Some(mut harbour) = harbour() else { return };
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null; echo $?; exit 9";
    // Several at once: an engine that is busy does not always say so itself.
    let attempts: Vec<String> = (1..=6).map(|task| format!("1/{task}/1")).collect();
    for attempt in &attempts {
        let mut start = harbour.script(attempt, script);
        start.memory = Some(24 << 20);
        harbour.docker().start(start);
    }
    for attempt in &attempts {
        let exited = harbour.await_exit(attempt);
        assert_eq!(exited.end, End::OutOfMemory, "{attempt}");
        assert!(exited.usage.memory_peak >= 24 << 20);
    }
    // A limit alone is no reason, nor is being killed.
    let mut start = harbour.script("1/7/1", "sh -c 'kill -9 $$'; exit $?");
    start.memory = Some(24 << 20);
    assert_eq!(harbour.run(start).end, End::Signal(9));
}
