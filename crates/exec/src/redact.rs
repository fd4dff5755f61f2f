//! Secrets in a stream of bytes, replaced by `***` wherever they stand: across the borders of what was read, and over
//! several lines. Only the log knows this module's neighbours; it sees each byte once.

use std::sync::Arc;

use memchr::memmem;

/// What stands in a secret's place.
pub const STARS: &[u8] = b"***";
/// A line of a secret of several lines is a secret of its own from this length on: logs indent and quote such lines.
const LINE_BYTES: usize = 8;

/// The texts that must not be seen.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Longest first, so that of two that begin at one place the longer one is taken.
    needles: Vec<memmem::Finder<'static>>,
}

impl Secrets {
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Secrets {
        let mut needles: Vec<&[u8]> = Vec::new();
        for text in texts {
            // A secret kept in a file ends with a newline that is no part of it.
            let text = text.as_ref().trim_matches(['\n', '\r']);
            needles.push(text.as_bytes());
            let lines = text.lines().map(str::trim);
            needles.extend(lines.filter(|line| line.len() >= LINE_BYTES).map(str::as_bytes));
        }
        needles.retain(|needle| !needle.is_empty());
        needles.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        needles.dedup();
        Secrets {
            needles: needles
                .into_iter()
                .map(|needle| memmem::Finder::new(needle).into_owned())
                .collect(),
        }
    }

    /// Whether there is nothing to replace.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// A whole text without its secrets.
    pub fn clean(&self, text: &str) -> String {
        if self.needles.is_empty() {
            return text.to_owned();
        }
        let mut cleaned = Vec::new();
        self.replace(text.as_bytes(), text.len(), &mut cleaned);
        String::from_utf8_lossy(&cleaned).into_owned()
    }

    /// Appends `input` to `cleaned` with every secret replaced that begins before `limit`; answers up to where.
    fn replace(&self, input: &[u8], limit: usize, cleaned: &mut Vec<u8>) -> usize {
        // Where each needle occurs next; looked up again only when it has been passed.
        let mut next: Vec<Option<usize>> = self.needles.iter().map(|needle| needle.find(input)).collect();
        let mut done = 0;
        loop {
            let mut first: Option<(usize, usize)> = None;
            for (needle, place) in self.needles.iter().zip(&mut next) {
                if place.is_some_and(|place| place < done) {
                    *place = needle.find(&input[done..]).map(|offset| done + offset);
                }
                if let Some(place) = *place
                    && first.is_none_or(|(start, _)| place < start)
                {
                    first = Some((place, needle.needle().len()));
                }
            }
            match first {
                Some((start, length)) if start < limit => {
                    cleaned.extend_from_slice(&input[done..start]);
                    cleaned.extend_from_slice(STARS);
                    done = start + length;
                }
                _ => break,
            }
        }
        if done < limit {
            cleaned.extend_from_slice(&input[done..limit]);
            done = limit;
        }
        done
    }

    /// Where the longest end of `input` begins that a secret may begin with; its length if there is none.
    fn undecided(&self, input: &[u8]) -> usize {
        let mut start = input.len();
        for needle in self.needles.iter().map(memmem::Finder::needle) {
            let from = (input.len() + 1).saturating_sub(needle.len());
            for offset in memchr::memchr_iter(needle[0], &input[from..]) {
                let place = from + offset;
                if place >= start {
                    break;
                }
                if needle.starts_with(&input[place..]) {
                    start = place;
                    break;
                }
            }
        }
        start
    }
}

/// One stream.
#[derive(Debug)]
pub struct Redactor {
    secrets: Arc<Secrets>,
    /// The end of what came so far, while it may be the beginning of a secret.
    held: Vec<u8>,
    cleaned: Vec<u8>,
}

impl Redactor {
    pub fn new(secrets: Arc<Secrets>) -> Redactor {
        Redactor {
            secrets,
            held: Vec::new(),
            cleaned: Vec::new(),
        }
    }

    /// Takes the next bytes and hands out those that are decided.
    pub fn push<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        let secrets = &*self.secrets;
        if secrets.needles.is_empty() {
            return bytes;
        }
        if self.held.is_empty()
            && secrets.undecided(bytes) == bytes.len()
            && secrets.needles.iter().all(|needle| needle.find(bytes).is_none())
        {
            return bytes;
        }
        self.cleaned.clear();
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(bytes);
        let done = secrets.replace(&input, secrets.undecided(&input), &mut self.cleaned);
        input.drain(..done);
        self.held = input;
        &self.cleaned
    }

    /// The stream has ended: what was held back, which turned out to be no secret or several.
    pub fn finish(&mut self) -> &[u8] {
        self.cleaned.clear();
        let input = std::mem::take(&mut self.held);
        self.secrets.replace(&input, input.len(), &mut self.cleaned);
        &self.cleaned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream cut at every pair of places gives the same text.
    fn check(secrets: &[&str], stream: &str, expected: &str) {
        let secrets = Arc::new(Secrets::new(secrets));
        let bytes = stream.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut redactor = Redactor::new(Arc::clone(&secrets));
                let mut seen = Vec::new();
                for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    seen.extend_from_slice(redactor.push(part));
                }
                seen.extend_from_slice(redactor.finish());
                assert_eq!(String::from_utf8_lossy(&seen), expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_secret_is_found_wherever_the_stream_is_cut() {
        check(
            &["hunter2"],
            "a hunter2 and hunter, hunterhunter2.",
            "a *** and hunter, hunter***.",
        );
        check(&["aab"], "aaab aab", "a*** ***");
    }

    #[test]
    fn of_overlapping_secrets_the_longer_one_is_taken() {
        check(&["abc", "xabcy"], "xabcy xabcz abc", "*** x***z ***");
        check(&["pass", "password"], "password pass passw", "*** *** ***w");
    }

    #[test]
    fn a_secret_of_several_lines_is_one_and_each_long_line_is_one_too() {
        check(
            &["-----BEGIN\nc2VjcmV0MQ==\nend\n"],
            "k: -----BEGIN\nc2VjcmV0MQ==\nend\n.",
            "k: ***\n.",
        );
        check(
            &["-----BEGIN\nc2VjcmV0MQ==\nend\n"],
            "  c2VjcmV0MQ==\n  end",
            "  ***\n  end",
        );
    }

    #[test]
    fn nothing_is_a_secret_without_secrets() {
        check(&["", "\n"], "plain\n", "plain\n");
    }
}
