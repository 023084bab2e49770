//! Properties of the codec: what is written reads back the same, what is cut or changed is refused
//! or is something else, and nothing panics.

use bytes::Bytes;
use nym_client::protocol::{
    Addressee, Delivered, ErrorKind, Format, Frame, Message, REQUEST_BYTES_MAX, Request,
    RequestError, Response, ResponseError, Status,
};
use nym_proto::address::Recipient;
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey, PublicKey};
use nym_proto::message::SenderTag;
use proptest::collection::vec;
use proptest::prelude::*;

fn recipient() -> impl Strategy<Value = Recipient> {
    any::<[u8; 32]>().prop_map(|seed| Recipient {
        identity: *IdentityKeyPair::from_seed(&seed).public(),
        encryption: PrivateKey::from_bytes(seed).public(),
        gateway: *IdentityKeyPair::from_seed(&seed.map(|byte| !byte)).public(),
    })
}

fn tag() -> impl Strategy<Value = SenderTag> {
    any::<[u8; 16]>().prop_map(SenderTag::from_bytes)
}

fn data() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        vec(any::<u8>(), 0..200).prop_map(Bytes::from),
        any::<String>().prop_map(Bytes::from),
        "[\u{0}-\u{7f}]{0,40}".prop_map(Bytes::from),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let to = prop_oneof![
        recipient().prop_map(Addressee::Plain),
        (recipient(), any::<u32>())
            .prop_map(|(recipient, surbs)| Addressee::Anonymous { recipient, surbs }),
        tag().prop_map(Addressee::Reply),
    ];
    let id = || proptest::option::of(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]);
    (to, id(), id(), data()).prop_map(|(to, connection, report, data)| Message {
        to,
        connection,
        report,
        data,
    })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        6 => message().prop_map(Request::Send),
        1 => Just(Request::SelfAddress),
        1 => any::<u64>().prop_map(Request::ClosedConnection),
        1 => any::<u64>().prop_map(Request::GetLaneQueueLength),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    let kind = any::<u8>().prop_map(|b| ErrorKind::from_byte(b).unwrap_or(ErrorKind::Other));
    let status = (0..4u8).prop_map(|byte| Status::from_byte(byte).unwrap());
    prop_oneof![
        (kind, any::<String>()).prop_map(|(kind, message)| Response::Error { kind, message }),
        (data(), proptest::option::of(tag()))
            .prop_map(|(data, tag)| Response::Received(Delivered { data, tag })),
        recipient().prop_map(Response::SelfAddress),
        any::<(u64, u64)>()
            .prop_map(|(connection, packets)| Response::LaneQueueLength { connection, packets }),
        (any::<u64>(), status, any::<String>()).prop_map(|(id, status, reason)| Response::Report {
            id,
            status,
            reason
        }),
    ]
}

fn binary(bytes: &[u8]) -> Frame {
    Frame::Binary(Bytes::copy_from_slice(bytes))
}

/// What a request reads as in the binary form, where connection 0 is none.
fn without_zero(mut request: Request) -> Request {
    if let Request::Send(message) = &mut request {
        message.connection = message.connection.filter(|&id| id != 0);
    }
    request
}

/// Values of all kinds under the names that mean something, and others.
fn loose_json() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("{\"a\":[]}".to_owned()),
        Just("\"selfAddress\"".to_owned()),
        Just("\"received\"".to_owned()),
        Just("\"send\"".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| serde_json::Value::from(n).to_string()),
        any::<String>().prop_map(|s| serde_json::Value::from(s).to_string()),
        tag().prop_map(|tag| format!("\"{tag}\"")),
        recipient().prop_map(|recipient| format!("\"{recipient}\"")),
    ];
    let name = prop_oneof![
        4 => proptest::sample::select(vec![
            "type", "recipient", "message", "messageBase64", "connectionId", "replySurbs",
            "senderTag", "reportId", "address", "lane", "queue_length", "queueLength", "status",
        ]).prop_map(str::to_owned),
        1 => "[a-z]{1,5}",
    ];
    vec((name, value), 0..8).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

/// Whatever is read can be written, and reads back as the same.
fn stable(frame: &Frame) {
    if let Ok(request) = Request::decode(frame) {
        let again = request.encode(frame.format()).unwrap();
        assert_eq!(Request::decode(&again), Ok(request));
    }
    if let Ok(response) = Response::decode(frame) {
        let again = response.encode(frame.format());
        let read = Response::decode(&again).unwrap();
        // a text without a kind comes back with one
        assert_eq!(read, response);
    }
}

proptest! {
    #[test]
    fn requests_survive_the_binary_form(request in request()) {
        let frame = request.encode(Format::Binary).unwrap();
        prop_assert_eq!(Request::decode(&frame), Ok(without_zero(request)));
    }

    #[test]
    fn requests_survive_the_text_form_if_they_have_one(request in request()) {
        match request.encode(Format::Text) {
            Some(frame) => prop_assert_eq!(Request::decode(&frame), Ok(request)),
            None => prop_assert!(!matches!(request, Request::Send(_) | Request::SelfAddress)),
        }
    }

    #[test]
    fn responses_survive_both_forms(response in response()) {
        for format in [Format::Binary, Format::Text] {
            let frame = response.encode(format);
            prop_assert_eq!(frame.format(), format);
            prop_assert_eq!(Response::decode(&frame), Ok(response.clone()));
        }
    }

    #[test]
    fn a_binary_request_cut_short_is_refused(request in request(), at: prop::sample::Index) {
        let frame = request.encode(Format::Binary).unwrap();
        let cut = at.index(frame.len());
        let read = Request::decode(&binary(&frame.as_bytes()[..cut]));
        prop_assert!(read.is_err(), "{read:?}");
        prop_assert_eq!(read == Err(RequestError::Empty), cut == 0);
    }

    #[test]
    fn a_binary_request_with_a_byte_too_many_is_refused(request in request(), byte: u8) {
        let frame = request.encode(Format::Binary).unwrap();
        let longer = [frame.as_bytes(), &[byte][..]].concat();
        let read = Request::decode(&binary(&longer));
        // protocol: websocket 3.1
        prop_assert_eq!(read.is_ok(), request == Request::SelfAddress);
    }

    #[test]
    fn a_binary_response_cut_short_or_too_long_is_refused(
        response in response(), at: prop::sample::Index, byte: u8
    ) {
        let frame = response.encode(Format::Binary);
        let cut = &frame.as_bytes()[..at.index(frame.len())];
        let read = Response::decode(&binary(cut));
        prop_assert_eq!(read == Err(ResponseError::Empty), cut.is_empty());
        prop_assert!(read.is_err());
        let longer = [frame.as_bytes(), &[byte][..]].concat();
        prop_assert!(Response::decode(&binary(&longer)).is_err());
    }

    #[test]
    fn a_text_cut_short_is_refused(request in message(), response in response(), at: prop::sample::Index) {
        let frame = Request::Send(request).encode(Format::Text).unwrap();
        for frame in [frame, response.encode(Format::Text)] {
            let cut = String::from_utf8_lossy(&frame.as_bytes()[..at.index(frame.len())]);
            let cut = Frame::Text(cut.into_owned().into());
            prop_assert!(Request::decode(&cut).is_err());
            prop_assert!(Response::decode(&cut).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_gives_something_else_or_nothing(
        request in request(), response in response(), at: prop::sample::Index, bit in 0..8u8
    ) {
        for format in [Format::Binary, Format::Text] {
            let flipped = |frame: &Frame| {
                let mut bytes = frame.as_bytes().to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                match format {
                    Format::Binary => Some(Frame::Binary(bytes.into())),
                    Format::Text => Some(Frame::Text(String::from_utf8(bytes).ok()?.into())),
                }
            };
            if let Some(frame) = request.encode(format).as_ref().and_then(flipped) {
                stable(&frame);
                // in JSON an optional field may become an unknown one; in bytes every bit counts
                if format == Format::Binary && request != Request::SelfAddress {
                    prop_assert_ne!(Request::decode(&frame), Ok(without_zero(request.clone())));
                }
            }
            if let Some(frame) = flipped(&response.encode(format)) {
                stable(&frame);
                if format == Format::Binary {
                    prop_assert_ne!(Response::decode(&frame), Ok(response.clone()));
                }
            }
        }
    }

    #[test]
    fn random_bytes_are_read_or_refused(first in 0..8u8, bytes in vec(any::<u8>(), 0..300)) {
        stable(&binary(&bytes));
        stable(&binary(&[&[first][..], &bytes].concat()));
        stable(&Frame::Text(String::from_utf8_lossy(&bytes).into_owned().into()));
    }

    #[test]
    fn random_json_is_read_or_refused(text in loose_json()) {
        stable(&Frame::Text(text.into()));
    }

    #[test]
    fn stated_lengths_are_not_believed(stated: u64, message in message()) {
        prop_assume!(stated != message.data.len() as u64);
        let frame = Request::Send(Message { report: None, ..message.clone() }).encode(Format::Binary);
        let mut bytes = frame.unwrap().as_bytes().to_vec();
        let at = bytes.len() - message.data.len() - 8;
        bytes[at..at + 8].copy_from_slice(&stated.to_be_bytes());
        let error = Request::decode(&binary(&bytes)).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::MalformedRequest);
        prop_assert!(error.to_string().contains(&stated.to_string()));
    }
}

#[test]
fn messages_share_the_memory_of_their_frame() {
    let to = Addressee::Reply(SenderTag::from_bytes([7; 16]));
    let request = Request::Send(Message::new(to, "a long message"));
    for format in [Format::Binary, Format::Text] {
        let frame = request.encode(format).unwrap();
        let Ok(Request::Send(message)) = Request::decode(&frame) else { panic!("{format:?}") };
        let range = frame.as_bytes().as_ptr_range();
        assert!(range.contains(&message.data.as_ptr()), "{format:?}");
    }
}

#[test]
fn a_text_of_bytes_is_base64_and_may_be_nothing_else() {
    let tag = SenderTag::from_bytes([7; 16]);
    let read = |fields: &str| {
        let text = format!("{{\"type\":\"reply\",\"senderTag\":\"{tag}\",{fields}}}");
        Request::decode(&Frame::Text(text.into()))
    };
    let data = |fields: &str| match read(fields) {
        Ok(Request::Send(message)) => message.data,
        other => panic!("{other:?}"),
    };
    assert_eq!(data("\"messageBase64\":\"/wA=\"")[..], [255, 0]);
    assert!(data("\"messageBase64\":\"\"").is_empty());
    let both = read("\"message\":\"a\",\"messageBase64\":\"/wA=\"").unwrap_err();
    assert!(both.to_string().contains("messageBase64"), "{both}");
    let bad = read("\"messageBase64\":\"%%\"").unwrap_err();
    assert!(bad.to_string().contains("%%"), "{bad}");
}

#[test]
fn errors_name_the_bad_value() {
    let error = |text: &str| {
        let error = Request::decode(&Frame::Text(text.into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedRequest);
        error.to_string()
    };
    assert!(error(r#"{"type":"sent"}"#).contains("\"sent\""));
    assert!(error(r#"{"type":"send","recipient":"abc.def"}"#).contains("abc.def"));
    assert!(error(r#"{"type":"reply","senderTag":"0OIl","message":""}"#).contains("0OIl"));
    assert!(
        error(r#"{"type":"sendAnonymous","senderTag":"abc","message":""}"#).contains("recipient")
    );
    assert!(error(r#"{"type":7}"#).ends_with("not 7"));
    assert!(error(r#"["selfAddress"]"#).contains("object"));
}

#[test]
fn a_key_of_low_order_is_refused_in_both_forms() {
    let pair = IdentityKeyPair::from_seed(&[1; 32]);
    let encryption = PublicKey::from_bytes([0; 32]);
    let nobody = Recipient { identity: *pair.public(), encryption, gateway: *pair.public() };
    let request = Request::Send(Message::new(Addressee::Plain(nobody), "x"));
    for format in [Format::Binary, Format::Text] {
        let error = Request::decode(&request.encode(format).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedRequest);
        assert!(error.to_string().contains(&nobody.to_string()), "{error}");
    }
}

#[test]
fn an_identity_that_is_no_point_is_refused_and_named() {
    let mut keys = (0..=255).map(|byte| [byte; 32]);
    let no_point = keys.find(|&key| IdentityKey::from_bytes(key).is_err()).unwrap();
    let pair = IdentityKeyPair::from_seed(&[1; 32]);
    let encryption = PrivateKey::from_bytes([2; 32]).public();
    let someone = Recipient { identity: *pair.public(), encryption, gateway: *pair.public() };
    let request = Request::Send(Message::new(Addressee::Plain(someone), "x"));
    for at in [0, 64] {
        let mut bytes = request.encode(Format::Binary).unwrap().as_bytes().to_vec();
        bytes[1 + at..1 + at + 32].copy_from_slice(&no_point);
        let error = Request::decode(&binary(&bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedRequest);
        let value = PublicKey::from_bytes(no_point).to_string();
        assert!(error.to_string().contains(&value), "{error}");
    }
}

#[test]
fn requests_that_are_too_long_are_refused_unread() {
    let len = REQUEST_BYTES_MAX + 1;
    let spaces = String::from_utf8(vec![b' '; len]).unwrap();
    for frame in [Frame::Binary(vec![3; len].into()), Frame::Text(spaces.into())] {
        assert_eq!(Request::decode(&frame), Err(RequestError::TooLong(len)));
    }
    let longest = Frame::Binary(vec![3; REQUEST_BYTES_MAX].into());
    assert_eq!(Request::decode(&longest), Ok(Request::SelfAddress));
}

/// A client that is sent the worst there is can still be read.
#[test]
fn no_message_is_too_long_for_its_response() {
    let mut data = vec![1; 100_000];
    data.push(0xff);
    let response = Response::Received(Delivered { data: data.into(), tag: None });
    let frame = response.encode(Format::Text);
    assert!(frame.len() < 8 * 100_000, "{}", frame.len());
    assert_eq!(Response::decode(&frame), Ok(response));
}
