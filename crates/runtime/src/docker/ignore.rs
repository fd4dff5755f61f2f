//! `.dockerignore`: which files of a build's folder are not part of it. The rules are those of Docker's own client: Go's
//! `filepath.Match` with `**`, of several that fit the last decides, and what is in an ignored folder is ignored.

/// The patterns of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    text: Vec<char>,
    /// `!pattern`: what fits is part of the build after all.
    keeps: bool,
}

impl Ignore {
    pub(super) fn parse(text: &str) -> Ignore {
        let lines = text.trim_start_matches('\u{feff}').lines();
        let patterns = lines.filter(|line| !line.starts_with('#')).filter_map(|line| {
            let line = line.trim();
            let (keeps, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line),
            };
            let text = clean(pattern);
            (!text.is_empty()).then(|| Pattern {
                text: text.chars().collect(),
                keeps,
            })
        });
        Ignore {
            patterns: patterns.collect(),
        }
    }

    /// Whether a path, relative to the folder, is not part of it.
    pub(super) fn ignores(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let ends = path.iter().enumerate().filter(|(_, character)| **character == '/');
        // The path itself and all folders above it.
        let mut above: Vec<usize> = ends.map(|(end, _)| end).collect();
        above.push(path.len());
        let mut ignored = false;
        for pattern in &self.patterns {
            if ignored == pattern.keeps && above.iter().any(|end| fits(&pattern.text, &path[..*end])) {
                ignored = !pattern.keeps;
            }
        }
        ignored
    }

    /// Whether something in an ignored folder may be part of it all the same.
    pub(super) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.keeps)
    }
}

/// Without `.`, `..`, and slashes at its ends.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn fits(pattern: &[char], text: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first {
        '*' if rest.first() == Some(&'*') => {
            let rest = &rest[1..];
            match rest.split_first() {
                None => true,
                // `**/x`: at any depth, none included.
                Some(('/', rest)) => {
                    let after = text.iter().enumerate().filter(|(_, character)| **character == '/');
                    fits(rest, text)
                        || after
                            .map(|(slash, _)| slash + 1)
                            .any(|start| fits(rest, &text[start..]))
                }
                Some(_) => (0..=text.len()).any(|start| fits(rest, &text[start..])),
            }
        }
        '*' => {
            let end = text
                .iter()
                .position(|character| *character == '/')
                .unwrap_or(text.len());
            (0..=end).any(|start| fits(rest, &text[start..]))
        }
        '?' => text.first().is_some_and(|character| *character != '/') && fits(rest, &text[1..]),
        '[' => match class(rest, text.first()) {
            Some((true, rest)) => fits(rest, &text[1..]),
            _ => false,
        },
        '\\' if !rest.is_empty() => text.first() == Some(&rest[0]) && fits(&rest[1..], &text[1..]),
        literal => text.first() == Some(literal) && fits(rest, &text[1..]),
    }
}

/// `[a-z]`, `[^a-z]`: whether the character is one of them, and what of the pattern follows. `None` when it is never closed.
fn class<'p>(pattern: &'p [char], character: Option<&char>) -> Option<(bool, &'p [char])> {
    let negated = pattern.first() == Some(&'^');
    let mut rest = &pattern[usize::from(negated)..];
    let mut found = false;
    let mut is_first = true;
    loop {
        let (mut low, after) = rest.split_first()?;
        rest = after;
        if *low == ']' && !is_first {
            break;
        }
        if *low == '\\' {
            (low, rest) = rest.split_first()?;
        }
        let mut high = low;
        if rest.first() == Some(&'-') && rest.get(1).is_some_and(|end| *end != ']') {
            high = &rest[1];
            rest = &rest[2..];
        }
        found |= character.is_some_and(|character| (low..=high).contains(&character));
        is_first = false;
    }
    let is_it = character.is_some_and(|character| *character != '/') && found != negated;
    Some((is_it, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_ignored_as_docker_does() {
        for (pattern, ignored, kept) in [
            ("*.csv", vec!["a.csv"], vec!["data/a.csv", "a.csvx"]),
            ("**/*.csv", vec!["a.csv", "data/deep/a.csv"], vec!["a.py"]),
            ("data", vec!["data", "data/a", "data/b/c"], vec!["database", "x/data"]),
            ("/data/", vec!["data/a"], vec!["x/data"]),
            ("data/**", vec!["data/a", "data/b/c"], vec!["other"]),
            ("./a/../b", vec!["b"], vec!["a"]),
            ("temp?", vec!["temp1"], vec!["temp", "temp10", "temp/"]),
            ("*/temp*", vec!["a/temporary.txt", "a/temp"], vec!["temp", "a/b/temp"]),
            ("[a-c]x", vec!["ax", "cx"], vec!["dx"]),
            ("[^a-c]x", vec!["dx"], vec!["ax"]),
            ("\\!x", vec!["!x"], vec!["x"]),
            ("**", vec!["a", "a/b"], vec![]),
        ] {
            let ignore = Ignore::parse(pattern);
            for path in ignored {
                assert!(ignore.ignores(path), "{pattern} ignores {path}");
            }
            for path in kept {
                assert!(!ignore.ignores(path), "{pattern} keeps {path}");
            }
        }
    }

    #[test]
    fn the_last_that_fits_decides() {
        let ignore = Ignore::parse("# a comment\n*\n!src\n!*.md\nsrc/secret\nREADME-*.md\n");
        let ignored = |path| ignore.ignores(path);
        assert!(ignored("target") && ignored("src/secret/key") && ignored("README-old.md"));
        assert!(!ignored("src/main.rs") && !ignored("README.md"));
        assert!(ignore.has_exceptions() && !Ignore::parse("*\n").has_exceptions());
    }
}
