//! The thread that paints: it waits for news, keys and signals, and for the clocks; ten times a second at most for news, thirty for a
//! person. Everything that touches the terminal happens here, so that nothing is written in the middle of something else.
//!
//! Before it is stopped (Ctrl-Z) the region goes and the terminal's mode is put back; in the background nothing is drawn.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::emulate_default_handler;

use super::canvas::Canvas;
use super::frame::frame;
use super::keys::{Key, Keys, has_shell, is_foreground};
use super::{Board, News, Size};
use crate::output::text::plural;

/// Between two frames for what is new.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two frames for a person, who presses keys or resizes: thirty a second.
const BRISK_PAUSE: Duration = Duration::from_millis(34);
/// The clocks show seconds.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Painter<'a> {
    board: &'a Board,
    keys: Keys,
    signals: Option<Signals>,
    canvas: Canvas,
    /// Lines to be printed above, beside those of the board.
    answers: Vec<String>,
    painted: Instant,
    is_pressed: bool,
    /// Continued by the signal that has not been read yet: nobody has written since.
    is_continued: bool,
}

type Signals = SignalDelivery<UnixStream, SignalOnly>;

impl<'a> Painter<'a> {
    pub(super) fn new(board: &'a Board) -> Painter<'a> {
        Painter {
            board,
            keys: Keys::new(),
            signals: listen(),
            canvas: Canvas::default(),
            answers: Vec::new(),
            painted: Instant::now(),
            is_pressed: false,
            is_continued: false,
        }
    }

    /// Until the board says that it is over.
    pub(super) fn run(mut self) {
        loop {
            self.wait();
            self.heed_signals();
            let mut news = self.board.news();
            let is_due = self.painted.elapsed() >= self.pause(news.is_new);
            if !is_due && !news.is_over {
                continue;
            }
            let above = news.take_above();
            let is_over = news.is_over;
            let lines = self.lines(&news, is_over);
            // Nobody waits for the terminal.
            drop(news);
            self.paint(&above, lines);
            if is_over {
                return;
            }
        }
    }

    /// How long after a frame the next one is due.
    fn pause(&self, is_new: bool) -> Duration {
        match (self.is_pressed, is_new) {
            (true, _) => BRISK_PAUSE,
            (false, true) => PAUSE,
            (false, false) => TICK,
        }
    }

    /// For something to do, and no longer than until the next frame is due.
    fn wait(&mut self) {
        let pause = self.pause(self.board.news().is_new);
        let timeout = Timespec::try_from(pause.saturating_sub(self.painted.elapsed())).ok();
        let mut sources = vec![PollFd::new(&self.board.bell, PollFlags::IN)];
        sources.extend(
            self.signals
                .as_ref()
                .map(|signals| PollFd::new(signals.get_read(), PollFlags::IN)),
        );
        let keys = sources.len();
        sources.extend(self.keys.poll());
        // What fails here is interrupted; whatever is ready then is ready the next time too.
        let is_ready = poll(&mut sources, timeout.as_ref()).is_ok();
        let is_typed = is_ready && sources.get(keys).is_some_and(|keys| !keys.revents().is_empty());
        drop(sources);
        self.board.silence();
        if is_typed {
            self.heed_keys();
        }
    }

    fn heed_keys(&mut self) {
        for key in self.keys.read() {
            self.is_pressed = true;
            match key {
                Key::Glimpse => self.glimpse(),
                Key::Quit => match &self.board.departure {
                    Some(departure) => departure.leave(),
                    None => self.answers.push(format!(
                        "{} runs in this process: Ctrl-C stops it; `kingtide run --detach` would run it in another",
                        self.board.caption.title
                    )),
                },
                Key::Help => self.answers.extend(self.help()),
            }
        }
    }

    fn help(&self) -> Vec<String> {
        let (quit, end) = match self.board.departure {
            Some(_) => ("stops watching; the run goes on", "the same"),
            None => (
                "says how to have a run go on without a terminal",
                "nothing new starts; again: ends what runs",
            ),
        };
        let lines = [
            (
                "t",
                "what runs, with the last lines of its output; SIGUSR1 does the same",
            ),
            ("q", quit),
            ("?", "these lines"),
            ("Ctrl-C", end),
        ];
        let style = self.board.caption.style;
        let line = |(key, what): (&str, &str)| format!("  {} {what}", style.bold(&format!("{key:<7}")));
        lines.map(line).to_vec()
    }

    fn glimpse(&mut self) {
        // The logs are read without the lock.
        let shown = self.board.news().progress.clone();
        let Some((progress, seen)) = shown else {
            self.answers.push(format!("{}: nothing runs", self.board.caption.title));
            return;
        };
        let columns = Size::of_stderr().columns.saturating_sub(1);
        let text = self.board.glimpse.text(&progress, seen.elapsed(), columns);
        self.answers.extend(text.lines().map(str::to_owned));
    }

    fn heed_signals(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        let pending: Vec<i32> = signals.pending().collect();
        for signal in pending {
            match signal {
                SIGWINCH => self.is_pressed = true,
                SIGUSR1 => {
                    self.is_pressed = true;
                    self.glimpse();
                }
                SIGCONT => {
                    if !std::mem::take(&mut self.is_continued) {
                        self.canvas.forget();
                    }
                    self.keys.renew();
                    self.is_pressed = true;
                }
                SIGTSTP if !has_shell() => {}
                SIGTSTP => {
                    self.leave(signal);
                    self.canvas.forget();
                    self.is_continued = true;
                    self.is_pressed = true;
                }
                // It ends the process.
                _ => self.leave(signal),
            }
        }
    }

    /// Does what the signal would have done, with the terminal as it was before us.
    fn leave(&mut self, signal: i32) {
        self.paint(&[], Vec::new());
        self.keys.release();
        // It cannot fail for signals that there are.
        let _ = emulate_default_handler(signal);
    }

    fn lines(&mut self, news: &News, is_over: bool) -> Vec<String> {
        // Who writes nowhere else than here need not ask whose terminal it is.
        let is_ours = is_foreground(rustix::stdio::stderr()) != Some(false);
        let Some((progress, seen)) = news.progress.as_ref().filter(|_| is_ours && !is_over) else {
            return Vec::new();
        };
        // With the first progress Ctrl-C is listened to: from then on no signal ends us behind our back.
        self.keys.attend();
        let has_keys = self.keys.is_listening();
        frame(
            &self.board.caption,
            progress,
            seen.elapsed(),
            Size::of_stderr(),
            has_keys,
        )
    }

    fn paint(&mut self, above: &[String], lines: Vec<String>) {
        let mut above = above.to_vec();
        above.append(&mut self.answers);
        let text = self.canvas.repaint(&above, lines, Size::of_stderr());
        if !text.is_empty() {
            let mut stderr = std::io::stderr().lock();
            // A terminal that has gone away is no reason to stop working.
            let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        }
        self.painted = Instant::now();
        self.is_pressed = false;
    }
}

impl News {
    fn take_above(&mut self) -> Vec<String> {
        self.is_new = false;
        let mut above = std::mem::take(&mut self.above);
        let unprinted = std::mem::take(&mut self.unprinted);
        if unprinted > 0 {
            above.push(format!("… {} could not be shown in time", plural(unprinted, "line")));
        }
        above
    }
}

/// The signals that concern the terminal, less those that our parent had us ignore.
fn listen() -> Option<Signals> {
    let ignored = ignored();
    let signals = [SIGWINCH, SIGUSR1, SIGCONT, SIGTSTP, SIGQUIT, SIGHUP];
    let signals = signals.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let (read, write) = UnixStream::pair().ok()?;
    SignalDelivery::with_pipe(read, write, SignalOnly, signals).ok()
}

/// One bit for each signal that is ignored; `nohup`, and shells without job control, have their programs do so.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
