//! Verbs from other processes: one JSON object a line, on a Unix socket that only the user may reach.
//!
//! The socket is only how to reach the runtime; who may write is the lease's business.

use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kingtide_core::id::RunId;
use serde_json::{Value, json};

const SOCKET: &str = "control.sock";
const TIMEOUT: Duration = Duration::from_secs(5);

/// What another process wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Cancel(RunId),
}

/// Answers wishes until the process ends. `tell` hands one to the loop and says whether it was taken.
pub(crate) fn listen(root: &Path, tell: impl Fn(Wish) -> bool + Send + 'static) -> io::Result<()> {
    let path = root.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = reach(root, |path| UnixListener::bind(path))?;
    // Whatever the umask: who may write to the project's folder is not yet who may end its runs.
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A peer that hangs up has got what it wanted.
            let _ = answer(stream, &tell);
        }
    })?;
    Ok(())
}

fn answer(stream: UnixStream, tell: &impl Fn(Wish) -> bool) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut line = String::new();
    BufReader::new(io::Read::take(&stream, 4096)).read_line(&mut line)?;
    let wish = serde_json::from_str::<Value>(&line)
        .ok()
        .and_then(|value| value["cancel"].as_i64());
    let reply = match wish {
        Some(run) if tell(Wish::Cancel(RunId(run))) => json!({ "ok": true }),
        Some(run) => json!({ "error": format!("the run {run} is not open here") }),
        None => json!({ "error": "not understood; is the other one an older Kingtide?" }),
    };
    writeln!(&stream, "{reply}")
}

/// Asks the runtime that lives on this project to cancel a run; `None` when none lives.
///
/// # Errors
/// What it said, or why it could not be asked.
pub fn cancel(root: &Path, run: RunId) -> io::Result<Option<()>> {
    let stream = match reach(root, |path| UnixStream::connect(path)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(TIMEOUT))?;
    writeln!(&stream, "{}", json!({ "cancel": run.0 }))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let reply: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
    match reply["error"].as_str() {
        Some(error) => Err(io::Error::other(error.to_owned())),
        None => Ok(Some(())),
    }
}

/// A socket's path may have 107 bytes, a project's folder more: it is reached through the folder's descriptor.
fn reach<T>(root: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let folder = std::fs::File::open(root)?;
    let path: PathBuf = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()).into();
    with(&path)
}
