//! Texts as they are part of a URL and of its signature.

use std::fmt::Write as _;

/// Everything but letters, digits and `-._~` escaped.
pub(super) fn encode(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same, but slashes stay: an object's key as a path.
pub(super) fn encode_path(key: &str) -> String {
    escaped(key, |byte| byte == b'/')
}

/// What was escaped, as it was; used where S3 escapes keys in its lists.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let pair = more.get(..2).filter(|_| *first == b'%');
        let escaped = pair
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `name=value` with ampersands between them, in the order of the escaped names.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> = pairs
        .iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn escaped(text: &str, is_kept: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || is_kept(byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_read_again() {
        let text = "runs/7/ä b+c&d=e%2F";
        assert_eq!(encode_path(text), "runs/7/%C3%A4%20b%2Bc%26d%3De%252F");
        assert_eq!(decode(&encode(text)), text);
        assert_eq!(query(&[("b", "1 2"), ("a", "")]), "a=&b=1%202");
    }
}
