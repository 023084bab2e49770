//! Who gets in.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use nym_client::protocol::{Access, Origins, Token, programs};
use nym_client::server::Settings;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;

use crate::stage::Stage;

const ADDRESS: &str = r#"{"type":"selfAddress"}"#;

fn status(error: &tungstenite::Error) -> u16 {
    match error {
        tungstenite::Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_second_program_is_turned_away_without_a_word_and_the_first_does_not_notice() {
    let stage = Stage::new(Settings::default());
    let mut first = stage.program("");
    first.text(ADDRESS);
    assert_eq!(first.next_text()["type"], "selfAddress");
    let mut second = stage.tcp();
    let _ = second.write_all(b"GET / HTTP/1.1\r\n");
    let mut answer = Vec::new();
    // closed, or reset because it had something to say
    let _ = second.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
    first.text(ADDRESS);
    assert_eq!(first.next_text()["type"], "selfAddress");
    drop(first);
    let mut third = stage.program_when_free("");
    third.text(ADDRESS);
    assert_eq!(third.next_text()["type"], "selfAddress");
}

#[test]
fn who_finishes_the_handshake_when_the_place_is_taken_is_told_why() {
    let stage = Stage::new(Settings::default());
    let slow = stage.tcp();
    let mut first = stage.program("");
    let (mut second, _) = Stage::shake_hands(format!("ws://{}/", stage.address), slow).unwrap();
    let (code, reason) = second.close_code();
    assert_eq!(code, 1013);
    assert!(reason.contains("another program"), "{reason}");
    first.text(ADDRESS);
    assert_eq!(first.next_text()["type"], "selfAddress");
}

#[test]
fn who_connects_and_says_nothing_holds_nobody_up_and_is_dropped() {
    let programs = programs::Settings {
        handshake_timeout: Duration::from_millis(300),
        ..programs::Settings::default()
    };
    let stage = Stage::new(Settings { programs, ..Settings::default() });
    let mut silent: Vec<_> = (0..10).map(|_| stage.tcp()).collect();
    let mut program = stage.program("");
    program.text(ADDRESS);
    assert_eq!(program.next_text()["type"], "selfAddress");
    for stream in &mut silent {
        // an error is an end as well
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
}

#[test]
fn bytes_that_are_no_websocket_end_one_connection_and_nothing_else() {
    let stage = Stage::new(Settings::default());
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0",
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd",
        &[0xff; 100_000],
    ] {
        let mut stream = stage.tcp();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // and after a proper handshake: unmasked, reserved bits, invalid UTF-8
    for frame in [&[0x82, 1, 0][..], &[0xf2, 0x81, 0, 0, 0, 0, 0], &[0x81, 0x81, 0, 0, 0, 0, 0xff]]
    {
        let mut program = stage.program_when_free("");
        program.0.get_mut().write_all(frame).unwrap();
        while program.0.read().is_ok() {}
    }
    let mut program = stage.program_when_free("");
    program.text(ADDRESS);
    assert_eq!(program.next_text()["type"], "selfAddress");
}

#[test]
fn a_page_of_somebody_else_is_refused_and_a_listed_one_is_not() {
    let access = Access { origins: Origins::new(["https://chat.example"]), token: None };
    let stage = Stage::new(Settings { access, ..Settings::default() });
    let with_origin = |origin: &'static str| {
        let mut request = format!("ws://{}/", stage.address).into_client_request().unwrap();
        request.headers_mut().insert("Origin", HeaderValue::from_static(origin));
        stage.program_with(request)
    };
    let refused = with_origin("https://evil.example").map(drop).unwrap_err();
    assert_eq!(status(&refused), 403);
    assert_eq!(status(&with_origin("null").map(drop).unwrap_err()), 403);
    drop(with_origin("https://chat.example").unwrap());
    drop(stage.program_when_free(""));
}

#[test]
fn with_a_token_nobody_gets_in_without_it() {
    const TOKEN: &str = "a-secret-of-some-length";
    let access = Access { token: Some(Token::new(TOKEN).unwrap()), ..Access::default() };
    let stage = Stage::new(Settings { access, ..Settings::default() });
    assert_eq!(status(&stage.try_program("").map(drop).unwrap_err()), 401);
    assert_eq!(
        status(&stage.try_program("?token=a-secret-of-another").map(drop).unwrap_err()),
        401
    );
    drop(stage.program(&format!("?token={TOKEN}")));
    let mut request = format!("ws://{}/", stage.address).into_client_request().unwrap();
    let value = HeaderValue::from_str(&format!("Bearer {TOKEN}")).unwrap();
    request.headers_mut().insert("Authorization", value);
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while let Err(error) = stage.program_with(request.clone()) {
        assert!(std::time::Instant::now() < until, "{error}");
    }
}

#[test]
fn a_query_that_asks_for_the_unknown_is_refused() {
    let stage = Stage::new(Settings::default());
    assert_eq!(status(&stage.try_program("?format=xml").map(drop).unwrap_err()), 400);
    drop(stage.program("?format=text&something=else"));
}
