//! What stands in variables of the environment and in no template: `webhook = "${OPS_WEBHOOK}"`. It is read when it is deployed, handed over as a
//! parameter that AWS shows to nobody, and printed nowhere.

use std::collections::BTreeMap;

use kingtide_core::cloud::template::Stack;

use crate::exit::{Failure, Outcome};

/// The values of a template's parameters of that kind.
pub(super) fn urls(template: &Stack) -> Outcome<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for (name, parameter) in &template.parameters {
        let Some(written) = &parameter.written else { continue };
        let value = filled(written, |variable| std::env::var(variable).ok());
        let is_url = value.as_ref().is_some_and(|value| value.starts_with("https://"));
        let Some(value) = value.filter(|_| is_url) else {
            let failure = Failure::usage(format!("`{written}` is no URL here, and an alarm is to ask it"));
            return Err(failure.help("set the variable to one that begins with https://, or remove the key"));
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// `${NAME}` and `${NAME:-what stands for it}`, with whatever comes after; `None` where the variable is not set and nothing stands for it.
fn filled(written: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (place, rest) = written.strip_prefix("${")?.split_once('}')?;
    let (name, default) = match place.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (place, None),
    };
    let value = variable(name).filter(|value| !value.is_empty()).or(default)?;
    Some(value + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_or_what_stands_for_them() {
        let of = |written: &str| filled(written, |name| (name == "HOOK").then(|| "https://a".to_owned()));
        assert_eq!(of("${HOOK}").as_deref(), Some("https://a"));
        assert_eq!(of("${HOOK}/path").as_deref(), Some("https://a/path"));
        assert_eq!(of("${OTHER:-https://b}").as_deref(), Some("https://b"));
        assert_eq!((of("${OTHER}"), of("https://a")), (None, None));
    }
}
