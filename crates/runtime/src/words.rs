//! Chances and moments as people read them, in what the runtime says and in what commands print.

use std::time::{Duration, UNIX_EPOCH};

use kingtide_core::time::Timestamp;

use crate::view::json::LAST_MOMENT;

/// A chance in percent, never certain: `93 %`, `>99 %`, `<1 %`.
pub fn chance(chance: f64) -> String {
    match (chance * 100.0).round() {
        percent if percent >= 100.0 => ">99 %".to_owned(),
        percent if percent < 1.0 => "<1 %".to_owned(),
        percent => format!("{percent} %"),
    }
}

/// `2026-08-03 14:05:00Z`
pub fn moment(at: Timestamp) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(at.0.clamp(0, LAST_MOMENT) as u64);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ")
}
