//! Logs: capped, without secrets, and never in the way of whoever writes.

mod stage;

use kingtide_exec::wire::End;
use stage::Stage;

#[test]
fn both_files_together_keep_the_limit_and_the_end() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    let mut start = runtime.shell("1/1/1", "seq 1 20000; exit 1");
    start.log_limit = 100_000;
    let exited = runtime.run(start);
    let (earlier, later) = (stage.log("1.log.1"), stage.log("1.log"));
    assert!(
        earlier.len() <= 50_000 && later.len() <= 50_000,
        "{} and {}",
        earlier.len(),
        later.len()
    );
    assert!(earlier.len() > 49_000);
    assert!(later.ends_with("Z 20000\n"));
    // No line is missing from where the first file begins.
    let numbers: Vec<u32> = earlier
        .lines()
        .chain(later.lines())
        .map(|line| line[25..].parse().expect("a number"))
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "a line is missing"
    );
    assert!(
        exited.tail.ends_with("\n20000\n") && exited.tail.len() <= 2048,
        "{}",
        exited.tail
    );
}

#[test]
fn a_line_longer_than_a_file_is_cut() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    // About as long as a file, in two parts: whichever way it is cut, it ends.
    for length in 1990..2050 {
        let attempt = format!("1/{length}/1");
        let script = format!("printf '%01000d' 1; sleep 0.01; printf '%0{length}d\\n' 1");
        let mut start = runtime.shell(&attempt, &script);
        start.log_limit = 4096;
        assert_eq!(runtime.run(start).end, End::Code(0));
        assert!(stage.log(&format!("{length}.log")).ends_with("01\n"));
    }
    let mut start = runtime.shell("1/1/1", "head -c 100000 /dev/zero | tr '\\0' x");
    start.log_limit = 4096;
    assert_eq!(runtime.run(start).end, End::Code(0));
    let (earlier, later) = (stage.log("1.log.1"), stage.log("1.log"));
    assert!(earlier.len() <= 2048 && later.len() <= 2048 && earlier.contains("Z xxx") && later.contains("Z xxx"));
}

#[test]
fn secrets_are_not_in_logs_tails_or_reasons() {
    let mut stage = Stage::new();
    stage.secrets = vec![
        "hunter2-is-secret".into(),
        "line one is long\nline two is long\n".into(),
    ];
    let mut runtime = stage.runtime(1);
    let script = "echo a hunter2-is-secret b; printf hunter2-; sleep 0.1; echo is-secret; \
                  printf 'line one is long\\nline two is long\\n'; echo '  line two is long'; printf hunter2-; exit 1";
    let exited = runtime.run_shell("1/1/1", script);
    assert_eq!(exited.tail, "a *** b\n***\n***\n  ***\nhunter2-");
    let texts: Vec<String> = stage.log("1.log").lines().map(|line| line[25..].to_owned()).collect();
    assert_eq!(texts, ["a *** b", "***", "***", "  ***", "hunter2-"]);
    let exited = runtime.run(runtime.order("1/2/1", &["./hunter2-is-secret"]));
    assert!(
        matches!(&exited.end, End::NotStarted(text) if text.contains("`./***`")),
        "{exited:?}"
    );
}

#[test]
fn a_flood_is_read_as_fast_as_it_comes_and_its_end_is_kept() {
    let stage = Stage::new();
    let mut runtime = stage.runtime(1);
    // Short lines: the worst case, a log of them is thirteen times as large as they are.
    let mut start = runtime.shell("1/1/1", "yes | head -c 300000000; echo the end; exit 1");
    start.log_limit = 1 << 20;
    let exited = runtime.run(start);
    let (earlier, later) = (stage.log("1.log.1"), stage.log("1.log"));
    assert!(earlier.len() + later.len() <= 1 << 20);
    assert!(later.ends_with("Z the end\n") && exited.tail.ends_with("\nthe end\n"));
}

#[test]
fn a_full_disk_costs_the_log_and_not_the_program() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let stage = Stage::new();
    let disk = stage.path("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mount = |arguments: &[&str]| {
        std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&disk)
            .status()
            .is_ok_and(|s| s.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        eprintln!("skipped: no small disk can be mounted here");
        return;
    }
    let mut runtime = stage.runtime(1);
    let log = disk.join("1.log").to_string_lossy().into_owned();
    let mut start = runtime.shell("1/1/1", "seq 1 200000; echo done > good");
    start.log.clone_from(&log);
    start.log_limit = 64 << 20;
    let exited = runtime.run(start);
    // It failed while the disk was full: that is not held against it.
    let mut start = runtime.shell("1/2/1", "seq 1 200000; exit 1");
    start.log = log;
    start.log_limit = 64 << 20;
    let failed = runtime.run(start);
    // There is room again while it runs.
    std::fs::remove_file(disk.join("1.log")).expect("a log");
    assert!(mount(&["umount"]));
    assert_eq!(exited.end, End::Code(0));
    assert!(stage.path("good").exists());
    assert_eq!(failed.end, End::DiskFull);
}
