//! Who may connect.

use core::fmt;

use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::error::shortened;
use super::origin::Origins;
use super::query::{Query, QueryError};

/// Fewest and most characters of an access token.
const TOKEN_CHARS: core::ops::RangeInclusive<usize> = 16..=256;

/// A secret that programs have to present, if the user wants it so. (protocol: websocket 1.6)
#[derive(Clone)]
pub struct Token(String);

/// This cannot be an access token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is too short to be a secret, or too long.
    #[error("an access token has 16 to 256 characters, this one has {0}")]
    Length(usize),
    /// It has a character that would have to be escaped in a URL.
    #[error(
        "an access token consists of letters, digits, `-`, `.`, `_` and `~`; {0:?} is none of them"
    )]
    Character(char),
}

impl Token {
    /// Reads a token: 16 to 256 characters that stand for themselves in a URL.
    pub fn new(token: &str) -> Result<Self, TokenError> {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-._~".contains(*c);
        if let Some(other) = token.chars().find(|c| !is_plain(c)) {
            return Err(TokenError::Character(other));
        }
        if !TOKEN_CHARS.contains(&token.len()) {
            return Err(TokenError::Length(token.len()));
        }
        Ok(Self(token.to_owned()))
    }

    /// Compares in a time that depends on the length alone.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(<redacted>)")
    }
}

/// Who may connect: which pages of a browser, and whether a token is needed.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Pages of a browser that are let in.
    pub origins: Origins,
    /// What has to be presented.
    pub token: Option<Token>,
}

/// What the HTTP request of a websocket handshake says about who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshake<'a> {
    /// The target: a path, with or without a query.
    pub target: &'a str,
    /// The values of all headers `Origin`.
    pub origins: &'a [&'a str],
    /// The value of the header `Authorization`.
    pub authorization: Option<&'a str>,
}

/// Why nobody is let in.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Denied {
    /// A page of a browser that is not listed.
    #[error("pages of the origin {0:?} may not connect; the client has to be told to allow it")]
    Origin(String),
    /// The token is missing or wrong.
    #[error(
        "the access token is missing or wrong; give it as `Authorization: Bearer TOKEN` or as `?token=TOKEN`"
    )]
    Token,
    /// The query asks for something that does not exist.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Denied {
    /// The HTTP status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Origin(_) => 403,
            Self::Token => 401,
            Self::Query(_) => 400,
        }
    }
}

impl Access {
    /// Decides about a handshake, and reads what the program wants.
    pub fn admit(&self, handshake: &Handshake<'_>) -> Result<Query, Denied> {
        let foreign =
            handshake.origins.iter().find(|origin| !self.origins.is_allowed(Some(origin)));
        if let Some(origin) = foreign {
            return Err(Denied::Origin(shortened(origin)));
        }
        if let Some(token) = &self.token {
            let presented = handshake.authorization.and_then(bearer);
            let presented = presented.or_else(|| Query::token(handshake.target));
            if !presented.is_some_and(|presented| token.is(presented)) {
                return Err(Denied::Token);
            }
        }
        Ok(Query::parse(handshake.target)?)
    }
}

/// The token of an `Authorization` header.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Format;

    const TOKEN: &str = "0123456789-._~AZ";

    fn guarded() -> Access {
        Access { origins: Origins::default(), token: Some(Token::new(TOKEN).unwrap()) }
    }

    fn with_header(authorization: &str) -> Result<Query, Denied> {
        guarded().admit(&Handshake {
            target: "/?format=text",
            authorization: Some(authorization),
            ..Handshake::default()
        })
    }

    #[test]
    fn without_a_token_programs_are_let_in() {
        let query =
            Access::default().admit(&Handshake { target: "/?format=text", ..Handshake::default() });
        assert_eq!(query.unwrap().format, Some(Format::Text));
    }

    #[test]
    fn one_foreign_origin_among_several_is_enough_to_be_refused() {
        let origins = ["http://localhost", "https://example.org"];
        let handshake = Handshake { target: "/", origins: &origins, authorization: None };
        let denied = Access::default().admit(&handshake).unwrap_err();
        assert_eq!(denied.status(), 403);
        assert!(denied.to_string().contains("https://example.org"));
        assert!(
            Access::default().admit(&Handshake { origins: &origins[..1], ..handshake }).is_ok()
        );
    }

    #[test]
    fn the_token_is_taken_from_the_header_or_the_query() {
        assert!(with_header(&format!("Bearer {TOKEN}")).is_ok());
        assert!(with_header(&format!("bearer  {TOKEN}")).is_ok());
        for query in [format!("/?token={TOKEN}"), format!("/x?format=text&token={TOKEN}")] {
            let handshake = Handshake { target: &query, ..Handshake::default() };
            assert!(guarded().admit(&handshake).is_ok(), "{query}");
        }
    }

    #[test]
    fn a_missing_or_wrong_token_is_refused_and_not_repeated() {
        for wrong in ["", "Bearer", "Bearer x", "Basic 0123456789-._~AZ", "0123456789-._~AZ"] {
            assert_eq!(with_header(wrong), Err(Denied::Token), "{wrong}");
        }
        let longer = format!("Bearer {TOKEN}0");
        assert_eq!(with_header(&longer), Err(Denied::Token));
        let denied = guarded().admit(&Handshake { target: "/?token=", ..Handshake::default() });
        assert_eq!(denied.as_ref().map_err(Denied::status), Err(401));
        assert!(!denied.unwrap_err().to_string().contains(TOKEN));
    }

    #[test]
    fn a_query_that_asks_for_the_unknown_is_named() {
        let handshake = Handshake { target: "/?format=xml", ..Handshake::default() };
        let denied = Access::default().admit(&handshake).unwrap_err();
        assert_eq!(denied.status(), 400);
        assert!(denied.to_string().contains("xml"));
    }

    #[test]
    fn a_token_is_no_short_word_and_needs_no_escapes() {
        assert_eq!(Token::new("short").unwrap_err(), TokenError::Length(5));
        assert_eq!(Token::new(&"a".repeat(257)).unwrap_err(), TokenError::Length(257));
        assert_eq!(Token::new("0123456789abcde/").unwrap_err(), TokenError::Character('/'));
        assert!(!format!("{:?}", guarded()).contains(TOKEN));
    }
}
