//! What programs say and are told.

use bytes::Bytes;
use nym_client::protocol::{Addressee, Message, Request, Response, programs};
use nym_client::server::Settings;
use serde_json::json;

use crate::stage::Stage;

#[test]
fn a_json_program_sends_to_itself_and_answers() {
    let stage = Stage::new(Settings::default());
    let mut program = stage.program("");
    program.text(r#"{"type":"selfAddress"}"#);
    let address = stage.client.address().to_string();
    assert_eq!(program.next_text(), json!({"type": "selfAddress", "address": address}));

    let send = json!({"type": "sendAnonymous", "recipient": address, "message": "hello ż", "replySurbs": 10});
    program.text(&send.to_string());
    let received = program.next_text();
    assert_eq!((&received["type"], &received["message"]), (&json!("received"), &json!("hello ż")));

    let tag = &received["senderTag"];
    program.text(
        &json!({"type": "reply", "senderTag": tag, "message": "hi", "connectionId": null})
            .to_string(),
    );
    assert_eq!(
        program.next_text(),
        json!({"type": "received", "message": "hi", "senderTag": null})
    );
}

#[test]
fn a_binary_program_has_lanes_reports_and_every_byte() {
    let stage = Stage::new(Settings::default());
    let mut program = stage.program("");
    let data: Bytes = (0..=255).cycle().take(5000).collect();
    let address = stage.client.address();
    let to = Addressee::Plain(address);
    let message = Message { to, connection: Some(7), report: Some(9), data: data.clone() };
    program.request(&Request::Send(message));
    let mut seen = Vec::new();
    let (mut is_received, mut is_reported) = (false, false);
    while !(is_received && is_reported) {
        let response = program.next();
        match &response {
            Response::LaneQueueLength { connection: 7, .. } => {}
            Response::Received(received) => {
                assert_eq!(received.data, data);
                is_received = true;
            }
            Response::Report { id: 9, status, .. } => {
                assert_eq!(status.text(), "acknowledged");
                is_reported = true;
            }
            other => panic!("{other:?}"),
        }
        seen.push(response);
    }
    assert!(matches!(seen[0], Response::LaneQueueLength { .. }), "{seen:?}");
    program.request(&Request::GetLaneQueueLength(7));
    assert_eq!(program.next(), Response::LaneQueueLength { connection: 7, packets: 0 });
    program.request(&Request::ClosedConnection(7));
    program.request(&Request::SelfAddress);
    assert_eq!(program.next(), Response::SelfAddress(address));
}

#[test]
fn a_request_that_is_wrong_is_answered_and_ends_nothing() {
    let stage = Stage::new(Settings::default());
    let mut program = stage.program("");
    for wrong in
        ["", "{", r#"{"type":"dance"}"#, r#"{"type":"send","recipient":"nobody","message":""}"#]
    {
        program.text(wrong);
        assert_eq!(program.next_text()["type"], "error", "{wrong}");
    }
    program.0.send(tungstenite::Message::binary(vec![99])).unwrap();
    assert!(matches!(program.next(), Response::Error { .. }));
    program.text(r#"{"type":"selfAddress"}"#);
    assert_eq!(program.next_text()["type"], "selfAddress");
}

#[test]
fn what_arrives_while_no_program_is_there_waits_for_one() {
    let stage = Stage::new(Settings::default());
    smol::block_on(stage.client.send(stage.client.address(), "later")).unwrap();
    while stage.client.stats().messages_delivered == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut program = stage.program("?format=text");
    let expected = json!({"type": "received", "message": "later", "senderTag": null});
    assert_eq!(program.next_text(), expected);
}

#[test]
fn a_request_that_is_too_long_is_told_so_before_the_end() {
    let stage = Stage::new(Settings::default());
    let mut program = stage.program("?format=text");
    let too_long = vec![b' '; nym_client::protocol::REQUEST_BYTES_MAX + 1];
    // the rest may find the connection closed
    let _ = program.0.send(tungstenite::Message::Text(String::from_utf8(too_long).unwrap().into()));
    let error = program.next_text();
    assert!(error["message"].as_str().unwrap().contains("67108865"), "{error}");
    assert_eq!(program.close_code().0, 1009);
}

#[test]
fn pings_are_answered() {
    let stage = Stage::new(Settings::default());
    let mut program = stage.program("");
    program.0.send(tungstenite::Message::Ping(Bytes::from_static(b"there?"))).unwrap();
    let answer = program.0.read().unwrap();
    assert_eq!(answer, tungstenite::Message::Pong(Bytes::from_static(b"there?")));
}

#[test]
fn several_programs_share_a_client_if_the_user_wants_so() {
    let programs = programs::Settings { programs_max: 2, ..programs::Settings::default() };
    let stage = Stage::new(Settings { programs, ..Settings::default() });
    let mut first = stage.program("?format=text");
    let mut copy = stage.program("?format=text&receive=copy");
    for program in [&mut first, &mut copy] {
        program.text(r#"{"type":"selfAddress"}"#);
        assert_eq!(program.next_text()["type"], "selfAddress");
    }
    let recipient = stage.client.address().to_string();
    copy.text(&json!({"type": "send", "recipient": recipient, "message": "to both"}).to_string());
    for program in [&mut first, &mut copy] {
        assert_eq!(program.next_text()["message"], "to both");
    }
    assert!(stage.try_program("").is_err());
}
