//! A program in a terminal of its own: a pseudo-terminal whose other end is a [`Screen`]. Keys are pressed, the size is changed, and what is
//! seen is awaited.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::patience::PATIENCE;
use crate::screen::Screen;

/// A program and the person in front of it.
pub struct Terminal {
    child: Child,
    /// The end that is ours.
    person: File,
    sight: Arc<Sight>,
    command: String,
}

/// What is seen, and the bell for more.
struct Sight {
    seen: Mutex<Seen>,
    more: Condvar,
}

struct Seen {
    screen: Screen,
    /// Nobody holds the program's end any more.
    is_closed: bool,
}

impl Terminal {
    /// Starts a command as the leader of a session that has this terminal, with its environment and folder.
    #[track_caller]
    pub fn start(command: &Command, columns: u16, rows: u16) -> Terminal {
        let (person, program) = pair();
        tcsetwinsize(&person, size(columns, rows)).expect("a terminal has a size");
        let stdio = || Stdio::from(program.try_clone().expect("there are descriptors left"));
        // setsid(1) does what takes unsafe code here.
        let mut leader = Command::new("setsid");
        leader
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("TERM", "xterm-256color")
            .current_dir(command.get_current_dir().expect("a project has a folder"))
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio());
        let child = leader
            .spawn()
            .unwrap_or_else(|error| panic!("{leader:?} does not start: {error}"));
        // With the last descriptor of the program its output ends.
        drop((leader, program));
        let person = File::from(person);
        let sight = Arc::new(Sight {
            seen: Mutex::new(Seen {
                screen: Screen::new(columns.into(), rows.into()),
                is_closed: false,
            }),
            more: Condvar::new(),
        });
        look(
            person.try_clone().expect("there are descriptors left"),
            Arc::clone(&sight),
        );
        Terminal {
            child,
            person,
            sight,
            command: format!("{command:?}"),
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Makes the terminal of another size; the program is told.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.sight.lock().screen.resize(columns.into(), rows.into());
        tcsetwinsize(&self.person, size(columns, rows)).expect("a terminal has a size");
    }

    /// Everything that was seen, what has scrolled away included.
    pub fn text(&self) -> String {
        self.sight.lock().screen.history()
    }

    /// Waits until something is seen, and gives everything back.
    #[track_caller]
    pub fn wait_for(&self, needle: &str) -> String {
        self.wait_until(needle, |text| text.contains(needle))
    }

    /// Waits until what is seen is as it should be; panics with what is seen when it is not.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_right: impl Fn(&str) -> bool) -> String {
        self.sight
            .wait(what, &self.command, |seen| is_right(&seen.screen.history()))
    }

    /// Whether lines are edited and shown by the terminal, as a shell leaves it.
    pub fn is_as_usual(&self) -> bool {
        let modes = tcgetattr(&self.person).expect("it is a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("it is a process's number"));
        kill_process(pid.expect("a process has a number"), signal).expect("it has not been waited for");
    }

    /// Its exit code, 128 + the signal when one ended it, and everything that was seen.
    #[track_caller]
    pub fn wait(mut self) -> (i32, String) {
        // What it wrote last is seen before the end of it.
        let text = self.sight.wait("its end", &self.command, |seen| seen.is_closed);
        let status = self.child.wait().expect("it is our child");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        (code, text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that was waited for is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sight {
    /// A test that panicked with the lock has said why; what was seen is still right.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn wait(&self, what: &str, command: &str, is_right: impl Fn(&Seen) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.lock();
        while !is_right(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = seen.screen.history();
                drop(seen);
                panic!("{what}: not seen; {command} shows:\n{text}");
            }
            let more = self.more.wait_timeout(seen, left);
            seen = more.unwrap_or_else(PoisonError::into_inner).0;
        }
        seen.screen.history()
    }
}

/// Both ends of a new terminal: the person's and the program's.
fn pair() -> (OwnedFd, OwnedFd) {
    let person =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal is to be had");
    grantpt(&person).expect("it is ours");
    unlockpt(&person).expect("it is ours");
    let name = ptsname(&person, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program = rustix::fs::open(name, flags, Mode::empty()).expect("it is there");
    (person, program)
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// A thread that takes in all that is written, until nobody holds the other end any more.
fn look(mut terminal: File, sight: Arc<Sight>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = terminal.read(&mut buffer) {
            sight.lock().screen.feed(&buffer[..length]);
            sight.more.notify_all();
        }
        sight.lock().is_closed = true;
        sight.more.notify_all();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_it_reads_and_writes_and_knows_its_size() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "stty size; read line; echo \"heard $line\"; stty size; stty -icanon; read more; exit 3",
        ]);
        command.current_dir("/");
        let mut terminal = Terminal::start(&command, 50, 10);
        terminal.wait_for("10 50");
        assert!(terminal.is_as_usual());
        terminal.resize(60, 12);
        terminal.press("me\n");
        // What is typed is shown, as the terminal is as usual.
        assert_eq!(terminal.wait_for("12 60"), "10 50\nme\nheard me\n12 60");
        terminal.press("you\n");
        assert_eq!(terminal.wait().0, 3);
    }
}
