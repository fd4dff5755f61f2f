//! Whether an executable can go beside any program: a static one, for the stack's processors. The image that it is put into has nothing else
//! in it, and the images that it is copied to may not have a C library either.

/// Why it cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it is no executable of Linux")]
    NotElf,
    #[error("it is made for another processor")]
    Machine,
    #[error("it needs `{0}` of the system, and an image need not have that")]
    Dynamic(String),
}

/// Numbers of processors (<https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>).
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
/// A program header that names the loader.
const INTERPRETER: u32 = 3;
/// Of a header of a 64-bit executable, and of its entries.
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 56;

/// Looks at a little-endian 64-bit executable for `platform` (`linux/arm64`).
///
/// # Errors
/// Says why it cannot be a worker's binary.
pub(super) fn check(bytes: &[u8], platform: &str) -> Result<(), Unfit> {
    let is_elf = bytes.starts_with(b"\x7fELF\x02\x01") && bytes.len() >= HEADER_BYTES;
    if !is_elf {
        return Err(Unfit::NotElf);
    }
    let wanted = match platform {
        "linux/arm64" => AARCH64,
        _ => X86_64,
    };
    if short(bytes, 18) != Some(wanted) {
        return Err(Unfit::Machine);
    }
    let start = long(bytes, 32).ok_or(Unfit::NotElf)?;
    let count = short(bytes, 56).ok_or(Unfit::NotElf)?;
    for number in 0..usize::from(count) {
        let at = start.checked_add(number * ENTRY_BYTES).ok_or(Unfit::NotElf)?;
        let kind = bytes.get(at..at + 4).and_then(|kind| kind.try_into().ok());
        if kind.map(u32::from_le_bytes) != Some(INTERPRETER) {
            continue;
        }
        let (from, length) = (long(bytes, at + 8), long(bytes, at + 32));
        let name = from
            .zip(length)
            .and_then(|(from, length)| bytes.get(from..from.checked_add(length)?));
        let name = String::from_utf8_lossy(name.unwrap_or_default());
        return Err(Unfit::Dynamic(name.trim_end_matches('\0').to_owned()));
    }
    Ok(())
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_le_bytes(two))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let eight = bytes.get(at..at + 8)?.try_into().ok()?;
    usize::try_from(u64::from_le_bytes(eight)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one entry, which names a loader where there is one.
    fn executable(machine: u16, loader: Option<&str>) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + ENTRY_BYTES];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&(HEADER_BYTES as u64).to_le_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
        let (kind, name) = match loader {
            Some(name) => (INTERPRETER, format!("{name}\0")),
            None => (1, String::new()),
        };
        let from = bytes.len() as u64;
        let entry = &mut bytes[HEADER_BYTES..];
        entry[..4].copy_from_slice(&kind.to_le_bytes());
        entry[8..16].copy_from_slice(&from.to_le_bytes());
        entry[32..40].copy_from_slice(&(name.len() as u64).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes
    }

    #[test]
    fn only_a_static_one_for_the_processor_goes_into_an_image_of_its_own() {
        let amd = "linux/amd64";
        assert_eq!(check(&executable(X86_64, None), amd), Ok(()));
        assert_eq!(check(&executable(AARCH64, None), "linux/arm64"), Ok(()));
        assert_eq!(check(&executable(AARCH64, None), amd), Err(Unfit::Machine));
        let dynamic = executable(X86_64, Some("/lib64/ld-linux-x86-64.so.2"));
        let needs = Unfit::Dynamic("/lib64/ld-linux-x86-64.so.2".to_owned());
        assert_eq!(check(&dynamic, amd), Err(needs));
        assert_eq!(check(b"#!/bin/sh\n", amd), Err(Unfit::NotElf));
    }

    #[test]
    fn this_very_test_is_an_executable_that_needs_the_system() {
        let own = std::env::current_exe().and_then(std::fs::read).expect("a test");
        let platform = match std::env::consts::ARCH {
            "aarch64" => "linux/arm64",
            _ => "linux/amd64",
        };
        assert!(matches!(check(&own, platform), Err(Unfit::Dynamic(_))));
    }
}
