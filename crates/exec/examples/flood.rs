//! How fast a chatty program is read: `flood [GIGABYTES]` lets programs write so much, first into `cat >/dev/null` and
//! then into a log of 64 MiB, and prints both. Build it with `--release`, `examples/keeper` included.

#![expect(clippy::print_stdout, reason = "printing is all it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::process::Command;
use std::time::Instant;

use kingtide_exec::keeper::client::connect_or_start;
use kingtide_exec::wire::{Hello, Report, Request, Start};

fn main() -> Result<(), Box<dyn Error>> {
    let gigabytes: u64 = std::env::args().nth(1).map_or(Ok(10), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let kingtide_dir = folder.path().join(".kingtide");
    std::fs::create_dir_all(&kingtide_dir)?;
    let executable = std::env::current_exe()?.with_file_name("keeper");
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let secrets = vec!["hunter2-is-secret".to_owned()];
    let (client, _) = connect_or_start(
        &kingtide_dir,
        &executable,
        Hello {
            epoch: 1,
            env,
            secrets,
            ..Hello::default()
        },
    )?;
    let (sender, mut receiver) = client.split();
    let bytes = gigabytes * 1_000_000_000;
    let programs = [
        ("one endless line", format!("head -c {bytes} /dev/zero")),
        (
            "lines of 100 bytes",
            format!("yes {} | head -c {bytes}", "x".repeat(99)),
        ),
        ("lines of 2 bytes", format!("yes | head -c {bytes}")),
    ];
    for (number, (name, script)) in programs.into_iter().enumerate() {
        let rate = |began: Instant| gigabytes as f64 / began.elapsed().as_secs_f64();
        let began = Instant::now();
        Command::new("/bin/sh")
            .args(["-c", &format!("{script} | cat >/dev/null")])
            .status()?;
        let cat = rate(began);
        let start = Start {
            attempt: format!("1/{number}/1"),
            pool: "flood".into(),
            limit: 1,
            argv: ["/bin/sh", "-c", &script].map(str::to_owned).into(),
            workdir: folder.path().to_string_lossy().into_owned(),
            env: Vec::new(),
            memory: None,
            timeout_ms: None,
            stop_timeout_ms: 1000,
            log: folder
                .path()
                .join(format!("{number}.log"))
                .to_string_lossy()
                .into_owned(),
            log_limit: 64 << 20,
        };
        let began = Instant::now();
        sender.send(&[Request::Start(Box::new(start))])?;
        while !matches!(receiver.next_report()?.ok_or("the keeper is gone")?, Report::Exited(_)) {}
        let kept = rate(began);
        println!("{name}: cat {cat:.2} GB/s, log {kept:.2} GB/s, {:.2} of it", kept / cat);
    }
    Ok(())
}
