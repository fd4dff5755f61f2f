//! What outlives a loop that begins anew (after a full disk): where people and programs speak with it, where it listens, and what it
//! was told and has not done yet. Everything else is made anew from the rows, as after a crash.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kingtide_core::engine::Event;

use super::doors::Open;
use crate::inbox::Inbound;
use crate::keys::Keys;
use crate::notice::Notice;
use crate::runtime::RunError;
use crate::samples::Samples;
use crate::{control, signals};

/// How often a full disk is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// The way to the loop that there is now. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(Arc<Mutex<Sender<Inbound>>>);

impl Mailbox {
    /// Whether somebody will read it.
    pub(crate) fn send(&self, inbound: Inbound) -> bool {
        // Within the lock: nothing goes to a loop that has been replaced.
        self.sender().send(inbound).is_ok()
    }

    /// For those whose word counts only with the loop that there is now.
    pub(super) fn current(&self) -> Sender<Inbound> {
        self.sender().clone()
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Sender<Inbound>> {
        // What it guards is valid between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Premises {
    pub(super) mailbox: Mailbox,
    _signals: signals::Listening,
    pub(super) samples: Samples,
    pub(super) keys: Arc<Keys>,
    has_keys: bool,
    pub(super) doors: Open,
    /// To be taken before anything else that happens.
    pub(super) first: Vec<Event>,
    pub(super) interrupts: u32,
    /// What the last signal asked for.
    pub(super) leaving: Option<Event>,
    /// It has been told that everything listens.
    pub(super) is_ready: bool,
    /// It waits for room on the disk.
    is_paused: bool,
}

impl Premises {
    /// With what the first loop reads. From here on signals and other processes are heard: Ctrl-C puts back what was leased.
    pub(super) fn open(root: &Path, first: Vec<Event>) -> Result<(Premises, Receiver<Inbound>), RunError> {
        let (sender, inbox) = mpsc::channel();
        let mailbox = Mailbox(Arc::new(Mutex::new(sender)));
        let signals = signals::listen(mailbox.clone()).map_err(RunError::Prepare)?;
        std::fs::create_dir_all(root).map_err(|source| RunError::Folder {
            path: root.to_owned(),
            source,
        })?;
        let samples = Samples::default();
        let wishes = mailbox.clone();
        control::listen(root, samples.clone(), move |wish| wishes.send(Inbound::Wish(wish)))
            .map_err(RunError::Prepare)?;
        let premises = Premises {
            mailbox,
            _signals: signals,
            samples,
            keys: Arc::default(),
            has_keys: false,
            doors: Open::default(),
            first,
            interrupts: 0,
            leaving: None,
            is_ready: false,
            is_paused: false,
        };
        Ok((premises, inbox))
    }

    /// Keys are made and accepted from now on.
    pub(super) fn use_keys(&mut self, root: &Path, given: Option<(String, String)>) -> Result<(), RunError> {
        if !self.has_keys {
            self.keys = Arc::new(Keys::open(root, given).map_err(RunError::Prepare)?);
            self.has_keys = true;
        }
        Ok(())
    }

    /// What the next loop reads when one has ended before its time. Of what that left unread it gets what people and programs want; the
    /// rest was about what it had begun, and is said again to whoever begins it anew.
    pub(super) fn begin_anew(&mut self, inbox: &Receiver<Inbound>) -> Receiver<Inbound> {
        let fresh = self.renew();
        for inbound in inbox.try_iter() {
            if matches!(inbound, Inbound::Signal(_) | Inbound::Wish(_) | Inbound::Call(_)) {
                self.mailbox.send(inbound);
            }
        }
        fresh
    }

    /// Waits a while for room on the disk.
    pub(super) fn pause(&mut self, observe: &mut dyn FnMut(Notice)) {
        if !self.is_paused {
            let text = "the disk is full: paused, nothing is lost; waiting for room";
            observe(Notice::Said(text.to_owned()));
        }
        self.is_paused = true;
        // Nothing tells when there is room again.
        std::thread::sleep(PAUSE);
    }

    /// Something was written.
    pub(super) fn go_on(&mut self, observe: &mut dyn FnMut(Notice)) {
        if std::mem::take(&mut self.is_paused) {
            observe(Notice::Said("there is room on the disk again: going on".to_owned()));
        }
    }

    /// The loop is over, and there will be no other: whoever still wants something is told so.
    pub(super) fn end(&mut self, inbox: &Receiver<Inbound>) {
        drop(self.renew());
        inbox.try_iter().for_each(drop);
    }

    fn renew(&mut self) -> Receiver<Inbound> {
        let (sender, inbox) = mpsc::channel();
        *self.mailbox.sender() = sender;
        inbox
    }
}
