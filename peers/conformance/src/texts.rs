//! Texts that are almost messages: JSON objects with members missing, doubled, added or of another value,
//! then some with a character changed, then rubbish.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What texts are made of.
#[derive(Clone, Debug)]
pub struct Words {
    /// Messages to begin with.
    pub valid: Vec<String>,
    /// Names of members to add.
    pub members: &'static [&'static str],
    /// Values of the member `type`.
    pub kinds: &'static [&'static str],
    /// Values of members, as JSON, beside [`TRICKY`].
    pub values: &'static [&'static str],
}

/// JSON values that readers are known to take differently.
pub const TRICKY: [&str; 34] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "255",
    "256",
    "1.0",
    "1e2",
    "1e999",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "\"\"",
    "\"a\"",
    "\"1\"",
    "\"\\u0041\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "{}",
    "{\"a\":1}",
    "[]",
    "[0]",
    "[1,2,3]",
    "[256]",
    "[-1]",
    "[null]",
    "[[1]]",
];

/// True for JSON with values that only whoever looks at them refuses: numbers out of range, halves of surrogate pairs.
pub fn has_odd_value(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok() && serde_json::from_str::<Value>(text).is_err()
}

/// True if the text can be no object, but an array.
pub fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

impl Words {
    /// Texts of all kinds.
    pub fn any_text(&self) -> impl Strategy<Value = String> + use<> {
        let damaged =
            (self.message(), any::<prop::sample::Index>(), "[\\[\\]{}\",:0-9a-z\\\\ -]{0,2}")
                .prop_map(|(text, at, patch)| {
                    let mut characters: Vec<char> = text.chars().collect();
                    let at = at.index(characters.len());
                    characters.splice(at..=at, patch.chars());
                    characters.into_iter().collect()
                });
        let array = prop::collection::vec(self.value(), 0..4)
            .prop_map(|values| format!("[{}]", values.join(",")));
        let tagged = (self.kind(), prop::collection::vec(self.value(), 0..3))
            .prop_map(|(kind, values)| format!("[{}]", [vec![kind], values].concat().join(",")));
        prop_oneof![8 => self.message(), 3 => damaged, 1 => array, 1 => tagged, 1 => any::<String>()]
    }

    /// A JSON value.
    pub fn value(&self) -> impl Strategy<Value = String> + use<> {
        let numbers =
            prop::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| format!("{bytes:?}"));
        let known = [&TRICKY, self.values].concat();
        prop_oneof![
            8 => prop::sample::select(known).prop_map(str::to_owned),
            1 => any::<i64>().prop_map(|number| number.to_string()),
            1 => numbers,
            1 => any::<String>().prop_map(|text| Value::String(text).to_string()),
        ]
    }

    fn message(&self) -> impl Strategy<Value = String> + use<> {
        let member = (prop::sample::select(self.members), self.value());
        let changes = prop::collection::vec((any::<prop::sample::Index>(), 0..5u8, member), 0..3);
        let space = prop::sample::select(vec!["", " ", "\n\t "]);
        let valid = prop::sample::select(self.valid.clone());
        (valid, changes, self.kind(), prop::bool::weighted(0.1), space).prop_map(
            |(text, changes, kind, other_kind, space)| {
                let json: Map<String, Value> = serde_json::from_str(&text).unwrap();
                let mut members: Vec<(String, String)> =
                    json.into_iter().map(|(name, value)| (name, value.to_string())).collect();
                for (at, change, (name, value)) in changes {
                    if members.is_empty() {
                        break;
                    }
                    let at = at.index(members.len());
                    match change {
                        0 => drop(members.remove(at)),
                        1 => members.push(members[at].clone()),
                        2 => members.insert(at, (name.to_owned(), value)),
                        _ => members[at].1 = value,
                    }
                }
                let mut all = members.iter_mut();
                if other_kind && let Some(member) = all.find(|member| member.0 == "type") {
                    member.1 = kind;
                }
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
                    .collect();
                format!("{space}{{{}}}{space}", members.join(","))
            },
        )
    }

    fn kind(&self) -> impl Strategy<Value = String> + use<> {
        prop::sample::select(self.kinds).prop_map(|kind| format!("\"{kind}\""))
    }
}
