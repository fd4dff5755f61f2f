//! What a container sees and may do.

use std::os::unix::fs::MetadataExt;

use kingtide_exec::wire::End;
use kingtide_runtime::docker::Mount;

use crate::harbour::harbour;

#[test]
fn mounts_a_user_shared_memory_and_a_folder() {
    let Some(mut harbour) = harbour() else { return };
    let data = harbour.project().join("data");
    std::fs::create_dir(&data).expect("made");
    std::fs::write(data.join("rows"), "3\n").expect("written");
    let message = harbour.project().join("message.json");
    std::fs::write(&message, "{\"long\":1}").expect("written");
    let mut start = harbour.script(
        "1/1/1",
        "cat rows; touch /data/x 2>/dev/null || echo read-only; id -u; id -g; pwd; df -m /dev/shm | tail -1 | awk '{print $2}'; \
         cat $KINGTIDE_MESSAGE_FILE; echo; grep -c host.docker.internal /etc/hosts; \
         echo 1 > $KINGTIDE_RESULT; mkdir $KINGTIDE_OUTPUT/d; echo x > $KINGTIDE_OUTPUT/d/f; chmod 700 $KINGTIDE_OUTPUT/d",
    );
    start.mounts = vec![Mount {
        source: data.clone(),
        target: "/data".to_owned(),
        read_only: true,
    }];
    start.message_file = Some(message);
    start.user = Some("1234:5678".to_owned());
    start.shm_size = Some(32 << 20);
    start.workdir = Some("/data".to_owned());
    let exited = harbour.run(start);
    assert_eq!(exited.end, End::Code(0), "{}", exited.tail);
    assert_eq!(
        harbour.log("1/1/1"),
        ["3", "read-only", "1234", "5678", "/data", "32", "{\"long\":1}", "1"]
    );
    let output = exited.output.expect("an output");
    let folder = std::fs::metadata(&output).expect("there");
    assert_eq!(folder.mode() & 0o777, 0o755, "no longer open to all");
    assert_eq!(
        std::fs::read_to_string(format!("{output}/d/f")).expect("ours to read"),
        "x\n"
    );
    harbour.acknowledge("1/1/1");
    harbour.await_containers(0);
    assert_eq!(harbour.work_folders(), [] as [&str; 0], "and ours to remove");
}

#[test]
fn nothing_of_this_machine_is_inherited_and_nothing_can_be_gained() {
    let Some(mut harbour) = harbour() else { return };
    let script = "env | cut -d= -f1 | sort | tr '\\n' ' '; echo; grep -E '^(NoNewPrivs|CapEff)' /proc/self/status; \
                  cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; ls /dev | grep -c '^[sv]d[a-z]$'";
    let mut start = harbour.script("1/1/1", script);
    start.env = vec![("OWN".to_owned(), "1".to_owned())];
    harbour.run(start);
    let log = harbour.log("1/1/1");
    let names: Vec<&str> = log[0]
        .split_whitespace()
        .filter(|name| !matches!(*name, "SHLVL" | "PWD" | "HOSTNAME" | "HOME"))
        .collect();
    assert_eq!(
        names,
        ["FROM_IMAGE", "KINGTIDE_OUTPUT", "KINGTIDE_RESULT", "OWN", "PATH"]
    );
    assert!(log.contains(&"NoNewPrivs:\t1".to_owned()), "{log:?}");
    assert!(log.contains(&"16384".to_owned()), "{log:?}");
    assert_eq!(
        log.last().map(String::as_str),
        Some("0"),
        "no disk of the machine is seen"
    );
}

#[test]
fn a_container_reaches_this_machine_by_name() {
    use std::io::Read;
    let Some(mut harbour) = harbour() else { return };
    let Some(address) = harbour.docker().bridge_address() else {
        eprintln!("skipped: the engine has no bridge");
        return;
    };
    let Ok(listener) = std::net::TcpListener::bind((address, 0)) else {
        eprintln!("skipped: the bridge of the engine, {address}, is not this machine's");
        return;
    };
    let port = listener.local_addr().expect("bound").port();
    let heard = std::thread::spawn(move || {
        let mut text = String::new();
        listener
            .accept()
            .map(|(mut stream, _)| stream.read_to_string(&mut text))
            .expect("somebody came")
            .expect("text");
        text
    });
    let start = harbour.script("1/1/1", &format!("echo hello | nc -w 5 host.docker.internal {port}"));
    assert_eq!(harbour.run(start).end, End::Code(0));
    assert_eq!(heard.join().expect("heard"), "hello\n");
}

#[test]
fn what_it_uses_is_sampled() {
    let Some(mut harbour) = harbour() else { return };
    let mut start = harbour.script(
        "1/1/1",
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; while true; do :; done",
    );
    start.memory = Some(256 << 20);
    start.cpu_milli = 500;
    start.stop_timeout_ms = 0;
    harbour.docker().start(start);
    let mut usage = harbour.await_sample("1/1/1");
    while usage.cpu_ms < 700 {
        usage = harbour.await_sample("1/1/1");
    }
    harbour.stop("1/1/1", kingtide_exec::wire::StopReason::Cancel);
    let exited = harbour.await_exit("1/1/1");
    assert!(usage.memory >= 20 << 20 && usage.memory < 64 << 20, "{usage:?}");
    assert!(
        exited.usage.cpu_ms >= 700 && exited.usage.memory_peak >= usage.memory,
        "{exited:?}"
    );
    let wall = (exited.ended_ms - exited.started_ms) as u64;
    assert!(
        exited.usage.cpu_ms < wall * 7 / 10,
        "half a core: {} ms in {wall} ms",
        exited.usage.cpu_ms
    );
}

#[test]
fn a_log_is_whole_ordered_and_kept_within_its_limit() {
    let Some(mut harbour) = harbour() else { return };
    let start = harbour.script("1/1/1", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end");
    assert_eq!(harbour.run(start).end, End::Code(0));
    let log = harbour.log("1/1/1");
    assert_eq!(log.len(), 3002);
    assert_eq!(log.len(), 3002);
    let expected: Vec<String> = (0..3000).map(|number| format!("line {number}")).collect();
    assert_eq!(log[..3000], expected);
    assert_eq!(log[3000], "x".repeat(40_000), "a long line comes in pieces and is one");
    assert_eq!(log[3001], "end");

    let mut start = harbour.script("1/2/1", "yes 'a line of a flood' | head -c 3000000");
    start.log_limit = 100_000;
    assert_eq!(harbour.run(start).end, End::Code(0));
    let kept = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let log = harbour.log_path("1/2/1");
    let both = kept(&log) + kept(&log.with_extension("log.1"));
    assert!((50_000..=100_000).contains(&both), "{both}");
}

/// Set in a copy of this program that runs as somebody else.
const AS_SOMEBODY: &str = "KINGTIDE_TEST_AS_SOMEBODY";

#[test]
fn what_a_container_wrote_as_root_is_handed_over() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(AS_SOMEBODY).is_some() {
        let mut harbour = harbour().expect("it was there for root");
        let script =
            "umask 077; mkdir -p $KINGTIDE_OUTPUT/d/e; echo x > $KINGTIDE_OUTPUT/d/e/f; ln -s /etc $KINGTIDE_OUTPUT/l";
        let start = harbour.script("1/1/1", script);
        let output = harbour.run(start).output.expect("an output");
        assert_eq!(std::fs::read_to_string(format!("{output}/d/e/f")).expect("ours"), "x\n");
        harbour.acknowledge("1/1/1");
        harbour.await_containers(0);
        assert_eq!(harbour.work_folders(), [] as [&str; 0]);
        return;
    }
    let Some(harbour) = harbour() else { return };
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let socket = std::fs::metadata(harbour.host().trim_start_matches("unix://")).expect("there");
    // Where somebody else may read it.
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("test");
    std::fs::copy(std::env::current_exe().expect("known"), &program).expect("copied");
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    }
    let name = "inside::what_a_container_wrote_as_root_is_handed_over";
    let ended = std::process::Command::new(&program)
        .args([name, "--exact", "--nocapture"])
        .env(AS_SOMEBODY, "1")
        .env("KINGTIDE_TEST_DOCKER", harbour.host())
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .uid(65_534)
        .gid(socket.gid())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}
