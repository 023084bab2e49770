//! Timestamps as the directory and topology files write them.

use std::borrow::Cow;

use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::time::UnixTime;

/// Longest text looked at.
const TEXT_MAX: usize = 64;

/// Reads RFC 3339, or the looser `2026-01-01 00:00:00.0 +00:00:00`. `None` for anything else and
/// for times before 1970.
pub(super) fn parse(text: &str) -> Option<UnixTime> {
    let text = text.trim();
    if text.len() > TEXT_MAX {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&tidy(text), &Rfc3339));
    let nanos = time.ok()?.unix_timestamp_nanos();
    u64::try_from(nanos).ok().map(UnixTime::from_nanos)
}

/// Reads a timestamp out of a JSON value. `None` for anything else, and for the start of 1970, which
/// stands for "not known".
pub(super) fn from_json(raw: &RawValue) -> Option<UnixTime> {
    let text: Cow<'_, str> = serde_json::from_str(raw.get()).ok()?;
    parse(&text).filter(|&time| time != UnixTime::default())
}

/// Brings `date time [offset[:seconds]]` into the form of RFC 3339.
fn tidy(text: &str) -> String {
    let mut parts = text.split_whitespace();
    let date = parts.next().unwrap_or_default();
    let clock = parts.next().unwrap_or_default();
    let offset = match parts.next() {
        None | Some("UTC") => "Z",
        Some(offset) => offset.get(..6).unwrap_or(offset),
    };
    format!("{date}T{clock}{offset}")
}

/// RFC 3339 in UTC.
pub(super) fn rfc3339(time: UnixTime) -> String {
    let time = date_time(time);
    time.format(&Rfc3339).unwrap_or_default()
}

/// The looser form with blanks, which every published reader of node lists takes.
pub(super) fn loose(time: UnixTime) -> String {
    let fraction = format!("{:09}", time.as_nanos() % 1_000_000_000);
    let fraction = match fraction.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let time = date_time(time);
    let (hour, minute, second) = time.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}.{fraction} +00:00:00", time.date())
}

fn date_time(time: UnixTime) -> OffsetDateTime {
    // 2⁶⁴ nanoseconds end in the year 2554, well inside the range
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.as_nanos()))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_the_forms_of_one_instant_agree() {
        let expected = UnixTime::from_nanos(1_767_225_600_250_000_000);
        for text in [
            "2026-01-01T00:00:00.25Z",
            "2026-01-01T00:00:00.250000000+00:00",
            "2026-01-01T01:00:00.25+01:00",
            "2025-12-31T22:30:00.25-01:30",
            "2026-01-01 00:00:00.25 +00:00:00",
            "2026-01-01 01:00:00.25 +01:00:00",
            "2026-01-01 00:00:00.25 +00:00",
            "2026-01-01 00:00:00.25 UTC",
            " 2026-01-01 00:00:00.25 ",
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "yesterday", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "+ä +ä +äääää"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_loose_form_has_a_fraction_and_seconds_in_its_offset() {
        assert_eq!(loose(UnixTime::from_secs(1_767_225_600)), "2026-01-01 00:00:00.0 +00:00:00");
    }

    proptest! {
        #[test]
        fn every_time_survives_both_forms(nanos in any::<u64>()) {
            let time = UnixTime::from_nanos(nanos);
            prop_assert_eq!(parse(&rfc3339(time)), Some(time));
            prop_assert_eq!(parse(&loose(time)), Some(time));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,70}") {
            let _ = parse(&text);
        }
    }
}
