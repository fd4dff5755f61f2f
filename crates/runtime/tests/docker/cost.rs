//! What a container costs beside `docker run` of the same image.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kingtide_exec::wire::End;

use crate::harbour::harbour;

const ROUNDS: usize = 20;
/// From the order to the report of the end, as a share of `docker run` from its start to its end.
const MOST: f64 = 1.1;

#[test]
fn heavy_a_container_costs_little_more_than_docker_run() {
    let Some(mut harbour) = harbour() else { return };
    let image = harbour.busybox();
    let host = harbour.host();
    let label = format!("kingtide.project={}", harbour.project_id());
    let docker = |args: &[&str]| {
        let mut command = Command::new("docker");
        let ended = command
            .args(["--host", &host])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        ended.is_ok_and(|status| status.success())
    };
    // Neither side's time has the removal in it.
    let docker_run = || {
        let began = Instant::now();
        let ran = docker(&[
            "run",
            "--label",
            &label,
            "--name",
            "kingtide-test-cost",
            &image.id,
            "true",
        ]);
        let took = began.elapsed();
        ran.then(|| docker(&["rm", "kingtide-test-cost"])).map(|_| took)
    };
    if docker_run().is_none() {
        eprintln!("skipped: the `docker` program does not run here");
        return;
    }
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // By turns, so that both meet the same machine.
        theirs.push(docker_run().expect("it ran before"));
        let attempt = format!("1/{round}/1");
        let mut start = harbour.script(&attempt, "");
        start.args = vec!["true".to_owned()];
        let began = Instant::now();
        assert_eq!(harbour.run(start).end, End::Code(0));
        ours.push(began.elapsed());
        harbour.acknowledge(&attempt);
        harbour.await_containers(0);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2]
    };
    let (theirs, ours) = (median(&mut theirs), median(&mut ours));
    let share = ours.as_secs_f64() / theirs.as_secs_f64();
    eprintln!("docker run {theirs:?}, Kingtide {ours:?}: {share:.2} of it");
    assert!(share <= MOST, "{share:.2}");
}
