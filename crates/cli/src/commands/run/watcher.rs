//! Who is told what happens during a run: a live region, plain lines, or nobody.

use kingtide_runtime::layout::Layout;
use kingtide_runtime::notice::Notice;

use crate::departure::Departure;
use crate::output::glimpse::{Asked, Glimpse};
use crate::output::live::Live;
use crate::output::live::frame::Caption;
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
    Plain(Plain, Asked),
    Silent(Asked),
}

impl Watcher {
    /// `departure` is how to stop watching a run that another process works off.
    pub(crate) fn new(
        job: &str,
        title: &str,
        settings: &Settings,
        layout: &Layout,
        departure: Option<&Departure>,
    ) -> Watcher {
        let glimpse = Glimpse::new(layout.clone(), settings.err);
        let caption = Caption {
            title: title.to_owned(),
            style: settings.err,
            is_elsewhere: departure.is_some(),
        };
        let live = settings
            .is_live
            .then(|| Live::start(caption, glimpse.clone(), departure.cloned()))
            .flatten();
        let face = match live {
            Some(live) => Face::Live(live),
            None if settings.quiet => Face::Silent(Asked::listen(glimpse)),
            None => Face::Plain(Plain::default(), Asked::listen(glimpse)),
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
        if let (Face::Plain(_, asked) | Face::Silent(asked), Notice::Progress(progress)) = (&self.face, &notice) {
            asked.note(progress);
        }
        let text = match (&mut self.face, notice) {
            (Face::Silent(_), _) | (_, Notice::Ready(_) | Notice::Opened { .. } | Notice::Ended { .. }) => None,
            (_, Notice::Failed(failure)) => self.failures.tell(&self.job, &failure),
            (_, Notice::Consumer(failure)) => Some(self.failures.tell_consumer(&failure)),
            (_, Notice::Said(text)) => Some(format!("{}: {text}", self.title)),
            (Face::Live(live), Notice::Progress(progress)) => {
                live.progress(progress);
                None
            }
            (Face::Plain(plain, _), Notice::Progress(progress)) => plain.progress(&self.title, &progress),
        };
        match (&self.face, text) {
            (_, None) => {}
            (Face::Live(live), Some(text)) => live.print(&text),
            (Face::Plain(..) | Face::Silent(_), Some(text)) => say(&text),
        }
    }
}
