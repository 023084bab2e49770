//! One change of what a client keeps.

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::super::Registration;
use super::codec;
use super::entry::Entry;

/// A key with its new value, or a key to erase. Values hold secrets: they are wiped on drop and do
/// not show in `Debug`. Keys name correspondents and do not show either.
#[derive(Clone)]
pub struct Change {
    key: Box<[u8]>,
    value: Option<Zeroizing<Vec<u8>>>,
}

impl Change {
    /// Keep `value` under `key`, in place of what is there.
    #[must_use]
    pub fn put(key: impl Into<Box<[u8]>>, value: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self { key: key.into(), value: Some(value.into()) }
    }

    /// Erase what is under `key`, if anything.
    #[must_use]
    pub fn erase(key: impl Into<Box<[u8]>>) -> Self {
        Self { key: key.into(), value: None }
    }

    /// The key: at most [`KEY_MAX`](Self::KEY_MAX) bytes, of which the first tells the kind.
    #[must_use]
    pub const fn key(&self) -> &[u8] {
        &self.key
    }

    /// The new value, at most [`VALUE_MAX`](Self::VALUE_MAX) bytes; `None`: erase the key.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(|value| value.as_slice())
    }

    /// The registration that this change keeps, if it keeps one: for a shell that shows it.
    #[must_use]
    pub fn registration(&self) -> Option<Registration> {
        if *self.key.first()? != codec::REGISTRATION {
            return None;
        }
        match codec::decode(&self.key, self.value()?, &mut codec::Recipients::default())? {
            (_, Entry::Registration(registration)) => Some(registration),
            _ => None,
        }
    }

    /// Longest key.
    pub const KEY_MAX: usize = 40;
    /// Longest value.
    pub const VALUE_MAX: usize = 4096;
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.key.first().copied().unwrap_or_default();
        match &self.value {
            Some(value) => write!(f, "Change(put kind {kind}, <{} bytes redacted>)", value.len()),
            None => write!(f, "Change(erase kind {kind})"),
        }
    }
}

impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        let is_same_value = match (self.value(), other.value()) {
            (Some(own), Some(other)) => own.ct_eq(other).into(),
            (own, other) => own.is_none() && other.is_none(),
        };
        self.key == other.key && is_same_value
    }
}
