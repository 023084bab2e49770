//! What a program asks for in the URL it connects to.

use thiserror::Error;

use super::error::shortened;
use super::frame::{Format, UnknownFormat};

/// The query of the URL. Names that mean nothing are ignored, and so is the path.
/// (protocol: websocket 1.2)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Query {
    /// `format=text` or `format=binary`: what is pushed has this form. None: the form of what the
    /// program sent last.
    pub format: Option<Format>,
    /// `receive=first` or `receive=copy`: what the program gets of the messages that arrive.
    pub receive: Receive,
}

/// Which of the messages that arrive a program gets. (protocol: websocket 1.3)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Receive {
    /// Each, as long as no other program of this kind has been connected for longer.
    #[default]
    First,
    /// A copy of each that arrives while it is connected; nothing is taken away from others.
    Copy,
}

/// A parameter of the query has a value it cannot have.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// This is no format.
    #[error(transparent)]
    Format(#[from] UnknownFormat),
    /// This is no way to receive.
    #[error("{0:?} is no way to receive; there are `first` and `copy`")]
    Receive(String),
}

impl Query {
    /// Reads the target of the HTTP request: a path, with or without a query. The last of equal names
    /// counts.
    pub fn parse(target: &str) -> Result<Self, QueryError> {
        let mut query = Self::default();
        for parameter in parameters(target) {
            match parameter {
                ("format", format) => query.format = Some(format.parse()?),
                ("receive", "first") => query.receive = Receive::First,
                ("receive", "copy") => query.receive = Receive::Copy,
                ("receive", other) => return Err(QueryError::Receive(shortened(other))),
                _ => {}
            }
        }
        Ok(query)
    }

    /// The access token of a query, for who cannot send headers.
    pub(super) fn token(target: &str) -> Option<&str> {
        parameters(target).filter(|(name, _)| *name == "token").map(|(_, value)| value).last()
    }
}

/// The names and values of a query.
fn parameters(target: &str) -> impl Iterator<Item = (&str, &str)> {
    let (_, parameters) = target.split_once('?').unwrap_or_default();
    parameters.split('&').filter_map(|parameter| parameter.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_and_any_other_name_is_accepted() {
        for target in ["", "/", "/a/b?", "/?x=1&format", "*", "/format=xml", "?&&=&"] {
            assert_eq!(Query::parse(target), Ok(Query::default()), "{target}");
        }
    }

    #[test]
    fn format_and_way_to_receive_are_read() {
        let query = Query::parse("/?receive=copy&format=binary&format=text").unwrap();
        assert_eq!(query, Query { format: Some(Format::Text), receive: Receive::Copy });
    }

    #[test]
    fn a_bad_value_is_named() {
        let error = |target| Query::parse(target).unwrap_err().to_string();
        assert!(error("/?format=xml").contains("xml"));
        assert!(error("/?receive=all").contains("all"));
    }
}
