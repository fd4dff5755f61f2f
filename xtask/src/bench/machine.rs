//! What it ran on: as much as a reader needs to compare, and neither host name nor path.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::timing::output_of;

/// A line for each fact.
pub(super) fn description(scratch: &Path) -> Vec<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = field(&cpuinfo, "model name").unwrap_or("unknown CPU");
    let guest = field(&cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = field(&meminfo, "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse::<f64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("Linux")
        .trim_matches('"');
    let file_system = output_of(Command::new("stat").args(["-f", "-c", "%T"]).arg(scratch)).unwrap_or_default();
    vec![
        format!(
            "CPU: {model}, {cores} cores{}",
            if guest { ", a virtual machine" } else { "" }
        ),
        format!("memory: {:.0} GiB", memory.unwrap_or(0.0) / 1024.0 / 1024.0),
        format!("system: {system}, kernel {}, {}", kernel.trim(), std::env::consts::ARCH),
        format!("file system: {}", file_system.trim()),
    ]
}

/// The load of the last minute, as the kernel says it.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// Whether a load, as `load` says it, leaves the machine to a benchmark: less than half of its cores.
pub(super) fn is_quiet(load: &str) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    load.parse::<f64>().is_ok_and(|load| load < cores as f64 / 2.0)
}

/// The value behind `name:` in a file of `/proc`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_cannot_be_read_is_not_quiet() {
        assert!(is_quiet("0.00"));
        assert!(!is_quiet("100000.00"));
        assert!(!is_quiet("?"));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "model\t\t: 17\nmodel name\t: A CPU\n";
        assert_eq!(field(text, "model name"), Some("A CPU"));
        assert_eq!(field(text, "name"), None);
    }
}
