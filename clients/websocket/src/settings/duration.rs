//! Durations as people write them.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration: `"15ms"`, `"1h 30m"`, or a table with `secs` and `nanos`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    secs: u64,
    nanos: u32,
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = HumanDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"15ms\", \"20s\" or \"5m\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HumanDuration, E> {
        humantime::parse_duration(text).map(HumanDuration).map_err(|error| {
            E::custom(format!(
                "{text:?} is no duration ({error}); write for example \"15ms\", \"20s\" or \"5m\""
            ))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HumanDuration, A::Error> {
        let Parts { secs, nanos } = Parts::deserialize(MapAccessDeserializer::new(map))?;
        let nanos = Duration::from_nanos(nanos.into());
        Duration::from_secs(secs)
            .checked_add(nanos)
            .map(HumanDuration)
            .ok_or_else(|| A::Error::custom("the duration is too long"))
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize, PartialEq, Debug)]
    struct File {
        wait: HumanDuration,
    }

    #[test]
    fn both_forms_are_read_and_one_is_written() {
        let expected = File { wait: HumanDuration::from_millis(1500) };
        for text in
            ["wait = '1s 500ms'", "wait = \"1500ms\"", "wait = { secs = 1, nanos = 500000000 }"]
        {
            assert_eq!(toml::from_str::<File>(text).unwrap(), expected, "{text}");
        }
        assert_eq!(toml::to_string(&expected).unwrap(), "wait = \"1s 500ms\"\n");
    }

    #[test]
    fn what_is_no_duration_is_named_with_an_example() {
        for text in
            ["wait = '15'", "wait = 'soon'", "wait = 15", "wait = { secs = 1 }", "wait = ''"]
        {
            assert!(toml::from_str::<File>(text).is_err(), "{text}");
        }
        let error = toml::from_str::<File>("wait = 'soon'").unwrap_err().to_string();
        assert!(error.contains("soon") && error.contains("15ms"), "{error}");
    }
}
