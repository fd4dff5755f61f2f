//! Who is told what happens during a run: a live region, plain lines, or nobody.

use kingtide_runtime::notice::Notice;

use crate::output::live::Live;
use crate::output::plain::{Failures, Plain};
use crate::output::say;
use crate::settings::Settings;

pub(crate) struct Watcher {
    job: String,
    title: String,
    failures: Failures,
    face: Face,
}

enum Face {
    Live(Live),
    Plain(Plain),
    Silent,
}

impl Watcher {
    pub(crate) fn new(job: &str, title: &str, settings: &Settings) -> Watcher {
        let face = if settings.quiet {
            Face::Silent
        } else if settings.is_live {
            Face::Live(Live::start(title, settings.err))
        } else {
            Face::Plain(Plain::default())
        };
        let failures = Failures::new(settings.err);
        Watcher {
            job: job.to_owned(),
            title: title.to_owned(),
            failures,
            face,
        }
    }

    pub(crate) fn on_notice(&mut self, notice: Notice) {
        let text = match (&mut self.face, notice) {
            (Face::Silent, _) | (_, Notice::Ready(_) | Notice::Opened { .. } | Notice::Ended { .. }) => None,
            (_, Notice::Failed(failure)) => self.failures.tell(&self.job, &failure),
            (_, Notice::Consumer(failure)) => Some(self.failures.tell_consumer(&failure)),
            (_, Notice::Said(text)) => Some(format!("{}: {text}", self.title)),
            (Face::Live(live), Notice::Progress(progress)) => {
                live.progress(progress);
                None
            }
            (Face::Plain(plain), Notice::Progress(progress)) => plain.progress(&self.title, &progress),
        };
        match (&self.face, text) {
            (_, None) => {}
            (Face::Live(live), Some(text)) => live.print(&text),
            (Face::Plain(_) | Face::Silent, Some(text)) => say(&text),
        }
    }
}
