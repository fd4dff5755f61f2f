//! Texts with placeholders: `{name}` is filled from the message, `{{` and `}}` stand for braces.

use crate::message::Message;

/// A parsed text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

/// Why a text is not a template; offsets are bytes into the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{{` at column {} is never closed", .0 + 1)]
    Unclosed(usize),
    #[error("`}}` at column {} closes nothing", .0 + 1)]
    Unopened(usize),
    #[error("`{{{name}}}` is no placeholder: a name has letters, digits, `_`, `-` and `.`")]
    BadName { offset: usize, name: String },
}

impl Template {
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.char_indices().peekable();
        while let Some((offset, character)) = rest.next() {
            match character {
                '{' if rest.next_if(|next| next.1 == '{').is_some() => literal.push('{'),
                '}' if rest.next_if(|next| next.1 == '}').is_some() => literal.push('}'),
                '}' => return Err(TemplateError::Unopened(offset)),
                '{' => {
                    let tail = &text[offset + 1..];
                    let end = tail.find('}').ok_or(TemplateError::Unclosed(offset))?;
                    let name = &tail[..end];
                    if !is_name(name) {
                        return Err(TemplateError::BadName {
                            offset,
                            name: name.to_owned(),
                        });
                    }
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Placeholder(name.to_owned()));
                    while rest.next_if(|next| next.0 <= offset + 1 + end).is_some() {}
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Template { pieces })
    }

    /// A text without placeholders, whatever braces it has.
    pub fn literal(text: &str) -> Template {
        Template {
            pieces: vec![Piece::Text(text.to_owned())],
        }
    }

    /// The names of its placeholders, in order, repeated as often as they stand there.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text with every placeholder filled; `Err` names the first that the message lacks.
    pub fn fill(&self, message: &Message) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Placeholder(name) => text.push_str(&message.text(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(text)
    }

    /// The text as the user wrote it.
    pub fn source(&self) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(&literal.replace('{', "{{").replace('}', "}}")),
                Piece::Placeholder(name) => text.push_str(&format!("{{{name}}}")),
            }
        }
        text
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let message = Message::parse(r#"{"dest":"BOS","depth":4,"deep":{"a":[1]}}"#).expect("an object");
        Template::parse(text)
            .expect("a template")
            .fill(&message)
            .expect("all there")
    }

    #[test]
    fn placeholders_are_filled_and_braces_escaped() {
        assert_eq!(filled("--dest={dest}"), "--dest=BOS");
        assert_eq!(filled("{depth}{dest}"), "4BOS");
        assert_eq!(filled("{{dest}} }}{deep}"), r#"{dest} }{"a":[1]}"#);
        assert_eq!(filled(""), "");
        let template = Template::parse("a{{b}} {dest}").expect("a template");
        assert_eq!(template.source(), "a{{b}} {dest}");
    }

    #[test]
    fn what_is_no_template_says_where() {
        assert_eq!(Template::parse("a{dest"), Err(TemplateError::Unclosed(1)));
        assert_eq!(Template::parse("a}b"), Err(TemplateError::Unopened(1)));
        assert!(matches!(
            Template::parse("{a b}"),
            Err(TemplateError::BadName { offset: 0, .. })
        ));
        assert!(matches!(Template::parse("{}"), Err(TemplateError::BadName { .. })));
    }

    #[test]
    fn a_missing_name_is_named() {
        let message = Message::parse("{}").expect("an object");
        assert_eq!(
            Template::parse("{dest}").expect("a template").fill(&message),
            Err("dest".to_owned())
        );
    }
}
