//! The live region: bar, deadline, load, what runs, drawn over and over at the foot of a terminal, with failures printed above it, and keys
//! that are listened to.
//!
//! `frame` is pure: what is shown. `canvas` is too: what to write for it. `painter` is a thread of its own, so that the runtime never waits
//! for a terminal. The region is drawn by ourselves: it knows what it drew, so that a terminal made narrower (which folds lines) is still
//! cleaned up.

mod bar;
mod canvas;
pub(crate) mod frame;
mod keys;
mod line;
mod painter;
pub(crate) mod rows;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use kingtide_runtime::notice::{Counts, Progress};
use rustix::event::{EventfdFlags, eventfd};

use self::frame::Caption;
use self::painter::Painter;
use super::glimpse::Glimpse;
use crate::departure::Departure;

/// Lines kept for a terminal that takes none (Ctrl-S).
const MOST_WAITING_LINES: usize = 2000;

/// A region that is being drawn. Dropping it removes the region and leaves what was printed above.
#[derive(Debug)]
pub(crate) struct Live {
    board: Arc<Board>,
    painter: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Board {
    news: Mutex<News>,
    /// Readable when there is news.
    bell: OwnedFd,
    caption: Caption,
    glimpse: Glimpse,
    /// `None`: this process works the run off, and cannot leave it.
    departure: Option<Departure>,
}

#[derive(Debug, Default)]
struct News {
    progress: Option<(Progress, Instant)>,
    above: Vec<String>,
    /// Lines that found no room above.
    unprinted: u64,
    is_new: bool,
    is_over: bool,
}

impl Board {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        let mut news = self.news();
        change(&mut news);
        let is_first = !std::mem::replace(&mut news.is_new, true) || news.is_over;
        drop(news);
        if is_first {
            // It counts, and is far from full.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    fn silence(&self) {
        // It does not wait: when nothing has rung, there is nothing to be read.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }
}

impl Live {
    /// `None` when the system has no descriptor or thread left for it.
    pub(crate) fn start(caption: Caption, glimpse: Glimpse, departure: Option<Departure>) -> Option<Live> {
        let board = Arc::new(Board {
            news: Mutex::default(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?,
            caption,
            glimpse,
            departure,
        });
        let painter = std::thread::Builder::new().name("painter".to_owned()).spawn({
            let board = Arc::clone(&board);
            move || Painter::new(&board).run()
        });
        Some(Live {
            board,
            painter: Some(painter.ok()?),
        })
    }

    pub(crate) fn progress(&self, progress: Progress) {
        self.board.tell(|news| news.progress = Some((progress, Instant::now())));
    }

    /// Prints lines above the region.
    pub(crate) fn print(&self, text: &str) {
        self.board.tell(|news| {
            for line in text.lines() {
                if news.above.len() < MOST_WAITING_LINES {
                    news.above.push(line.to_owned());
                } else {
                    news.unprinted += 1;
                }
            }
        });
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.board.tell(|news| news.is_over = true);
        if let Some(painter) = self.painter.take() {
            // A painter that panicked has nothing to hand over.
            let _ = painter.join();
        }
    }
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Size {
    pub(crate) fn of_stderr() -> Size {
        Size::of(std::io::stderr()).unwrap_or(Size { columns: 80, rows: 24 })
    }

    /// `None` when it is no terminal.
    pub(crate) fn of(stream: impl AsFd) -> Option<Size> {
        let size = rustix::termios::tcgetwinsize(stream).ok()?;
        // Some terminals say 0 and mean that they do not know.
        let known = |cells: u16, usual| if cells == 0 { usual } else { usize::from(cells) };
        Some(Size {
            columns: known(size.ws_col, 80),
            rows: known(size.ws_row, 24),
        })
    }
}

/// How many programs run, as far as that is known: of very short ones it is not, and the rest of the leased are next.
pub(crate) fn running(progress: &Progress) -> u64 {
    match progress.running.len() as u64 {
        // So many are listed at most.
        50.. => progress.leased,
        listed => listed,
    }
}

/// Never 100 before the end, and never 0 after the first.
pub(crate) fn percent(counts: &Counts) -> String {
    if counts.total == 0 {
        return "0 %".to_owned();
    }
    let exact = counts.done() as f64 * 100.0 / counts.total as f64;
    let whole = if counts.done() == counts.total {
        100
    } else {
        (exact as u64).clamp(u64::from(exact > 0.0), 99)
    };
    format!("{whole} %")
}

#[cfg(test)]
mod tests;
