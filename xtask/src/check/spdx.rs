//! Licence expressions as crates write them: `MIT OR Apache-2.0`, `(A OR B) AND C`, `Apache-2.0 WITH LLVM-exception`, and
//! the slash of old for `OR`. `AND` binds closer than `OR`, as SPDX has it.

/// Whether one can satisfy the expression with allowed licences alone; `Err` says what cannot be read.
pub(crate) fn is_satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut reader = Reader {
        words: spaced.split_whitespace().peekable(),
        allowed,
    };
    let satisfied = reader.any_of()?;
    match reader.words.next() {
        None => Ok(satisfied),
        Some(word) => Err(format!("`{word}` was not expected in `{expression}`")),
    }
}

struct Reader<'a> {
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn any_of(&mut self) -> Result<bool, String> {
        let mut satisfied = self.all_of()?;
        while self.words.next_if_eq(&"OR").is_some() {
            satisfied |= self.all_of()?;
        }
        Ok(satisfied)
    }

    fn all_of(&mut self) -> Result<bool, String> {
        let mut satisfied = self.one()?;
        while self.words.next_if_eq(&"AND").is_some() {
            satisfied &= self.one()?;
        }
        Ok(satisfied)
    }

    fn one(&mut self) -> Result<bool, String> {
        match self.words.next() {
            Some("(") => {
                let satisfied = self.any_of()?;
                match self.words.next() {
                    Some(")") => Ok(satisfied),
                    _ => Err("a parenthesis is never closed".to_owned()),
                }
            }
            Some(word @ ("OR" | "AND" | "WITH" | ")")) => Err(format!("`{word}` stands where a licence is expected")),
            Some(licence) => match self.words.next_if_eq(&"WITH") {
                // An exception adds permissions, but is allowed by name like a licence of its own.
                Some(_) => {
                    let exception = self.words.next().ok_or("`WITH` is followed by nothing")?;
                    Ok((self.allowed)(&format!("{licence} WITH {exception}")))
                }
                None => Ok((self.allowed)(licence)),
            },
            None => Err("the expression ends early".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn satisfied(expression: &str) -> Result<bool, String> {
        is_satisfied(expression, &|licence| {
            matches!(licence, "MIT" | "Apache-2.0" | "Apache-2.0 WITH LLVM-exception")
        })
    }

    #[test]
    fn one_way_to_satisfy_it_is_enough() {
        assert_eq!(satisfied("MIT"), Ok(true));
        assert_eq!(satisfied("GPL-3.0 OR MIT"), Ok(true));
        assert_eq!(satisfied("GPL-3.0/MIT"), Ok(true));
        assert_eq!(satisfied("GPL-3.0 WITH LLVM-exception"), Ok(false));
        assert_eq!(satisfied("Apache-2.0 WITH LLVM-exception OR GPL-3.0"), Ok(true));
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert_eq!(satisfied("MIT OR Apache-2.0 AND GPL-3.0"), Ok(true));
        assert_eq!(satisfied("(MIT OR Apache-2.0) AND GPL-3.0"), Ok(false));
        assert_eq!(satisfied("(GPL-3.0 OR Apache-2.0) AND MIT"), Ok(true));
    }

    #[test]
    fn what_is_no_expression_is_said() {
        for wrong in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND MIT", "MIT WITH"] {
            assert!(satisfied(wrong).is_err(), "{wrong}");
        }
    }
}
