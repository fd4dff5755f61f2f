//! This process and this machine as `/proc` tells them, proc(5).

use std::fs;

/// What this process takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_s: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) threads: u64,
    pub(super) open_files: u64,
    /// Seconds since the Unix epoch.
    pub(super) started_s: f64,
}

impl Process {
    /// `None` where `/proc` is not there.
    pub(super) fn read() -> Option<Process> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        let system = fs::read_to_string("/proc/stat").ok()?;
        let booted = system.lines().find_map(|line| line.strip_prefix("btime "))?;
        // Reading the folder has one open.
        let mut process = Process::parse(&stat, booted.trim().parse().ok()?)?;
        process.open_files = open_files.saturating_sub(1);
        Some(process)
    }

    /// Fields are counted from the closing parenthesis of the name, which may hold anything.
    fn parse(stat: &str, booted_s: f64) -> Option<Process> {
        let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
        let fields = &stat[stat.rfind(')')? + 1..];
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // The first of these is field 3 of the page.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Process {
            cpu_s: (number(14)? + number(15)?) as f64 / ticks,
            threads: number(20)?,
            started_s: booted_s + number(22)? as f64 / ticks,
            virtual_bytes: number(23)?,
            resident_bytes: number(24)? * rustix::param::page_size() as u64,
            open_files: 0,
        })
    }
}

/// Bytes that programs can have without others being pushed out.
pub(super) fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Of the last one, five and fifteen minutes.
pub(super) fn load() -> Option<[f64; 3]> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_is_no_field() {
        let stat = "12 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 7 0 1000 8192 3 0";
        let process = Process::parse(stat, 5000.0).expect("it is sound");
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((process.cpu_s, process.threads), (200.0 / ticks, 7));
        assert_eq!(process.started_s, 5000.0 + 1000.0 / ticks);
        assert_eq!(process.virtual_bytes, 8192);
        assert_eq!(process.resident_bytes, 3 * rustix::param::page_size() as u64);
        assert_eq!(Process::parse("12 (cut", 0.0), None);
    }

    #[test]
    fn this_machine_tells_them() {
        let process = Process::read().expect("proc is there");
        assert!(process.resident_bytes > 0 && process.threads > 0 && process.open_files > 0);
        assert!(process.started_s > 1_000_000_000.0);
        assert!(memory_available().is_some_and(|bytes| bytes > 0));
        assert!(load().is_some());
    }
}
