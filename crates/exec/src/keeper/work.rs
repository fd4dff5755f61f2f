//! Work folders: `.kingtide/work/<n>/` with an empty `output/`, handed to one attempt after the other as long as each
//! leaves it as it was. A folder with something in it belongs to its attempt until that is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::wire::Attempt;

const RESULT: &str = "result.json";
const OUTPUT: &str = "output";

/// One attempt's folder.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    number: u64,
    path: PathBuf,
    pub(crate) result: String,
    pub(crate) output: String,
}

/// What an attempt has left in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) result: bool,
    pub(crate) output: bool,
    /// As it was handed out.
    pub(crate) nothing: bool,
}

/// All folders of a keeper.
#[derive(Debug)]
pub(crate) struct WorkFolders {
    root: PathBuf,
    next: u64,
    free: Vec<WorkFolder>,
    used: BTreeMap<Attempt, u64>,
    /// Whether what earlier keepers left has been cleared away.
    cleared: bool,
}

impl WorkFolders {
    /// Numbers go on where an earlier keeper has ended.
    pub(crate) fn open(kingtide_dir: &Path) -> io::Result<WorkFolders> {
        let root = kingtide_dir.join("work");
        std::fs::create_dir_all(&root)?;
        let next = numbers(&root)?.last().map_or(1, |last| last + 1);
        Ok(WorkFolders {
            root,
            next,
            free: Vec::new(),
            used: BTreeMap::new(),
            cleared: false,
        })
    }

    /// An empty folder.
    pub(crate) fn take(&mut self) -> io::Result<WorkFolder> {
        if let Some(folder) = self.free.pop() {
            return Ok(folder);
        }
        let number = self.next;
        let path = self.root.join(number.to_string());
        let output = path.join(OUTPUT);
        std::fs::create_dir_all(&output)?;
        self.next += 1;
        Ok(WorkFolder {
            number,
            result: path.join(RESULT).to_string_lossy().into_owned(),
            output: output.to_string_lossy().into_owned(),
            path,
        })
    }

    /// Takes a folder back; one with something in it is kept for `attempt`.
    pub(crate) fn put_back(&mut self, attempt: &str, folder: WorkFolder, left: Left) {
        if left.nothing {
            self.free.push(folder);
        } else {
            self.used.insert(attempt.to_owned(), folder.number);
        }
    }

    /// The attempt is acknowledged: answers the folder to remove.
    pub(crate) fn forget(&mut self, attempt: &str) -> Option<PathBuf> {
        self.used
            .remove(attempt)
            .map(|number| self.root.join(number.to_string()))
    }

    /// A report of an earlier keeper names a folder of its own.
    pub(crate) fn adopt(&mut self, attempt: &str, path: &str) {
        let number = Path::new(path)
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str()?.parse().ok());
        if let Some(number) = number {
            self.used.insert(attempt.to_owned(), number);
        }
    }

    /// Folders of earlier keepers that nobody names any more; once, when the first runtime says which it names.
    pub(crate) fn clear(&mut self, keep: &[String]) -> Vec<PathBuf> {
        if std::mem::replace(&mut self.cleared, true) {
            return Vec::new();
        }
        // Compared by name: the project may have been moved.
        let kept: BTreeSet<&str> = keep
            .iter()
            .filter_map(|path| Path::new(path).file_name()?.to_str())
            .collect();
        let held: BTreeSet<u64> = self
            .used
            .values()
            .copied()
            .chain(self.free.iter().map(|folder| folder.number))
            .collect();
        let numbers = numbers(&self.root).unwrap_or_default();
        let stale = numbers.into_iter().filter(|number| {
            *number < self.next && !held.contains(number) && !kept.contains(number.to_string().as_str())
        });
        stale.map(|number| self.root.join(number.to_string())).collect()
    }

    /// The keeper leaves: empty folders go with it.
    pub(crate) fn leave(&mut self) {
        for folder in self.free.drain(..) {
            let _ = std::fs::remove_dir(&folder.output);
            let _ = std::fs::remove_dir(self.root.join(folder.number.to_string()));
        }
        let _ = std::fs::remove_dir(&self.root);
    }
}

impl WorkFolder {
    /// Looks at what is there now.
    pub(crate) fn look(&self) -> Left {
        let mut left = Left {
            result: false,
            output: false,
            nothing: true,
        };
        let mut has_output_folder = false;
        let listed = each_name(self.path.as_os_str(), |name, kind| match name {
            b"result.json" => left.result = kind == FileType::RegularFile,
            b"output" => has_output_folder = kind == FileType::Directory,
            _ => left.nothing = false,
        });
        let entries = each_name(&self.output, |_, _| left.output = true);
        left.nothing &= listed.is_ok() && entries.is_ok() && has_output_folder && !left.result && !left.output;
        left
    }
}

/// Calls with entries of a folder, `.` and `..` left out: with all of them as long as their names are few and short.
fn each_name(folder: impl rustix::path::Arg, mut with: impl FnMut(&[u8], FileType)) -> Result<(), Errno> {
    let folder = rustix::fs::open(
        folder,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let kind = entry.file_type();
            with(name, kind);
        }
        if entries.is_buffer_empty() {
            break;
        }
    }
    Ok(())
}

fn numbers(root: &Path) -> io::Result<BTreeSet<u64>> {
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(root)? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(numbers)
}
