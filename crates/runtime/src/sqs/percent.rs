//! Percent-encoding, as forms and signatures use it. Both are stricter than what URLs bear: a form must be UTF-8, and a
//! signature covers exactly one way to write a byte.

use std::borrow::Cow;

/// Decodes `%XX`, and a plus as a space where forms mean one by it. An escape that is none stands for itself.
pub(crate) fn decode(text: &[u8], plus_is_space: bool) -> Cow<'_, [u8]> {
    let is_written = |byte: &u8| *byte == b'%' || (plus_is_space && *byte == b'+');
    let Some(first) = text.iter().position(is_written) else {
        return Cow::Borrowed(text);
    };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', &[high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(digit(high) << 4 | digit(low));
                rest = &after[2..];
            }
            (b'+', _) if plus_is_space => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    Cow::Owned(decoded)
}

/// The value of a hexadecimal digit.
fn digit(of: u8) -> u8 {
    match of {
        b'0'..=b'9' => of - b'0',
        b'a'..=b'f' => of - b'a' + 10,
        _ => of.to_ascii_uppercase().wrapping_sub(b'A').wrapping_add(10),
    }
}

/// Writes bytes as RFC 3986 has it: everything but letters, digits and `-._~` escaped, with capital digits.
pub(super) fn encode(to: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            to.push(char::from(*byte));
        } else {
            to.push('%');
            to.push(char::from(DIGITS[usize::from(byte >> 4)]));
            to.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        let form = |text: &str| String::from_utf8(decode(text.as_bytes(), true).into_owned()).expect("text");
        assert_eq!(form("a+b%20c%2Bd"), "a b c+d");
        assert_eq!(form("100%"), "100%");
        assert_eq!(form("%4"), "%4");
        assert_eq!(form("%zz%c3%A9"), "%zzé");
        assert_eq!(&*decode(b"a+b", false), b"a+b");
    }

    #[test]
    fn one_way_to_write_a_byte() {
        let mut to = String::new();
        encode(&mut to, "a/b é~+".as_bytes());
        assert_eq!(to, "a%2Fb%20%C3%A9~%2B");
    }
}
