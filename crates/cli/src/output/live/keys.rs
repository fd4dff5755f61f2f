//! Single keys from the terminal: while somebody listens it hands them over at once and shows none of them. Ctrl-C, Ctrl-Z and Ctrl-\ work
//! as ever. Its mode is put back on every way out; and in the background it is left alone, since it is another's then.

use std::io::IsTerminal;

use rustix::event::{PollFd, PollFlags};
use rustix::process;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};

/// What somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// What runs.
    Glimpse,
    /// To leave.
    Quit,
    /// What keys there are.
    Help,
}

/// The keys of the terminal that is the standard input. Dropping it puts its mode back.
#[derive(Debug)]
pub(super) struct Keys {
    /// As it was before it was ours.
    before: Option<Termios>,
    is_terminal: bool,
}

impl Keys {
    /// Changes nothing yet.
    pub(super) fn new() -> Keys {
        Keys {
            before: None,
            is_terminal: std::io::stdin().is_terminal(),
        }
    }

    /// Whether keys are heard.
    pub(super) fn is_listening(&self) -> bool {
        self.before.is_some()
    }

    /// To be called whenever things may have changed: listens in the foreground, and nowhere else.
    pub(super) fn attend(&mut self) {
        if !self.is_terminal {
            return;
        }
        if is_foreground(rustix::stdio::stdin()) != Some(true) {
            // A shell has set it up for somebody else.
            self.before = None;
        } else if self.before.is_none() {
            self.listen();
        }
    }

    /// Whoever was stopped does not know what became of the terminal meanwhile.
    pub(super) fn renew(&mut self) {
        if self.is_terminal && is_foreground(rustix::stdio::stdin()) == Some(true) {
            let before = self.before.take();
            self.listen();
            // It was still ours: then what it was before still holds.
            if let (Some(before), Some(now)) = (before, &self.before)
                && !now.local_modes.contains(LocalModes::ICANON)
            {
                self.before = Some(before);
            }
        }
    }

    fn listen(&mut self) {
        let Ok(before) = tcgetattr(rustix::stdio::stdin()) else {
            return;
        };
        let mut ours = before.clone();
        ours.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // Reading never waits.
        ours.special_codes[SpecialCodeIndex::VMIN] = 0;
        ours.special_codes[SpecialCodeIndex::VTIME] = 0;
        if tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &ours).is_ok() {
            self.before = Some(before);
        }
    }

    /// Puts the mode back.
    pub(super) fn release(&mut self) {
        let Some(before) = self.before.take() else { return };
        if is_foreground(rustix::stdio::stdin()) == Some(true) {
            // A terminal that has gone away needs no mode.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
        }
    }

    /// What to wait for.
    pub(super) fn poll(&self) -> Option<PollFd<'static>> {
        self.is_listening()
            .then(|| PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN))
    }

    /// What was typed; called when there is something. A terminal that has gone away is not listened to any more.
    pub(super) fn read(&mut self) -> Vec<Key> {
        if is_foreground(rustix::stdio::stdin()) != Some(true) {
            // To read what is another's would stop us.
            self.before = None;
            return Vec::new();
        }
        let mut buffer = [0; 64];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(length) if length > 0 => meant(&buffer[..length]),
            // Nothing, as it may be; or nothing for ever.
            _ if tcgetattr(rustix::stdio::stdin()).is_ok() => Vec::new(),
            _ => {
                self.is_terminal = false;
                self.before = None;
                Vec::new()
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.release();
    }
}

/// Whether a terminal listens to this process group. `None` where that cannot be said: it is no terminal, or not the one of this session.
pub(super) fn is_foreground(terminal: std::os::fd::BorrowedFd<'_>) -> Option<bool> {
    if !isatty(terminal) {
        return None;
    }
    let group = tcgetpgrp(terminal).ok()?;
    Some(group == process::getpgrp())
}

/// Whether there is somebody who could have a stopped process go on: a shell above its group, in the same session. Of other groups the
/// kernel stops none for Ctrl-Z.
pub(super) fn has_shell() -> bool {
    let (group, session) = (process::getpgrp(), process::getsid(None));
    let mut above = process::getppid();
    while let Some(pid) = above {
        if process::getpgid(Some(pid)) != Ok(group) {
            return process::getsid(Some(pid)) == session;
        }
        above = parent(pid);
    }
    false
}

fn parent(pid: process::Pid) -> Option<process::Pid> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    process::Pid::from_raw(parent.trim().parse().ok()?)
}

/// Each once, however often it was pressed. What begins with an escape is a key of another kind.
fn meant(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    for byte in bytes.iter().take_while(|byte| **byte != 0x1b) {
        let key = match byte {
            b't' | b'T' => Key::Glimpse,
            b'q' | b'Q' => Key::Quit,
            b'?' | b'h' | b'H' => Key::Help,
            _ => continue,
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood_once_each_and_others_are_not() {
        assert_eq!(meant(b"xtTt?q"), [Key::Glimpse, Key::Help, Key::Quit]);
        assert_eq!(meant(b"t\x1b[1;5h"), [Key::Glimpse]);
        assert_eq!(meant(b"\x1bOq"), []);
    }
}
