//! The live region: bar, counts, what runs, drawn over and over at the foot of a terminal, with failures printed above it.
//!
//! [`frame`] is pure. A thread of its own paints, so that the runtime never waits for a terminal: it wakes for what is new,
//! at most ten times a second, and once a second for the clocks. The region is drawn by ourselves: it knows the width of
//! every line it drew, so that a terminal made narrower (which folds them) is still cleaned up.

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kingtide_runtime::notice::{Counts, Progress};
use signal_hook::consts::SIGWINCH;
use signal_hook::iterator::Signals;

use super::style::Style;
use super::text::{bytes, clock, count, cut, plural, task_label, width};

/// Between two frames.
const PAUSE: Duration = Duration::from_millis(100);
/// The clocks show seconds.
const TICK: Duration = Duration::from_secs(1);
const MOST_RUNNING: usize = 8;
/// Lines kept for a terminal that takes none (Ctrl-S).
const MOST_WAITING_LINES: usize = 2000;
const MOST_BAR: usize = 40;

/// A region that is being drawn. Dropping it removes the region and leaves what was printed above.
#[derive(Debug)]
pub(crate) struct Live {
    board: Arc<Board>,
    painter: Option<JoinHandle<()>>,
    resizes: Option<signal_hook::iterator::Handle>,
    watcher: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Board {
    news: Mutex<News>,
    changed: Condvar,
    title: String,
    style: Style,
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
        news.is_new = true;
        drop(news);
        self.changed.notify_one();
    }
}

impl Live {
    pub(crate) fn start(title: &str, style: Style) -> Live {
        let board = Arc::new(Board {
            news: Mutex::default(),
            changed: Condvar::new(),
            title: title.to_owned(),
            style,
        });
        let painter = std::thread::Builder::new().name("painter".to_owned()).spawn({
            let board = Arc::clone(&board);
            move || paint(&board)
        });
        let mut live = Live {
            board,
            painter: painter.ok(),
            resizes: None,
            watcher: None,
        };
        if let Ok(mut signals) = Signals::new([SIGWINCH]) {
            live.resizes = Some(signals.handle());
            let board = Arc::clone(&live.board);
            live.watcher = std::thread::Builder::new()
                .name("resizes".to_owned())
                .spawn(move || signals.forever().for_each(|_| board.tell(|_| ())))
                .ok();
        }
        live
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
        if let Some(handle) = self.resizes.take() {
            handle.close();
        }
        for thread in [self.painter.take(), self.watcher.take()].into_iter().flatten() {
            // A painter that panicked has nothing to hand over.
            let _ = thread.join();
        }
    }
}

fn paint(board: &Board) {
    let mut drawn: Vec<usize> = Vec::new();
    loop {
        let mut news = board.news();
        if !news.is_new {
            news = board
                .changed
                .wait_timeout(news, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        news.is_new = false;
        let is_over = news.is_over;
        let mut above = std::mem::take(&mut news.above);
        let unprinted = std::mem::take(&mut news.unprinted);
        if unprinted > 0 {
            above.push(format!("… {} could not be shown in time", plural(unprinted, "line")));
        }
        let progress = if is_over { None } else { news.progress.clone() };
        // Nobody waits for the terminal.
        drop(news);

        let size = Size::of_stderr();
        let lines = progress.map_or_else(Vec::new, |(progress, seen)| {
            frame(&board.title, &progress, seen.elapsed(), size, board.style)
        });
        let painted = repaint(&drawn, &above, &lines, size);
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(painted.as_bytes()).and_then(|()| stderr.flush());
        drop(stderr);
        drawn = lines.iter().map(|line| width(line)).collect();
        if is_over {
            return;
        }
        let news = board.news();
        let pause = board.changed.wait_timeout_while(news, PAUSE, |news| !news.is_over);
        drop(pause);
    }
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug)]
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

/// What to write so that `above` is printed where the old region began and `lines` stand below it.
/// `drawn` has the widths of the old region's lines; the cursor is below its last.
fn repaint(drawn: &[usize], above: &[String], lines: &[String], size: Size) -> String {
    // A line as wide as the terminal takes one row; what is wider has been folded by a terminal made narrower.
    let rows: usize = drawn.iter().map(|width| width.div_ceil(size.columns).max(1)).sum();
    let mut text = String::from("\r");
    if rows > 0 {
        text.push_str(&format!("\x1b[{rows}A"));
    }
    for line in above.iter().chain(lines) {
        text.push_str(line);
        text.push_str("\x1b[K\n");
    }
    text.push_str("\x1b[J");
    text
}

/// The region. No line is as wide as the terminal, and the last row of it stays free.
pub(crate) fn frame(title: &str, progress: &Progress, since: Duration, size: Size, style: Style) -> Vec<String> {
    let columns = size.columns.saturating_sub(1);
    let counts = &progress.counts;
    let now = progress.now + since;
    let mut lines = vec![
        bar_line(title, progress, since, columns, style),
        counts_line(progress, columns, style),
    ];
    if progress.draining {
        let runs = plural(running(progress), "running task");
        let text = format!("  nothing new starts; waiting for {runs} (Ctrl-C again ends them)");
        lines.push(style.yellow(&cut(&text, columns)));
    }
    let room = size.rows.saturating_sub(lines.len() + 2).min(MOST_RUNNING);
    for running in progress.running.iter().take(room) {
        let age = clock(now.since(running.started_at));
        let memory = if running.memory > 0 {
            bytes(running.memory)
        } else {
            String::new()
        };
        let again = if running.attempt > 1 {
            format!(" (attempt {})", running.attempt)
        } else {
            String::new()
        };
        let figures = format!("  {age:>8} {memory:>9}  ");
        let label = format!("{}{again}", task_label(&running.label, running.seq, 80));
        lines.push(cut(&format!("{figures}{label}"), columns));
    }
    let shown = progress.running.len().min(room) as u64;
    let hidden = running(progress).saturating_sub(shown);
    if hidden > 0 && shown > 0 && lines.len() + 1 < size.rows && counts.done() < counts.total {
        lines.push(style.dim(&cut(&format!("  … and {} more", count(hidden)), columns)));
    }
    lines.truncate(size.rows.saturating_sub(1).max(1));
    lines
}

fn bar_line(title: &str, progress: &Progress, since: Duration, columns: usize, style: Style) -> String {
    let counts = &progress.counts;
    let elapsed = (progress.now + since).since(progress.started_at);
    let mut figures = format!(
        "{}/{}  {}  {}",
        count(counts.done()),
        count(counts.total),
        percent(counts),
        clock(elapsed)
    );
    if let Some(remaining) = progress.remaining {
        figures.push_str(&format!("  ~{} left", clock(remaining.saturating_sub(since))));
    }
    let fixed = width(title) + width(&figures) + 4;
    let room = columns.saturating_sub(fixed).min(MOST_BAR);
    if room < 8 {
        return cut(&format!("{title}  {figures}"), columns);
    }
    format!("{}  {}  {figures}", style.bold(title), bar(counts, room, style))
}

fn bar(counts: &Counts, cells: usize, style: Style) -> String {
    let share = |part: u64| {
        if counts.total == 0 {
            0
        } else {
            (part as u128 * cells as u128 / u128::from(counts.total)) as usize
        }
    };
    let done = share(counts.done());
    // One failure among thousands is worth a cell.
    let bad = counts.failed + counts.rejected;
    let red = if bad > 0 { share(bad).max(1).min(done.max(1)) } else { 0 };
    let green = done.saturating_sub(red);
    let rest = cells - green - red;
    format!(
        "{}{}{}",
        style.green(&"━".repeat(green)),
        style.red(&"━".repeat(red)),
        style.dim(&"─".repeat(rest))
    )
}

fn counts_line(progress: &Progress, columns: usize, style: Style) -> String {
    let counts = &progress.counts;
    let active = running(progress);
    let next = progress.leased.saturating_sub(active);
    let waiting = counts.total.saturating_sub(counts.done() + active + next);
    type Paint = fn(Style, &str) -> String;
    let parts: [(u64, &str, Paint); 8] = [
        (counts.succeeded, "succeeded", |style, text| style.green(text)),
        (counts.skipped, "skipped", |_, text| text.to_owned()),
        (counts.failed, "failed", |style, text| style.red(text)),
        (counts.rejected, "rejected", |style, text| style.red(text)),
        (counts.cancelled, "cancelled", |style, text| style.yellow(text)),
        (active, "running", |_, text| text.to_owned()),
        (next, "next", |style, text| style.dim(text)),
        (waiting, "waiting", |style, text| style.dim(text)),
    ];
    let mut line = " ".to_owned();
    for (number, word, colour) in parts.into_iter().filter(|part| part.0 > 0) {
        let text = format!("{} {word}", count(number));
        let gap = if width(&line) > 1 { " · " } else { " " };
        if width(&line) + width(gap) + width(&text) > columns {
            break;
        }
        line.push_str(gap);
        line.push_str(&colour(style, &text));
    }
    line
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
