//! Standard input, kept in a file without a name while its rows are checked and then read again to be sent.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::exit::{Failure, Outcome};

/// What was read, gone with its last reader.
#[derive(Clone, Debug)]
pub(crate) struct Spool(Arc<File>);

impl Spool {
    /// Reads standard input to its end.
    pub(crate) fn of_stdin() -> Outcome<Spool> {
        let keep = || -> io::Result<Spool> {
            let mut file = nameless()?;
            io::copy(&mut io::stdin().lock(), &mut file)?;
            file.rewind()?;
            Ok(Spool(Arc::new(file)))
        };
        keep().map_err(|error| Failure::new("failed to read standard input").because(error))
    }

    /// From its beginning, however often.
    pub(crate) fn reader(&self) -> BufReader<impl io::Read + Send + 'static> {
        let reader = Reader {
            file: Arc::clone(&self.0),
            offset: 0,
        };
        BufReader::with_capacity(256 * 1024, reader)
    }
}

/// Readers of one file have places of their own.
struct Reader {
    file: Arc<File>,
    offset: u64,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

fn nameless() -> io::Result<File> {
    let folder = std::env::temp_dir();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(&folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // Not every file system can: then it has a name for a moment.
        Err(_) => {
            let path = folder.join(format!("kingtide-{}.jsonl", std::process::id()));
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            std::fs::remove_file(path)?;
            Ok(file)
        }
    }
}

/// What was asked for is told apart by what it is, not by what it says.
impl PartialEq for Spool {
    fn eq(&self, other: &Spool) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Spool {}
