//! The time of the wall clock, and how it is written in front of a line of a log.

use std::time::{SystemTime, UNIX_EPOCH};

/// The bytes of `2026-11-24T03:08:00.123Z `, the blank included.
pub const STAMP_BYTES: usize = 25;

/// Milliseconds since the Unix epoch, now.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A moment in UTC as `2026-11-24T03:08:00.123Z `.
pub fn stamp(at_ms: i64) -> [u8; STAMP_BYTES] {
    let days = at_ms.div_euclid(86_400_000);
    let in_day = at_ms.rem_euclid(86_400_000);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000Z ";
    write_digits(&mut text[0..4], year.clamp(0, 9999));
    write_digits(&mut text[5..7], month);
    write_digits(&mut text[8..10], day);
    write_digits(&mut text[11..13], in_day / 3_600_000);
    write_digits(&mut text[14..16], in_day / 60_000 % 60);
    write_digits(&mut text[17..19], in_day / 1000 % 60);
    write_digits(&mut text[20..23], in_day % 1000);
    text
}

/// A moment as RFC 3339 has it, in milliseconds since the Unix epoch: `2026-11-24T03:08:00.123456789Z`, or with an offset
/// such as `+02:00`; digits beyond milliseconds are dropped. `None` for anything else.
pub fn moment(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let separators = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    if separators
        .iter()
        .any(|(place, separator)| !text.get(*place..).is_some_and(|rest| rest.starts_with(*separator)))
    {
        return None;
    }
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let rest = text.get(19..)?;
    let zone = rest.trim_start_matches(|character: char| character == '.' || character.is_ascii_digit());
    let fraction = rest[..rest.len() - zone.len()].trim_start_matches('.');
    let milliseconds = fraction
        .bytes()
        .chain(*b"000")
        .take(3)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let start = text.len() - zone.len();
            let minutes = number(start + 1, start + 3)? * 60 + number(start + 4, start + 6)?;
            match zone.as_bytes() {
                [b'+', _, _, b':', _, _] => minutes,
                [b'-', _, _, b':', _, _] => -minutes,
                _ => return None,
            }
        }
    };
    Some((seconds - offset * 60) * 1000 + milliseconds)
}

/// The day that `civil` takes apart.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years begin in March here,
/// so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn write_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(at_ms: i64) -> String {
        String::from_utf8(stamp(at_ms).to_vec()).expect("digits")
    }

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z ");
        assert_eq!(text(1_795_489_680_123), "2026-11-24T03:08:00.123Z ");
        assert_eq!(text(951_782_399_999), "2000-02-28T23:59:59.999Z ");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z ");
        assert_eq!(text(4_107_542_400_000), "2100-03-01T00:00:00.000Z ");
    }

    #[test]
    fn written_moments_are_read() {
        for at_ms in [
            0,
            1_795_489_680_123,
            951_782_399_999,
            951_782_400_000,
            4_107_542_400_000,
        ] {
            assert_eq!(moment(text(at_ms).trim_end()), Some(at_ms));
        }
        assert_eq!(moment("2026-11-24T03:08:00.123456789Z"), Some(1_795_489_680_123));
        assert_eq!(moment("2026-11-24T05:08:00.1+02:00"), Some(1_795_489_680_100));
        assert_eq!(moment("2026-11-23T23:38:00-03:30"), Some(1_795_489_680_000));
        assert_eq!(
            moment("0001-01-01T00:00:00Z"),
            Some(-62_135_596_800_000),
            "never, in Docker's words"
        );
        for other in [
            "",
            "2026-11-24",
            "2026-11-24T03:08:00",
            "2026-11-24T03:08:00.1+2",
            "2026-11-24T0é:08:00Z",
        ] {
            assert_eq!(moment(other), None, "{other}");
        }
    }
}
