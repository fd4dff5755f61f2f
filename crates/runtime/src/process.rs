//! Processes as the kernel knows them: a number together with its start, so that a number taken again is not mistaken.

use crate::store::Holder;

/// This process.
pub(crate) fn ours() -> Holder {
    let pid = std::process::id();
    Holder {
        pid,
        process_start: start_of(pid).unwrap_or(0),
        boot: boot_id(),
    }
}

/// Whether a holder is still the process it was when it took the lease.
pub(crate) fn is_alive(holder: &Holder) -> bool {
    holder.boot == boot_id() && start_of(holder.pid) == Some(holder.process_start)
}

/// When a process started, in clock ticks after boot: field 22 of `/proc/PID/stat`, proc(5). The name in field 2 may hold
/// anything, so fields are counted from its closing parenthesis.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = &stat[stat.rfind(')')? + 1..];
    let mut fields = fields.split_ascii_whitespace();
    // A zombie has ended: it holds nothing any more.
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other() {
        let us = ours();
        assert!(us.process_start > 0 && is_alive(&us));
        assert!(!is_alive(&Holder {
            process_start: us.process_start + 1,
            ..us.clone()
        }));
        assert!(!is_alive(&Holder {
            boot: "another".to_owned(),
            ..us
        }));
    }
}
