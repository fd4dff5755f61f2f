//! What execve is handed: arguments and environment as one block of NUL-terminated strings, laid out before the process
//! is made, since between clone and execve nothing may be allocated.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

/// The environment that all attempts inherit, laid out once.
#[derive(Debug, Default)]
pub struct Environment {
    block: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    name_bytes: usize,
    bytes: usize,
}

impl Environment {
    /// Variables that no environment can hold (an empty name, a `=` in it, a NUL anywhere) are left out.
    pub fn new(variables: &BTreeMap<String, String>) -> Environment {
        let mut environment = Environment::default();
        for (name, value) in variables {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                continue;
            }
            let start = environment.block.len();
            environment.block.extend_from_slice(name.as_bytes());
            environment.block.push(b'=');
            environment.block.extend_from_slice(value.as_bytes());
            environment.block.push(0);
            let bytes = environment.block.len() - start;
            environment.entries.push(Entry {
                start,
                name_bytes: name.len(),
                bytes,
            });
        }
        environment
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| self.name(entry) == name.as_bytes())?;
        let value = &self.block[entry.start + entry.name_bytes + 1..entry.start + entry.bytes - 1];
        std::str::from_utf8(value).ok()
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        &self.block[entry.start..entry.start + entry.name_bytes]
    }
}

/// Arguments and environment of one attempt. The buffers are used again for the next.
#[derive(Debug, Default)]
pub struct Image {
    strings: Vec<u8>,
    /// Offsets into `strings`; arguments first.
    arguments: Vec<usize>,
    variables: Vec<usize>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers are made anew from the owned buffers whenever they are used.
unsafe impl Send for Image {}

/// A string holds a NUL, which would end it early.
#[derive(Debug, thiserror::Error)]
#[error("{0} contains a NUL byte, which no argument or variable can hold")]
pub struct NulError(String);

/// Lists of strings as execve wants them. They live as long as the image and the environment they were made from.
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    pub(crate) argv: *const *const c_char,
    pub(crate) envp: *const *const c_char,
    life: std::marker::PhantomData<&'a CStr>,
}

impl Image {
    /// Lays out `argv`, and `environment` with `own` on top of it; of one name the later variable wins.
    pub fn lay_out<'a>(
        &'a mut self,
        argv: &[String],
        environment: &'a Environment,
        own: &[(&str, &str)],
    ) -> Result<Vectors<'a>, NulError> {
        self.strings.clear();
        self.arguments.clear();
        self.variables.clear();
        for (number, argument) in argv.iter().enumerate() {
            if argument.contains('\0') {
                return Err(NulError(format!("argument {number} of the command")));
            }
            self.arguments.push(self.strings.len());
            self.strings.extend_from_slice(argument.as_bytes());
            self.strings.push(0);
        }
        for (place, (name, value)) in own.iter().enumerate() {
            if name.contains('\0') || value.contains('\0') {
                return Err(NulError(format!("the variable {}", name.replace('\0', "\\0"))));
            }
            if own[place + 1..].iter().any(|(later, _)| later == name) {
                continue;
            }
            self.variables.push(self.strings.len());
            self.strings.extend_from_slice(name.as_bytes());
            self.strings.push(b'=');
            self.strings.extend_from_slice(value.as_bytes());
            self.strings.push(0);
        }
        // Only now do the strings stay where they are.
        let strings = self.strings.as_ptr();
        let pointers = &mut self.pointers;
        pointers.clear();
        pointers.extend(
            self.arguments
                .iter()
                .map(|&offset| strings.wrapping_add(offset).cast::<c_char>()),
        );
        pointers.push(std::ptr::null());
        let variables = pointers.len();
        pointers.extend(
            self.variables
                .iter()
                .map(|&offset| strings.wrapping_add(offset).cast::<c_char>()),
        );
        for entry in &environment.entries {
            let inherited = environment.name(entry);
            if own.iter().all(|(name, _)| name.as_bytes() != inherited) {
                pointers.push(environment.block.as_ptr().wrapping_add(entry.start).cast());
            }
        }
        pointers.push(std::ptr::null());
        let argv = pointers.as_ptr();
        Ok(Vectors {
            argv,
            envp: argv.wrapping_add(variables),
            life: std::marker::PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a process would see.
    fn seen(list: *const *const c_char) -> Vec<String> {
        let mut texts = Vec::new();
        for place in 0.. {
            // SAFETY: the list is null-terminated and its strings live as long as the image.
            let text = unsafe { *list.add(place) };
            if text.is_null() {
                break;
            }
            // SAFETY: as above.
            texts.push(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned());
        }
        texts
    }

    #[test]
    fn the_later_variable_wins_and_the_inherited_one_is_hidden() {
        let inherited = [("PATH", "/bin"), ("A", "1"), ("B=", "x"), ("AB", "2")];
        let environment = Environment::new(
            &inherited
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        let mut image = Image::default();
        let argv = ["x".to_owned(), String::new()];
        let own = [("A", "3"), ("C", "4"), ("A", "5")];
        let vectors = image.lay_out(&argv, &environment, &own).expect("no NUL");
        assert_eq!(seen(vectors.argv), ["x", ""]);
        assert_eq!(seen(vectors.envp), ["C=4", "A=5", "AB=2", "PATH=/bin"]);
        assert_eq!(environment.get("AB"), Some("2"));
        assert_eq!(environment.get("B"), None);
    }

    #[test]
    fn a_nul_is_refused_by_name() {
        let mut image = Image::default();
        let error = image
            .lay_out(&["a\0b".to_owned()], &Environment::default(), &[])
            .err()
            .expect("refused");
        assert_eq!(
            error.to_string(),
            "argument 0 of the command contains a NUL byte, which no argument or variable can hold"
        );
    }
}
