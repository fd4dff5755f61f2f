//! Ctrl-C and TERM, as messages to the loop.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::inbox::Inbound;
use crate::turn::Mailbox;

/// While it lives, SIGINT and SIGTERM go to the loop. SIGHUP does not: with the terminal closed the runtime ends, and what
/// runs goes on in the keeper.
#[derive(Debug)]
pub(crate) struct Listening(Handle);

pub(crate) fn listen(mailbox: Mailbox) -> io::Result<Listening> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if !mailbox.send(Inbound::Signal(signal)) {
                return;
            }
        }
    })?;
    Ok(Listening(handle))
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.close();
    }
}
