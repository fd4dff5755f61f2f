//! How fast attempts follow one another: `dispatch [COUNT [LIMIT]]` runs `/bin/true` so often, first in a bare
//! `posix_spawn` loop, then through client and keeper, and prints both and their ratio. Build it with `--release`,
//! `examples/keeper` included. `MEMORY=<bytes>` limits each.

#![expect(clippy::print_stdout, reason = "printing is all it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use kingtide_exec::keeper::client::connect_or_start;
use kingtide_exec::processes::Table;
use kingtide_exec::wire::{End, Hello, Report, Request, Start};

/// So many are ahead of each slot.
const AHEAD: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let limit: u32 = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    for round in 1..=3 {
        let own = std::process::id().cast_signed();
        let before = cpu_seconds(own);
        let bare = bare(count, limit as usize);
        let between = cpu_seconds(own);
        let (kept, start, keeper_cpu) = kept(folder.path(), round, count, limit)?;
        let client_cpu = cpu_seconds(own) - between;
        let ratio = kept.as_secs_f64() / bare.as_secs_f64();
        println!(
            "{count} at {limit}: bare {:.2} s, keeper {:.2} s, ratio {ratio:.2}; processor: bare {:.2} s, keeper {:.2} s \
             and client {:.2} s; started in {:.1} ms",
            bare.as_secs_f64(),
            kept.as_secs_f64(),
            between - before,
            keeper_cpu,
            client_cpu,
            start.as_secs_f64() * 1000.0
        );
    }
    Ok(())
}

/// Of a process and the children it has waited for.
fn cpu_seconds(pid: i32) -> f64 {
    let table = Table::read().expect("/proc");
    table.get(pid).map_or(0.0, |process| {
        process.cpu_ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    })
}

fn bare(count: usize, limit: usize) -> Duration {
    let began = Instant::now();
    let mut running = 0;
    let argv = [c"/bin/true".as_ptr().cast_mut(), std::ptr::null_mut()];
    for _ in 0..count {
        // SAFETY: constant strings in null-terminated lists.
        unsafe {
            if running == limit {
                libc::wait(std::ptr::null_mut());
                running -= 1;
            }
            let mut pid = 0;
            let (path, none) = (c"/bin/true".as_ptr(), std::ptr::null());
            let failed = libc::posix_spawn(&mut pid, path, none, std::ptr::null(), argv.as_ptr(), libc_environ());
            assert_eq!(failed, 0);
        }
        running += 1;
    }
    for _ in 0..running {
        // SAFETY: as above.
        unsafe { libc::wait(std::ptr::null_mut()) };
    }
    began.elapsed()
}

unsafe fn libc_environ() -> *const *mut libc::c_char {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    // SAFETY: read only, in a process with one thread.
    unsafe { environ }
}

fn kept(
    folder: &std::path::Path,
    round: i64,
    count: usize,
    limit: u32,
) -> Result<(Duration, Duration, f64), Box<dyn Error>> {
    let kingtide_dir = folder.join(".kingtide");
    std::fs::create_dir_all(&kingtide_dir)?;
    let executable = std::env::current_exe()?.with_file_name("keeper");
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let before = Instant::now();
    let hello = Hello {
        epoch: round,
        env,
        ..Hello::default()
    };
    let (client, welcome) = connect_or_start(&kingtide_dir, &executable, hello)?;
    let start = before.elapsed();
    let (sender, mut receiver) = client.split();
    let order = |number: usize| {
        Request::Start(Box::new(Start {
            attempt: format!("{round}/{number}/1"),
            pool: "true".into(),
            limit,
            argv: vec!["/bin/true".into()],
            workdir: folder.to_string_lossy().into_owned(),
            env: [
                ("KINGTIDE_RUN", format!("{round}")),
                ("KINGTIDE_TASK", format!("{number}")),
                ("KINGTIDE_ATTEMPT", "1".into()),
                ("KINGTIDE_MESSAGE", format!("{{\"n\":{number}}}")),
                ("KINGTIDE_PARAM_N", format!("{number}")),
                ("OMP_NUM_THREADS", "1".into()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
            memory: std::env::var("MEMORY").ok().and_then(|bytes| bytes.parse().ok()),
            timeout_ms: None,
            stop_timeout_ms: 1000,
            log: kingtide_dir
                .join(format!("logs/{number}.log"))
                .to_string_lossy()
                .into_owned(),
            log_limit: 1 << 20,
        }))
    };
    let began = Instant::now();
    let (mut sent, mut done) = (0, 0);
    while done < count {
        let more = (done + AHEAD * limit as usize).min(count) - sent;
        let mut requests: Vec<Request> = (sent..sent + more).map(order).collect();
        sent += more;
        let mut attempts = Vec::new();
        sender.send(&requests)?;
        requests.clear();
        for report in receiver.next_batch()? {
            if let Report::Exited(exited) = report {
                assert_eq!(exited.end, End::Code(0), "{exited:?}");
                attempts.push(exited.attempt);
            }
        }
        if attempts.is_empty() {
            continue;
        }
        done += attempts.len();
        sender.send(&[Request::Acknowledge { attempts }])?;
    }
    Ok((began.elapsed(), start, cpu_seconds(welcome.pid.cast_signed())))
}
