//! What becomes of containers when their runtime dies: the next one finds them, and none is left behind.

use std::time::Duration;

use kingtide_exec::wire::{End, Report, StopReason};
use kingtide_runtime::docker::{DockerError, Held, Told};

use crate::harbour::{PATIENCE, harbour};

fn held(running: &[&str], ended: &[&str]) -> Held {
    let owned = |attempts: &[&str]| attempts.iter().map(|&attempt| attempt.to_owned()).collect();
    Held {
        running: owned(running),
        ended: owned(ended),
    }
}

#[test]
fn a_running_and_an_ended_container_are_found_again() {
    let Some(mut harbour) = harbour() else { return };
    let folder = harbour.root().join("go");
    std::fs::create_dir_all(&folder).expect("made");
    let mut running = harbour.script(
        "1/1/1",
        "for i in 1 2 3; do echo before $i; done; until [ -e /go/on ]; do sleep 0.05; done; \
         for i in 1 2 3; do echo after $i; done; echo 1 > $KINGTIDE_RESULT",
    );
    running.mounts = vec![kingtide_runtime::docker::Mount {
        source: folder.clone(),
        target: "/go".to_owned(),
        read_only: true,
    }];
    harbour.docker().start(running);
    let start = harbour.script("1/2/1", "echo done; exit 4");
    harbour.docker().start(start);
    harbour.await_line("1/1/1", "before 3");
    harbour.await_exit("1/2/1");

    // Nothing was acknowledged; then the runtime dies, and what it wrote of the log is torn.
    harbour.leave();
    std::fs::write(harbour.log_path("1/1/1"), "2026-01-01T00:00:00.000Z torn").expect("written");
    assert_eq!(harbour.connect(2).expect("free"), held(&["1/1/1"], &["1/2/1"]));
    let again = harbour.await_exit("1/2/1");
    assert_eq!((again.end, again.tail.as_str()), (End::Code(4), "done\n"));
    std::fs::write(folder.join("on"), "").expect("written");
    let exited = harbour.await_exit("1/1/1");
    assert_eq!(exited.end, End::Code(0));
    assert!(exited.result.is_some());
    let expected = ["before 1", "before 2", "before 3", "after 1", "after 2", "after 3"];
    assert_eq!(harbour.log("1/1/1"), expected, "no line is lost or doubled");

    harbour.acknowledge("1/1/1");
    harbour.acknowledge("1/2/1");
    harbour.await_containers(0);
    assert_eq!(harbour.connect(3).expect("free"), Held::default());
    assert_eq!(harbour.work_folders(), [] as [&str; 0]);
}

#[test]
fn a_timeout_and_a_stop_outlive_the_runtime() {
    let Some(mut harbour) = harbour() else { return };
    let mut timed = harbour.script("1/1/1", "echo up; sleep 600");
    (timed.timeout_ms, timed.stop_timeout_ms) = (Some(1500), 100);
    let mut stopped = harbour.script(
        "1/2/1",
        "trap 'echo asked' TERM; echo up; while true; do sleep 0.1; done",
    );
    stopped.stop_timeout_ms = 1500;
    harbour.docker().start(timed);
    harbour.docker().start(stopped);
    harbour.await_line("1/1/1", "up");
    harbour.await_line("1/2/1", "up");
    harbour.stop("1/2/1", StopReason::Release);
    harbour.await_line("1/2/1", "asked");
    let found = harbour.connect(2).expect("free");
    assert_eq!(found, held(&["1/1/1", "1/2/1"], &[]));
    assert_eq!(harbour.await_exit("1/1/1").end, End::Stopped(StopReason::Timeout));
    let released = harbour.await_exit("1/2/1");
    assert_eq!(
        released.end,
        End::Stopped(StopReason::Release),
        "as the earlier runtime meant it"
    );
}

#[test]
fn what_was_made_and_never_started_is_removed() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "sleep 600");
    // As a kill between the two requests leaves it: the same container, and no start.
    harbour.docker().start(start.clone());
    harbour.await_start("1/1/1");
    harbour.leave();
    let (name, engine) = (harbour.containers().remove(0), harbour.engine());
    let name = name.trim_start_matches('/').to_owned();
    let inspected = harbour
        .runtime
        .block_on(engine.inspect_container(&name, None))
        .expect("there");
    let labels = inspected.config.and_then(|config| config.labels);
    let body = bollard::models::ContainerCreateBody {
        image: Some(start.image.id.clone()),
        labels,
        cmd: Some(start.args.clone()),
        ..Default::default()
    };
    let options = bollard::query_parameters::CreateContainerOptions {
        name: Some(format!("{name}-made")),
        ..Default::default()
    };
    harbour
        .runtime
        .block_on(engine.create_container(Some(options), body))
        .expect("made");
    assert_eq!(harbour.containers().len(), 2);
    assert_eq!(harbour.connect(2).expect("free"), held(&["1/1/1"], &[]));
    assert_eq!(harbour.containers().len(), 1);
    harbour.acknowledge("1/1/1");
    harbour.await_containers(0);
}

#[test]
fn a_runtime_that_wakes_up_late_can_do_nothing() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "sleep 600");
    let (late, _, late_told) = harbour.visit(1).expect("as yet");
    harbour.connect(2).expect("a later one");

    // It has lost its lease and does not know: what it starts is ended.
    late.start(start.clone());
    // However far it came until then.
    loop {
        match late_told.recv_timeout(PATIENCE).expect("told") {
            Told::Lost(_) => break,
            Told::Reports(reports) if matches!(reports[..], [Report::Exited(_)]) => break,
            _ => {}
        }
    }
    harbour.await_containers(0);
    late.acknowledge(vec!["1/1/1".to_owned()]);
    late.settle(PATIENCE);

    // Where the later one has a container of that name, it is told so.
    harbour.docker().start(start.clone());
    harbour.await_start("1/1/1");
    late.start(start);
    let refused = loop {
        match late_told.recv_timeout(PATIENCE).expect("told") {
            Told::Reports(reports) if matches!(reports[..], [Report::Refused { .. }]) => break true,
            _ => {}
        }
    };
    assert!(refused);
    drop(late);
    let error = harbour.visit(1).expect_err("too late");
    assert!(matches!(error, DockerError::Fenced { ours: 1, found: 2 }), "{error}");
    assert_eq!(harbour.containers().len(), 1);
}

#[test]
fn a_name_that_is_taken_by_an_earlier_runtime_is_cleared() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "echo once; sleep 600");
    harbour.docker().start(start.clone());
    harbour.await_line("1/1/1", "once");
    // A database that was deleted and made anew: the same names, counted from the beginning.
    harbour.leave();
    std::fs::remove_dir_all(harbour.root()).expect("deleted");
    assert_eq!(harbour.connect(1).expect("free"), Held::default());
    harbour.await_containers(0);
    let mut start = harbour.script("1/1/1", "echo anew");
    start.log_limit = 4096;
    assert_eq!(harbour.run(start).end, End::Code(0));
    assert_eq!(harbour.log("1/1/1"), ["anew"]);
}

#[test]
fn one_that_somebody_else_removes_was_killed() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "echo up; sleep 600");
    harbour.docker().start(start);
    harbour.await_line("1/1/1", "up");
    harbour.remove_containers();
    let exited = harbour.await_exit("1/1/1");
    assert_eq!((exited.end, exited.tail.as_str()), (End::Signal(9), "up\n"));
    harbour.acknowledge("1/1/1");
    harbour.await_containers(0);
}

#[test]
fn one_that_is_stopped_before_it_starts_is_handed_back() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "sleep 600");
    harbour.docker().start(start);
    harbour.stop("1/1/1", StopReason::Cancel);
    // Or it was already on its way: then it ends as asked.
    let ended = harbour.await_report("end", |report| match report {
        Report::Withdrawn { attempts } => Some(attempts.clone()),
        Report::Exited(exited) if exited.end == End::Stopped(StopReason::Cancel) => Some(vec![exited.attempt.clone()]),
        _ => None,
    });
    assert_eq!(ended, ["1/1/1"]);
    harbour.acknowledge("1/1/1");
    harbour.await_containers(0);
}

#[test]
fn heavy_whenever_a_runtime_dies_nothing_runs_twice_and_nothing_stays() {
    let Some(mut harbour) = harbour() else { return };
    let marks = harbour.root().join("marks");
    std::fs::create_dir_all(&marks).expect("made");
    let mount = kingtide_runtime::docker::Mount {
        source: marks.clone(),
        target: "/marks".to_owned(),
        read_only: false,
    };
    for round in 0..12 {
        let epoch = i64::from(round) + 2;
        harbour.connect(epoch).expect("free");
        let attempt = format!("{round}/1/1");
        let mut start = harbour.script(&attempt, &format!("echo x >> /marks/{round}; echo said; sleep 0.1"));
        start.mounts = vec![mount.clone()];
        harbour.docker().start(start);
        // At another place of its life each time.
        std::thread::sleep(Duration::from_millis(u64::from(25 * round as u32)));
        let found = harbour.connect(epoch).expect("free");
        for attempt in found.running.iter().chain(&found.ended) {
            assert_eq!(harbour.await_exit(attempt).end, End::Code(0), "{attempt}");
            assert_eq!(harbour.log(attempt), ["said"]);
            harbour.acknowledge(attempt);
        }
        harbour.await_containers(0);
        let ran = std::fs::read_to_string(marks.join(round.to_string()))
            .unwrap_or_default()
            .lines()
            .count();
        assert!(ran <= 1, "round {round} ran {ran} times");
        assert_eq!(harbour.work_folders(), [] as [&str; 0], "round {round}");
    }
}
