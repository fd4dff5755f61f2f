//! `logs --on aws`: what an attempt there has said, printed as it comes; kept, once the attempt is over, where the log of one here would be.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use kingtide_core::id::AttemptId;
use kingtide_exec::stamp;
use kingtide_remote::wire::{Ask, Event};

use super::{Follower, Printer};
use crate::departure::Departure;
use crate::exit::Outcome;
use crate::output;
use crate::remote::site::Site;
use crate::settings::Settings;

/// Which log, and where it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) attempt: AttemptId,
    pub(super) path: &'a Path,
    /// Nothing more will be said.
    pub(super) has_ended: bool,
    pub(super) follow: bool,
}

/// Whether it wrote anything.
pub(super) fn print(site: &Site, wanted: &Wanted<'_>, printer: &mut Printer, settings: &Settings) -> Outcome<bool> {
    if wanted.path.is_file() {
        return Follower::new(wanted.path.to_owned()).copy(printer);
    }
    let partial = wanted.path.with_extension("partial");
    let mut kept = match wanted.has_ended {
        true => {
            std::fs::create_dir_all(wanted.path.parent().unwrap_or(wanted.path))?;
            Some(BufWriter::new(File::create(&partial)?))
        }
        false => None,
    };
    let mut wrote = false;
    let departure = Departure::new()?;
    if wanted.follow {
        departure.on_signals()?;
    }
    let ask = Ask::Log {
        run: wanted.attempt.task.run.0,
        seq: wanted.attempt.task.seq,
        attempt: wanted.attempt.number,
        follow: wanted.follow,
    };
    let has_left = site.session()?.ask_until(&departure, ask, |event| {
        if let Event::Line { at_ms, text } = event {
            wrote = true;
            let line = [&stamp::stamp(at_ms)[..], text.as_bytes(), b"\n"].concat();
            printer.write(&line)?;
            printer.flush()?;
            if let Some(kept) = &mut kept {
                kept.write_all(&line)?;
            }
        }
        Ok(())
    })?;
    if has_left && !settings.quiet {
        output::say("it goes on");
    }
    if let Some(mut kept) = kept.filter(|_| !has_left) {
        kept.flush()?;
        std::fs::rename(&partial, wanted.path)?;
    }
    Ok(wrote)
}
