//! Who survives whom: runtime, keeper, guard and programs killed in turn.

mod stage;

use std::time::Instant;

use kingtide_exec::keeper::client::ConnectError;
use kingtide_exec::wire::{End, Hello, Report, Request, StopReason};
use stage::{LONG, Stage, await_end, kill, read_line};

/// A program with a grandchild that has fled; it says a line in `fifo` once all of it is there.
fn family(fifo: &std::path::Path) -> String {
    let fifo = fifo.display();
    format!("setsid sh -c 'setsid sleep 1000 & echo x > {fifo}; sleep 1000; true' & sleep 1000; true")
}

#[test]
fn a_killed_keeper_leaves_no_process() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let fifo = stage.fifo("fifo");
    runtime.start(runtime.shell("1/1/1", &family(&fifo)));
    read_line(&fifo);
    let pid = runtime.started("1/1/1");
    let (keeper, guard) = (runtime.keeper(), runtime.guard());
    kill(keeper);
    let deadline = Instant::now() + LONG;
    await_end(pid, deadline);
    await_end(guard, deadline);
    // The guard is gone, so nothing may be left.
    stage.assert_empty();
    assert!(runtime.until_hung_up().is_empty());
    let runtime = stage.runtime(2);
    assert!(
        runtime.welcome.running.is_empty() && runtime.welcome.ended.is_empty(),
        "{:?}",
        runtime.welcome
    );
}

#[test]
fn a_killed_guard_leaves_no_process() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let fifo = stage.fifo("fifo");
    let mut start = runtime.shell("1/1/1", &family(&fifo));
    start.stop_timeout_ms = 200;
    runtime.start(start);
    read_line(&fifo);
    let keeper = runtime.keeper();
    kill(runtime.guard());
    // The keeper ends what it has, says so, and leaves.
    assert_eq!(runtime.exited("1/1/1").end, End::Stopped(StopReason::Release));
    stage.assert_empty();
    await_end(keeper, Instant::now() + LONG);
}

#[test]
fn what_both_leave_behind_is_swept_by_the_next() {
    let stage = Stage::new();
    let runtime = stage.runtime(1);
    let fifo = stage.fifo("fifo");
    runtime.start(runtime.shell("1/1/1", &family(&fifo)));
    read_line(&fifo);
    let (keeper, guard) = (runtime.keeper(), runtime.guard());
    // Stopped first, so that the guard cannot act in between.
    let guard_pidfd = stage::open(guard).expect("a guard");
    rustix::process::pidfd_send_signal(&guard_pidfd, rustix::process::Signal::STOP).expect("our guard");
    kill(keeper);
    kill(guard);
    await_end(keeper, Instant::now() + LONG);
    await_end(guard, Instant::now() + LONG);
    let runtime = stage.runtime(2);
    stage.assert_empty();
    assert!(runtime.welcome.running.is_empty(), "{:?}", runtime.welcome);
}

#[test]
fn no_order_of_deaths_leaves_a_process() {
    let stage = Stage::new();
    let fifo = stage.fifo("fifo");
    for round in 1..=24 {
        let mut runtime = stage.runtime(round);
        runtime.say(&[Request::Acknowledge {
            attempts: [&runtime.welcome.ended[..], &runtime.welcome.withdrawn].concat(),
        }]);
        let (keeper, guard) = (runtime.keeper(), runtime.guard());
        let mut requests = Vec::new();
        for task in 0..60 {
            let script = match task {
                20 => family(&fifo),
                task if task % 7 == 3 => "setsid sleep 1000 & sleep 0.01".into(),
                _ => "true".into(),
            };
            let mut start = runtime.shell(&format!("{round}/{task}/1"), &script);
            (start.limit, start.stop_timeout_ms) = (4, 10);
            requests.push(Request::Start(Box::new(start)));
        }
        runtime.say(&requests);
        read_line(&fifo);
        // Another while each time.
        for _ in 0..round % 8 {
            runtime.hear(|report| matches!(report, Report::Exited(_)).then_some(()));
        }
        match round % 3 {
            0 => kill(keeper),
            1 => kill(guard),
            _ => {
                kill(guard);
                kill(keeper);
            }
        }
        let deadline = Instant::now() + LONG;
        await_end(keeper, deadline);
        await_end(guard, deadline);
        if round % 3 == 2 {
            kingtide_exec::keeper::sweep(&stage.kingtide_dir()).expect("a sweep");
        }
        let left = stage.processes();
        let state = std::fs::read_to_string(stage.path(".kingtide/keeper.state"));
        let commands: Vec<_> = left
            .iter()
            .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")))
            .collect();
        assert!(left.is_empty(), "round {round}: {left:?} {commands:?} {state:?}");
    }
}

#[test]
fn sweeping_is_done_without_a_keeper_too_and_never_under_one() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let fifo = stage.fifo("fifo");
    runtime.start(runtime.shell("1/1/1", &family(&fifo)));
    read_line(&fifo);
    let pid = runtime.started("1/1/1");
    kingtide_exec::keeper::sweep(&stage.kingtide_dir()).expect("a sweep");
    assert!(stage::is_alive(pid));
    let guard = runtime.guard();
    let guard_pidfd = stage::open(guard).expect("a guard");
    rustix::process::pidfd_send_signal(&guard_pidfd, rustix::process::Signal::STOP).expect("our guard");
    kill(runtime.keeper());
    kill(guard);
    await_end(runtime.keeper(), Instant::now() + LONG);
    await_end(guard, Instant::now() + LONG);
    kingtide_exec::keeper::sweep(&stage.kingtide_dir()).expect("a sweep");
    stage.assert_empty();
}

#[test]
fn an_attempt_survives_its_runtime() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let fifo = stage.fifo("fifo");
    let script = format!("read x < {}; echo '{{}}' > $KINGTIDE_RESULT; exit 5", fifo.display());
    runtime.start(runtime.shell("1/1/1", &script));
    let mut waiting = runtime.shell("1/2/1", "true");
    waiting.limit = 1;
    runtime.start(waiting);
    runtime.started("1/1/1");
    let keeper = runtime.keeper();
    // As the kernel does it for a runtime that is killed.
    runtime.sender.hang_up();
    drop(runtime);
    let mut runtime = stage.runtime(2);
    assert_eq!(runtime.keeper(), keeper);
    assert_eq!(runtime.welcome.running, ["1/1/1"]);
    assert_eq!(runtime.welcome.withdrawn, ["1/2/1"]);
    std::fs::write(&fifo, "x\n").expect("a reader");
    let exited = runtime.exited("1/1/1");
    assert_eq!(exited.end, End::Code(5));
    runtime.say(&[Request::Acknowledge {
        attempts: vec!["1/1/1".into(), "1/2/1".into()],
    }]);
    let (guard, folder) = (runtime.guard(), exited.result.expect("a result"));
    runtime.sender.hang_up();
    // There is nothing left to keep.
    await_end(keeper, Instant::now() + LONG);
    await_end(guard, Instant::now() + LONG);
    assert!(!stage.path(".kingtide/keeper.sock").exists() && !stage.path(".kingtide/keeper.reports").exists());
    assert!(!std::path::Path::new(&folder).exists());
}

#[test]
fn reports_nobody_fetched_wait_for_the_next_keeper() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let keeper = runtime.keeper();
    let fifo = stage.fifo("fifo");
    let script = format!("echo '[]' > $KINGTIDE_RESULT; read x < {}", fifo.display());
    runtime.start(runtime.shell("1/1/1", &script));
    runtime.started("1/1/1");
    drop(runtime);
    std::fs::write(&fifo, "x\n").expect("a reader");
    await_end(keeper, Instant::now() + LONG);
    let mut runtime = stage.runtime(2);
    assert_ne!(runtime.keeper(), keeper);
    assert_eq!(runtime.welcome.ended, ["1/1/1"]);
    let exited = runtime.exited("1/1/1");
    assert_eq!(exited.end, End::Code(0));
    // Its folder is neither cleared away nor given to another.
    assert_eq!(
        std::fs::read_to_string(exited.result.expect("a result")).expect("a file"),
        "[]\n"
    );
    // Started again by a runtime that does not know: told once more, not run again.
    runtime.start(runtime.shell("1/1/1", "exit 9"));
    assert_eq!(runtime.run_shell("1/3/1", "true").end, End::Code(0));
    let second = stage.runtime(3);
    assert_eq!(second.welcome.ended, ["1/1/1", "1/3/1"]);
    second.say(&[Request::Acknowledge {
        attempts: vec!["1/1/1".into(), "1/3/1".into()],
    }]);
    let third = stage.runtime(4);
    assert!(third.welcome.ended.is_empty());
}

#[test]
fn folders_of_earlier_keepers_go_unless_they_are_named() {
    let stage = Stage::new();
    for number in ["3", "4", "5"] {
        std::fs::create_dir_all(stage.path(".kingtide/work").join(number).join("output/x")).expect("a folder");
    }
    let keep = vec![stage.path(".kingtide/work/4").to_string_lossy().into_owned()];
    let mut runtime = stage
        .connect(Hello {
            epoch: 1,
            keep,
            env: stage.env.clone(),
            ..Hello::default()
        })
        .expect("a keeper");
    let exited = runtime.run_shell("1/1/1", "touch $KINGTIDE_OUTPUT/y");
    assert!(exited.output.is_some_and(|output| output.ends_with("work/6/output")));
    let keeper = runtime.keeper();
    runtime.acknowledge("1/1/1");
    drop(runtime);
    await_end(keeper, Instant::now() + LONG);
    assert!(stage.path(".kingtide/work/4/output/x").exists());
    assert!(!stage.path(".kingtide/work/3").exists() && !stage.path(".kingtide/work/5").exists());
}

#[test]
fn a_runtime_that_wakes_up_late_is_refused() {
    let stage = Stage::new();
    let old = stage.runtime(3);
    let new = stage.runtime(4);
    assert_eq!(old.keeper(), new.keeper());
    let heard = old.until_hung_up();
    assert!(
        matches!(&heard[..], [Report::Refused { reason, .. }] if reason.contains("taken over")),
        "{heard:?}"
    );
    assert!(matches!(stage.try_runtime(3), Err(ConnectError::Refused(reason)) if reason.contains("taken over")));
    // Also by a keeper that began after all that.
    let keeper = new.keeper();
    drop(new);
    await_end(keeper, Instant::now() + LONG);
    assert!(matches!(stage.try_runtime(3), Err(ConnectError::Refused(_))));
    assert_ne!(stage.runtime(4).keeper(), keeper);
}

#[test]
fn another_version_is_refused_in_words() {
    use std::io::{Read, Write};
    let stage = Stage::new();
    let _runtime = stage.runtime(1);
    let mut socket = std::os::unix::net::UnixStream::connect(stage.path(".kingtide/keeper.sock")).expect("a keeper");
    let hello = br#"{"hello":{"version":99,"something":"new"}}"#;
    socket.write_all(&(hello.len() as u32).to_le_bytes()).expect("a keeper");
    socket.write_all(hello).expect("a keeper");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an answer and an end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.contains("speaks version 1 of the protocol and you speak 99"),
        "{answer}"
    );
}

#[test]
fn a_keeper_whose_project_was_removed_leaves() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    runtime.run_shell("1/1/1", "true");
    let keeper = runtime.keeper();
    std::fs::remove_dir_all(stage.kingtide_dir()).expect("our folder");
    drop(runtime);
    await_end(keeper, Instant::now() + LONG);
    assert!(!stage.kingtide_dir().exists());
}

#[test]
fn a_path_too_long_for_a_socket_will_do() {
    let stage = Stage::new();
    let folder = stage.path(&"deep/".repeat(30)).join(".kingtide");
    std::fs::create_dir_all(&folder).expect("a folder");
    let hello = Hello {
        epoch: 1,
        env: stage.env.clone(),
        ..Hello::default()
    };
    let executable = stage::keeper_executable();
    let (_client, welcome) =
        kingtide_exec::keeper::client::connect_or_start(&folder, &executable, hello).expect("a keeper");
    assert!(welcome.pid > 0);
}

#[test]
fn a_keeper_without_a_place_says_so() {
    let stage = Stage::new();
    let hello = Hello {
        epoch: 1,
        ..Hello::default()
    };
    let gone = stage.path("gone");
    let executable = stage::keeper_executable();
    assert!(matches!(
        kingtide_exec::keeper::client::connect_or_start(&gone, &executable, hello.clone()),
        Err(ConnectError::Talk(_))
    ));
    let nothing = stage.path("no-executable");
    assert!(matches!(
        kingtide_exec::keeper::client::connect_or_start(&stage.kingtide_dir(), &nothing, hello.clone()),
        Err(ConnectError::Start(_))
    ));
    std::fs::create_dir_all(stage.path(".kingtide/keeper.sock/x")).expect("a folder in its way");
    match kingtide_exec::keeper::client::connect_or_start(&stage.kingtide_dir(), &executable, hello) {
        Err(ConnectError::NotStarted(reason)) => assert!(reason.contains("socket"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
