//! Whether a failure is the disk's: `watch` asks for programs, the runtime for containers.

/// A disk with less than this is full for a program that has just failed.
const FULL_DISK_BYTES: u64 = 256 * 1024;

/// Whether the disk of a folder has no room, for bytes or for files.
pub fn is_full(folder: &str) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| {
        disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_DISK_BYTES || (disk.f_files > 0 && disk.f_favail == 0)
    })
}
