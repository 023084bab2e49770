//! What programs and the native client say to each other: written by one side and read by the other in both
//! forms and directions, and requests and responses of any bytes.

use nym_client::protocol::{
    Addressee, Delivered, ErrorKind, Format, Frame, Message, Request, Response,
};
use nym_client_websocket_requests::error::{Error as TheirError, ErrorKind as TheirKind};
use nym_client_websocket_requests::requests::ClientRequest;
use nym_client_websocket_requests::responses::ServerResponse;
use nym_peers_conformance::convert::their_recipient;
use nym_peers_conformance::texts::{Words, has_odd_value, is_array};
use nym_proto::address::Recipient;
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::message::SenderTag;
use nym_sphinx::anonymous_replies::requests::AnonymousSenderTag;
use nym_sphinx::receiver::ReconstructedMessage;
use proptest::prelude::*;

const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn requests_have_the_same_bytes_and_are_read_by_both(values in values()) {
        for (ours, theirs) in requests(&values) {
            let bytes = theirs.serialize();
            prop_assert_eq!(&binary(&ours), &bytes);
            prop_assert_eq!(ClientRequest::try_from_binary(&bytes).unwrap().serialize(), bytes.clone());
            // in this form 0 is no connection
            let ours = match ours {
                Request::Send(message) => {
                    let connection = message.connection.filter(|id| *id != 0);
                    Request::Send(Message { connection, ..message })
                }
                other => other,
            };
            prop_assert_eq!(Request::decode(&Frame::Binary(bytes.into())).unwrap(), ours);
        }
    }

    #[test]
    fn requests_in_json_are_read_alike(values in values(), text: String) {
        for (ours, theirs) in requests(&Values { data: text.into_bytes(), ..values }) {
            let Some(Frame::Text(text)) = ours.encode(Format::Text) else {
                // theirs has no JSON for these either
                prop_assert!(matches!(ours, Request::ClosedConnection(_) | Request::GetLaneQueueLength(_)));
                continue;
            };
            let read = ClientRequest::try_from_text(text.as_str().to_owned()).unwrap();
            prop_assert_eq!(format!("{read:?}"), format!("{theirs:?}"));
            prop_assert_eq!(Request::decode(&Frame::Text(text)).unwrap(), ours);
        }
    }

    #[test]
    fn responses_have_the_same_bytes_and_are_read_by_both(values in values()) {
        for (ours, theirs) in responses(&values) {
            let bytes = theirs.into_binary();
            let Frame::Binary(written) = ours.encode(Format::Binary) else { panic!("not binary") };
            prop_assert_eq!(&written[..], &bytes[..]);
            prop_assert_eq!(ServerResponse::deserialize(&bytes).unwrap().into_binary(), bytes);
            prop_assert_eq!(Response::decode(&Frame::Binary(written)).unwrap(), ours);
        }
    }

    #[test]
    fn responses_have_the_same_json(values in values(), text: String) {
        for (ours, theirs) in responses(&Values { data: text.into_bytes(), ..values }) {
            let Frame::Text(written) = ours.encode(Format::Text) else { panic!("no text") };
            let text = theirs.into_text();
            prop_assert_eq!(written.as_str(), &text);
            prop_assert_eq!(Response::decode(&Frame::Text(text.as_str().into())).unwrap(), ours);
        }
    }

    /// Intended difference: what is no text is there as base64, too.
    #[test]
    fn received_bytes_that_are_no_text_have_the_json_of_theirs_and_base64(values in values()) {
        let (ours, theirs) = received(&values);
        let Frame::Text(written) = ours.encode(Format::Text) else { panic!("no text") };
        let text = theirs.into_text();
        match written.as_str().split_once(r#","messageBase64":""#) {
            Some((before, _)) => prop_assert_eq!(format!("{before}}}"), text),
            None => prop_assert_eq!(written.as_str(), text),
        }
        prop_assert_eq!(Response::decode(&Frame::Text(written)).unwrap(), ours);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20 * CASES) })]

    #[test]
    fn any_bytes_are_the_same_request_for_both_or_the_same_error(bytes in any_request()) {
        let ours = Request::decode(&Frame::Binary(bytes.clone().into()));
        match (ours, ClientRequest::try_from_binary(&bytes)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(binary(&ours), theirs.serialize()),
            // intended difference: reports are ours
            (Ok(Request::Send(message)), Err(_)) => prop_assert!(message.report.is_some()),
            (Err(_), Err(_)) if bytes.first() == Some(&0x40) => {}
            (Err(ours), Err(theirs)) => prop_assert_eq!(ours.kind().to_byte(), theirs.kind as u8),
            // intended difference: nothing can be encrypted to such an address
            (Err(_), Ok(theirs)) => prop_assert!(!is_usable(&theirs)),
            (ours, theirs) => panic!("{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn any_bytes_are_the_same_response_for_both_or_for_none(bytes in any_response()) {
        let ours = Response::decode(&Frame::Binary(bytes.clone().into()));
        match (ours, their_response(&bytes)) {
            (Ok(ours), Ok(theirs)) => {
                let Frame::Binary(written) = ours.encode(Format::Binary) else { panic!("not binary") };
                prop_assert_eq!(&written[..], theirs.into_binary());
            }
            (Err(_), Err(_)) => {}
            (Ok(Response::Report { .. }), Err(_)) => {}
            // intended difference: nothing stands behind a length
            (Err(_), Ok(ServerResponse::LaneQueueLength { .. })) => prop_assert!(bytes.len() > 17),
            (ours, theirs) => panic!("{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn any_text_is_the_same_request_for_both_or_none(text in words().any_text()) {
        let ours = Request::decode(&Frame::Text(text.as_str().into()));
        match (ours, ClientRequest::try_from_text(text.clone())) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(binary(&without_report(ours)), theirs.serialize()),
            (Err(ours), Err(theirs)) => {
                prop_assert_eq!(ours.kind(), ErrorKind::MalformedRequest);
                prop_assert_eq!(theirs.kind as u8, ErrorKind::MalformedRequest.to_byte());
            }
            (Ok(_), Err(_)) => {
                prop_assert!(has_odd_value(&text) || text.contains("messageBase64"), "only ours reads {}", text);
            }
            (Err(_), Ok(theirs)) => {
                let is_ours_alone = text.contains("messageBase64") || text.contains("reportId");
                let is_refused = is_array(&text) || is_ours_alone || !is_usable(&theirs);
                prop_assert!(is_refused, "only theirs reads {}", text);
            }
        }
    }
}

/// In the binary form 0 is none, in JSON it is an id like any other, for both.
#[test]
fn connection_0_is_an_id_in_json_alone() {
    let text =
        format!(r#"{{"type":"reply","senderTag":"{}","message":"a","connectionId":0}}"#, tag());
    let Ok(Request::Send(message)) = Request::decode(&Frame::Text(text.as_str().into())) else {
        panic!("no request");
    };
    assert_eq!(message.connection, Some(0));
    let theirs = ClientRequest::try_from_text(text).unwrap();
    assert!(matches!(theirs, ClientRequest::Reply { connection_id: Some(0), .. }));
}

/// Intended difference: a request is a JSON object; theirs also reads an array of its members' values.
#[test]
fn an_array_is_no_request_to_us() {
    let text = format!(r#"["reply","{}","a",null]"#, tag());
    assert!(Request::decode(&Frame::Text(text.as_str().into())).is_err());
    assert!(ClientRequest::try_from_text(text).is_ok());
}

/// Intended difference: base64 and the names of reports, which theirs does not know.
#[test]
fn base64_and_report_ids_mean_nothing_to_them() {
    let text = format!(r#"{{"type":"reply","senderTag":"{}","messageBase64":"YQ=="}}"#, tag());
    assert!(Request::decode(&Frame::Text(text.as_str().into())).is_ok());
    assert!(ClientRequest::try_from_text(text).is_err());
    for (report, is_ours) in [("7", true), ("\"a\"", false)] {
        let text = format!(
            r#"{{"type":"reply","senderTag":"{}","message":"a","reportId":{report}}}"#,
            tag()
        );
        assert_eq!(Request::decode(&Frame::Text(text.as_str().into())).is_ok(), is_ours);
        assert!(ClientRequest::try_from_text(text).is_ok());
    }
}

/// Intended difference: nothing can be encrypted to keys of low order or on the twist.
#[test]
fn addresses_with_unusable_keys_are_refused_by_us() {
    for key in [[0; 32], [2; 32]] {
        let mut bytes =
            binary(&Request::Send(Message::new(Addressee::Plain(recipient([1; 32])), &b"a"[..])));
        bytes[33..65].copy_from_slice(&key);
        assert!(ClientRequest::try_from_binary(&bytes).is_ok());
        let is_ok = Request::decode(&Frame::Binary(bytes.into())).is_ok();
        let key = nym_proto::identity::PublicKey::from_bytes(key);
        assert_eq!(is_ok, key.checked().is_ok());
    }
}

/// Intended difference: JSON values nobody reads are skipped, whatever they are.
#[test]
fn values_of_unknown_members_are_not_looked_at_by_us() {
    for value in [r#""\ud800""#, "1e999"] {
        let text = format!(r#"{{"type":"selfAddress","other":{value}}}"#);
        assert!(Request::decode(&Frame::Text(text.as_str().into())).is_ok());
        assert!(ClientRequest::try_from_text(text).is_err());
    }
}

/// What members of messages are filled with.
#[derive(Clone, Debug)]
struct Values {
    seed: [u8; 32],
    tag: Option<[u8; 16]>,
    data: Vec<u8>,
    text: String,
    surbs: u32,
    connection: Option<u64>,
    packets: u64,
    kind: u8,
}

fn values() -> impl Strategy<Value = Values> {
    let data = prop::collection::vec(any::<u8>(), 0..300);
    let connection = prop::option::of(prop_oneof![any::<u64>(), 0..3u64]);
    let kind = prop::sample::select(vec![1, 2, 3, 4, 0x80, 0x81, 0x82, 0x83, 0xff]);
    let first = (any::<[u8; 32]>(), any::<Option<[u8; 16]>>(), data, any::<String>());
    (first, any::<u32>(), connection, any::<u64>(), kind).prop_map(
        |((seed, tag, data, text), surbs, connection, packets, kind)| Values {
            seed,
            tag,
            data,
            text,
            surbs,
            connection,
            packets,
            kind,
        },
    )
}

fn recipient(seed: [u8; 32]) -> Recipient {
    let flipped = seed.map(|byte| !byte);
    Recipient {
        identity: *IdentityKeyPair::from_seed(&seed).public(),
        encryption: PrivateKey::from_bytes(seed).public(),
        gateway: *IdentityKeyPair::from_seed(&flipped).public(),
    }
}

/// Every request, as one of ours and one of theirs.
fn requests(values: &Values) -> Vec<(Request, ClientRequest)> {
    let Values { seed, tag, data, surbs, connection, packets, .. } = values.clone();
    let tag = tag.unwrap_or_default();
    let (ours, theirs) = (recipient(seed), their_recipient(&recipient(seed)));
    let request =
        |to| Request::Send(Message { to, connection, report: None, data: data.clone().into() });
    vec![
        (
            request(Addressee::Plain(ours)),
            ClientRequest::Send {
                recipient: theirs,
                message: data.clone(),
                connection_id: connection,
            },
        ),
        (
            request(Addressee::Anonymous { recipient: ours, surbs }),
            ClientRequest::SendAnonymous {
                recipient: theirs,
                message: data.clone(),
                reply_surbs: surbs,
                connection_id: connection,
            },
        ),
        (
            request(Addressee::Reply(SenderTag::from_bytes(tag))),
            ClientRequest::Reply {
                sender_tag: AnonymousSenderTag::from_bytes(tag),
                message: data.clone(),
                connection_id: connection,
            },
        ),
        (Request::SelfAddress, ClientRequest::SelfAddress),
        (Request::ClosedConnection(packets), ClientRequest::ClosedConnection(packets)),
        (Request::GetLaneQueueLength(packets), ClientRequest::GetLaneQueueLength(packets)),
    ]
}

fn received(values: &Values) -> (Response, ServerResponse) {
    let Values { tag, data, .. } = values.clone();
    let ours = Delivered { data: data.clone().into(), tag: tag.map(SenderTag::from_bytes) };
    let sender_tag = tag.map(AnonymousSenderTag::from_bytes);
    let theirs = ReconstructedMessage { message: data, sender_tag };
    (Response::Received(ours), ServerResponse::Received(theirs))
}

/// Every response, as one of ours and one of theirs.
fn responses(values: &Values) -> Vec<(Response, ServerResponse)> {
    let Values { seed, text, connection, packets, kind, .. } = values.clone();
    let (ours, theirs) = (recipient(seed), their_recipient(&recipient(seed)));
    let (connection, their_kind) = (connection.unwrap_or_default(), TheirKind::try_from(kind));
    vec![
        received(values),
        (Response::SelfAddress(ours), ServerResponse::SelfAddress(Box::new(theirs))),
        (
            Response::LaneQueueLength { connection, packets },
            ServerResponse::LaneQueueLength { lane: connection, queue_length: packets as usize },
        ),
        (
            Response::Error { kind: ErrorKind::from_byte(kind).unwrap(), message: text.clone() },
            ServerResponse::Error(TheirError::new(their_kind.unwrap(), text)),
        ),
    ]
}

fn binary(request: &Request) -> Vec<u8> {
    match request.encode(Format::Binary) {
        Some(Frame::Binary(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn without_report(request: Request) -> Request {
    match request {
        Request::Send(message) => Request::Send(Message { report: None, ..message }),
        other => other,
    }
}

/// False if the request names an address to which nothing can be encrypted.
fn is_usable(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::Send { recipient, .. } | ClientRequest::SendAnonymous { recipient, .. } => {
            let key = recipient.to_bytes()[32..64].try_into().unwrap();
            nym_proto::identity::PublicKey::from_bytes(key).checked().is_ok()
        }
        _ => true,
    }
}

/// Theirs reads no response that is shorter than its fixed part.
fn their_response(bytes: &[u8]) -> Result<ServerResponse, ()> {
    match (bytes.first(), bytes.len()) {
        (Some(0), ..10) | (Some(3), ..17) => Err(()),
        _ => ServerResponse::deserialize(bytes).map_err(drop),
    }
}

/// Messages of one form with bytes changed, cut off or added; then rubbish behind any first byte.
fn almost(valid: impl Strategy<Value = Vec<u8>> + 'static) -> impl Strategy<Value = Vec<u8>> {
    let places = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let damaged = (
        valid,
        places,
        prop::option::of(0..130usize),
        prop::option::weighted(0.1, any::<[u8; 3]>()),
    )
        .prop_map(|(mut bytes, places, cut, more)| {
            for (at, byte) in places {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.unwrap_or(usize::MAX));
            bytes.extend(more.into_iter().flatten());
            bytes
        });
    let first = prop::sample::select(vec![0, 1, 2, 3, 4, 5, 6, 0x3f, 0x40, 0x41, 0xff]);
    let rubbish = (first, prop::collection::vec(any::<u8>(), 0..140))
        .prop_map(|(first, rest)| [vec![first], rest].concat());
    prop_oneof![6 => damaged, 2 => rubbish, 1 => prop::collection::vec(any::<u8>(), 0..140)]
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    almost((values(), 0..6usize, prop::bool::weighted(0.1)).prop_map(|(values, which, report)| {
        let bytes = requests(&values).swap_remove(which).1.serialize();
        let head = [&[0x40][..], &values.packets.to_be_bytes()].concat();
        if report { [head, bytes].concat() } else { bytes }
    }))
}

fn any_response() -> impl Strategy<Value = Vec<u8>> {
    almost(
        (values(), 0..4usize)
            .prop_map(|(values, which)| responses(&values).swap_remove(which).1.into_binary()),
    )
}

/// A sender tag.
fn tag() -> SenderTag {
    SenderTag::from_bytes([9; 16])
}

fn words() -> Words {
    let values = Values {
        seed: [7; 32],
        tag: Some([9; 16]),
        data: "text \"\\\u{1}é".into(),
        text: String::new(),
        surbs: 10,
        connection: Some(3),
        packets: 0,
        kind: 0xff,
    };
    let texts = requests(&values).into_iter().filter_map(|(ours, _)| ours.encode(Format::Text));
    let texts = texts.map(|frame| match frame {
        Frame::Text(text) => text.as_str().to_owned(),
        Frame::Binary(_) => panic!("no text"),
    });
    Words {
        valid: texts.collect(),
        members: &[
            "type",
            "recipient",
            "message",
            "messageBase64",
            "connectionId",
            "connection_id",
            "replySurbs",
            "senderTag",
            "reportId",
            "other",
        ],
        kinds: &["send", "sendAnonymous", "reply", "selfAddress", "Send", "closedConnection", ""],
        values: &["\"YQ==\"", "\"YQ\""],
    }
}
