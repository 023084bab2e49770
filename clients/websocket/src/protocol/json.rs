//! Reading some fields of a JSON object where they stand, and writing objects.

use core::fmt;
use std::borrow::Cow;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::Serialize;
use serde_json::value::RawValue;

use super::error::{JsonError, shortened};

/// The fields of an object that are of interest, as they stand in the text. Others are skipped.
pub(super) struct Fields<'a, const N: usize> {
    names: &'static [&'static str; N],
    values: [Value<'a>; N],
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Absent,
    Once(&'a str),
    Repeated,
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Reads an object. It is not nested in memory, however deep it is in the text.
    pub(super) fn read(
        text: &'a str,
        names: &'static [&'static str; N],
    ) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|e| syntax(&e))?;
        if !raw.get().starts_with('{') {
            return Err(JsonError::NotAnObject);
        }
        let mut json = serde_json::Deserializer::from_str(raw.get());
        let values = json.deserialize_map(Collect(names)).map_err(|e| syntax(&e))?;
        Ok(Self { names, values })
    }

    /// The field as it stands in the text, if it is there.
    fn raw(&self, name: &'static str) -> Result<Option<&'a str>, JsonError> {
        let mut pairs = self.names.iter().zip(&self.values);
        match pairs.find(|(known, _)| **known == name).map(|(_, value)| *value) {
            None | Some(Value::Absent) => Ok(None),
            Some(Value::Once(raw)) => Ok(Some(raw)),
            Some(Value::Repeated) => Err(JsonError::Repeated(name)),
        }
    }

    fn parsed<T: Deserialize<'a>>(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, JsonError> {
        let Some(raw) = self.raw(name)? else {
            return Ok(None);
        };
        match serde_json::from_str(raw) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(JsonError::Field { name, expected, value: shortened(raw) }),
        }
    }

    /// A string, if it is there.
    pub(super) fn optional_text(
        &self,
        name: &'static str,
    ) -> Result<Option<Cow<'a, str>>, JsonError> {
        Ok(self.parsed::<Str<'a>>(name, "a string")?.map(|text| text.0))
    }

    /// A string.
    pub(super) fn text(&self, name: &'static str) -> Result<Cow<'a, str>, JsonError> {
        self.optional_text(name)?.ok_or(JsonError::Missing(name))
    }

    /// A string, if it is there and not `null`.
    pub(super) fn nullable_text(
        &self,
        name: &'static str,
    ) -> Result<Option<Cow<'a, str>>, JsonError> {
        let text = self.parsed::<Option<Str<'a>>>(name, "a string or null")?;
        Ok(text.flatten().map(|text| text.0))
    }

    /// A number, if it is there and not `null`.
    pub(super) fn nullable_u64(&self, name: &'static str) -> Result<Option<u64>, JsonError> {
        let number = self.parsed::<Option<u64>>(name, "an integer of 64 bits or null")?;
        Ok(number.flatten())
    }

    /// A number.
    pub(super) fn u64(&self, name: &'static str) -> Result<u64, JsonError> {
        self.parsed(name, "an integer of 64 bits")?.ok_or(JsonError::Missing(name))
    }

    /// A number.
    pub(super) fn u32(&self, name: &'static str) -> Result<u32, JsonError> {
        self.parsed(name, "an integer of 32 bits")?.ok_or(JsonError::Missing(name))
    }

    /// The error for a field whose value is wrong although its type is right.
    pub(super) fn bad(&self, name: &'static str, expected: &'static str) -> JsonError {
        let raw = self.raw(name).ok().flatten().unwrap_or_default();
        JsonError::Field { name, expected, value: shortened(raw) }
    }
}

fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax(shortened(&error.to_string()))
}

struct Collect<const N: usize>(&'static [&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Collect<N> {
    type Value = [Value<'de>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [Value::Absent; N];
        while let Some(Str(key)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            let known = self.0.iter().zip(&mut values).find(|(name, _)| **name == key);
            if let Some((_, value)) = known {
                *value = match value {
                    Value::Absent => Value::Once(raw.get()),
                    _ => Value::Repeated,
                };
            }
        }
        Ok(values)
    }
}

/// A string that is borrowed where it has no escapes.
struct Str<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Str<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrVisitor;
        impl<'de> Visitor<'de> for StrVisitor {
            type Value = Str<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(StrVisitor)
    }
}

/// The JSON of `value`, which is a plain object.
pub(super) fn write(value: &impl Serialize) -> String {
    let written = serde_json::to_string(value);
    debug_assert!(written.is_ok(), "only maps and foreign types can fail to be written");
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str; 2] = &["a", "b"];

    fn read(text: &str) -> Result<Fields<'_, 2>, JsonError> {
        Fields::read(text, NAMES)
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let fields = read(r#"{"a":"plain","b":"esc\u0061ped"}"#).unwrap();
        assert!(matches!(fields.text("a"), Ok(Cow::Borrowed("plain"))));
        assert!(matches!(fields.text("b"), Ok(Cow::Owned(text)) if text == "escaped"));
    }

    #[test]
    fn names_may_be_escaped_and_unknown_fields_are_skipped() {
        let fields = read(" {\"\\u0061\" : 7, \"x\":[{}], \"x\":0} ").unwrap();
        assert_eq!(fields.u64("a"), Ok(7));
        assert_eq!(fields.u64("b"), Err(JsonError::Missing("b")));
    }

    #[test]
    fn a_doubled_field_is_refused_only_if_it_is_of_interest() {
        let fields = read(r#"{"a":1,"a":1,"b":2}"#).unwrap();
        assert_eq!(fields.u64("b"), Ok(2));
        assert_eq!(fields.u64("a"), Err(JsonError::Repeated("a")));
    }

    #[test]
    fn a_wrong_value_is_named() {
        let fields = read(r#"{"a":{"x":1},"b":-1}"#).unwrap();
        assert_eq!(
            fields.text("a").unwrap_err().to_string(),
            "field `a`: expected a string, not {\"x\":1}"
        );
        assert!(fields.u32("b").unwrap_err().to_string().ends_with("not -1"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["[]", "1", "\"a\"", "null"] {
            assert_eq!(read(text).err(), Some(JsonError::NotAnObject), "{text}");
        }
        for text in ["", "{", "{} {}", "hello", "{\"a\":\"\u{1}\"}", "\u{feff}{}"] {
            assert!(matches!(read(text), Err(JsonError::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_or_skipped_without_recursion() {
        let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
        assert!(read(&format!("{{\"x\":{deep},\"a\":1}}")).is_ok_and(|f| f.u64("a") == Ok(1)));
        assert!(read(&"[".repeat(500_000)).is_err());
        assert!(read(&format!("{{\"a\":{deep}}}")).unwrap().text("a").is_err());
    }
}
