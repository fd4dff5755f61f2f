//! Quantities of the project file: durations, sizes, shares of a core, a tolerance.

use std::time::Duration;

use bytesize::ByteSize;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::finding::{Finding, Findings};
use crate::project::job::Tolerance;
use crate::project::value::{FromToml, Value, integer, scalar_text, wrong_type};

/// Longer is a mistake, and would overflow where milliseconds are counted.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// `"90s"`, `"1h30m"`.
impl FromToml for Duration {
    fn expected() -> String {
        "a duration such as \"90s\" or \"1h30m\"".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Duration> {
        let Some(written) = value.get_ref().as_str() else {
            findings.push(unit_missing::<Duration>(key, value, "s"));
            return None;
        };
        match humantime::parse_duration(written.trim()) {
            Ok(duration) if duration <= LONGEST => Some(duration),
            Ok(_) => {
                let message = format!("`{key}` is longer than a hundred years");
                findings.push(Finding::error("out-of-range", message).at(value.span()));
                None
            }
            Err(_) => {
                let message = format!("expected {} for `{key}`, found \"{written}\"", Duration::expected());
                let finding = Finding::error("bad-duration", message).at(value.span());
                findings.push(finding.help("write a number with its unit: ms, s, m, h or d"));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "examples": ["90s", "1h30m"] })
    }
}

/// Bytes: `"2GiB"`, `"500MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromToml for Size {
    fn expected() -> String {
        "a size such as \"512MiB\" or \"2GiB\"".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Size> {
        let Some(written) = value.get_ref().as_str() else {
            findings.push(unit_missing::<Size>(key, value, "GiB"));
            return None;
        };
        match written.trim().parse::<ByteSize>() {
            // SQLite and the wire count bytes in 63 bits.
            Ok(size) if i64::try_from(size.as_u64()).is_ok() => Some(Size(size.as_u64())),
            Ok(_) => {
                findings.push(Finding::error("out-of-range", format!("`{key}` is beyond 8 EiB")).at(value.span()));
                None
            }
            Err(_) => {
                let message = format!("expected {} for `{key}`, found \"{written}\"", Size::expected());
                let finding = Finding::error("bad-size", message).at(value.span());
                findings
                    .push(finding.help("units are KiB, MiB, GiB, TiB (powers of 1024) and kB, MB, GB, TB (of 1000)"));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "examples": ["512MiB", "2GiB"] })
    }
}

/// A number where a unit is needed gets the help to write one.
fn unit_missing<T: FromToml>(key: &str, value: &Value<'_>, unit: &str) -> Finding {
    let finding = wrong_type::<T>(key, value);
    match value.get_ref() {
        DeValue::Integer(written) => finding.help(format!("write the unit: {key} = \"{written}{unit}\"")),
        DeValue::Float(written) => finding.help(format!("write the unit: {key} = \"{written}{unit}\"")),
        _ => finding,
    }
}

/// Thousandths of a core, written in cores: `1`, `0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores(pub(crate) u32);

impl FromToml for Cores {
    fn expected() -> String {
        "a number of cores such as 2 or 0.5".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Cores> {
        if !matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Float(_)) {
            findings.push(wrong_type::<Cores>(key, value));
            return None;
        }
        let cores = f64::from_toml(key, value, findings)?;
        let milli = (cores * 1000.0).round();
        if (1.0..=f64::from(u32::MAX)).contains(&milli) {
            return Some(Cores(milli as u32));
        }
        let message = format!(
            "`{key}` must be at least 0.001 of a core and at most 4 million, but is {}",
            written(value)
        );
        findings.push(Finding::error("out-of-range", message).at(value.span()));
        None
    }

    fn schema() -> Json {
        json!({ "type": "number", "minimum": 0.001 })
    }
}

fn written(value: &Value<'_>) -> String {
    scalar_text(value.get_ref()).unwrap_or_default()
}

/// `3` or `"5%"`.
impl FromToml for Tolerance {
    fn expected() -> String {
        "a count such as 3 or a share such as \"5%\"".to_owned()
    }

    fn from_toml(key: &str, value: &Value<'_>, findings: &mut Findings) -> Option<Tolerance> {
        let out_of_range = |message: String| Finding::error("out-of-range", message).at(value.span());
        match value.get_ref() {
            DeValue::Integer(written) => {
                let count = integer(written).and_then(|number| u64::try_from(number).ok());
                if count.is_none() {
                    findings.push(out_of_range(format!("`{key}` cannot be {written}")));
                }
                count.map(Tolerance::Count)
            }
            DeValue::String(written) => {
                let share = written
                    .trim()
                    .strip_suffix('%')
                    .and_then(|number| number.trim().parse::<f64>().ok());
                match share {
                    Some(share) if (0.0..=100.0).contains(&share) => Some(Tolerance::Percent(share)),
                    Some(_) => {
                        findings.push(out_of_range(format!(
                            "`{key}` must lie between 0% and 100%, but is {written}"
                        )));
                        None
                    }
                    None => {
                        let message = format!("expected {} for `{key}`, found \"{written}\"", Tolerance::expected());
                        findings.push(Finding::error("unknown-value", message).at(value.span()));
                        None
                    }
                }
            }
            _ => {
                findings.push(wrong_type::<Tolerance>(key, value));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9.]+ *%$" }] })
    }
}
