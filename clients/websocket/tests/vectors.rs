//! Every entry of the section `websocket` of `vectors/app.json`.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use nym_client::protocol::{
    Addressee, Delivered, ErrorKind, Format, Frame, Message, Request, RequestError, Response,
};
use nym_proto::address::Recipient;
use nym_proto::message::SenderTag;
use serde_json::{Map, Value};

/// Keys of the section; each is gone through by a test of its name.
const EXERCISED: &[&str] = &[
    "recipient",
    "recipient_bytes_hex",
    "requests_binary",
    "requests_binary_malformed",
    "requests_text",
    "responses",
    "sender_tag_base58",
    "sender_tag_hex",
];

/// Entries decided otherwise on purpose: key, entry, why.
const DELIBERATE: &[(&str, &str, &str)] = &[(
    "responses",
    "received, not UTF-8 (text form is lossy)",
    "the bytes are added as base64 (protocol: websocket 4.2)",
)];

#[test]
fn every_key_of_the_section_is_exercised() {
    let section = section();
    let present: BTreeSet<&str> = section.keys().map(String::as_str).collect();
    assert_eq!(present, EXERCISED.iter().copied().collect());
    for (key, entry, why) in DELIBERATE {
        assert!(list(key).iter().any(|e| e["name"] == *entry), "{key}: {entry}");
        assert!(!why.is_empty());
    }
}

#[test]
fn the_address_and_the_tag_have_both_forms() {
    let section = section();
    let recipient: Recipient = text(&section["recipient"]).parse().unwrap();
    assert_eq!(recipient.to_bytes()[..], unhex(&section["recipient_bytes_hex"])[..]);
    assert_eq!(recipient.to_string(), text(&section["recipient"]));
    let tag: SenderTag = text(&section["sender_tag_base58"]).parse().unwrap();
    assert_eq!(tag.as_bytes()[..], unhex(&section["sender_tag_hex"])[..]);
    assert_eq!(tag.to_string(), text(&section["sender_tag_base58"]));
}

#[test]
fn binary_requests_are_written_and_read() {
    for entry in list("requests_binary") {
        let (name, bytes) = (&entry["name"], unhex(&entry["binary_hex"]));
        assert_eq!(bytes.len() as u64, entry["binary_len"].as_u64().unwrap(), "{name}");
        let written = request(&entry["request"]).encode(Format::Binary);
        assert_eq!(written.unwrap().as_bytes(), &bytes, "{name}");
        let read = Request::decode(&Frame::Binary(bytes));
        assert_eq!(read, Ok(request(&entry["decodes_to"])), "{name}");
    }
}

#[test]
fn malformed_binary_requests_are_refused_with_the_same_kind_and_a_text_that_begins_the_same() {
    for entry in list("requests_binary_malformed") {
        let name = text(&entry["name"]);
        let read = Request::decode(&Frame::Binary(unhex(&entry["binary_hex"])));
        match entry["result"].get("error") {
            None => assert_eq!(read, Ok(request(&entry["result"]["ok"])), "{name}"),
            Some(expected) => {
                let detail = same_kind(name, &read.unwrap_err(), expected);
                assert!(detail.starts_with(text(&expected["message"])), "{name}: {detail}");
            }
        }
    }
}

#[test]
fn text_requests_are_read_and_written_so_that_they_read_the_same() {
    for entry in list("requests_text") {
        let name = text(&entry["name"]);
        let read = Request::decode(&Frame::Text(text(&entry["text"]).into()));
        match entry["result"].get("error") {
            None => {
                let expected = request(&entry["result"]["ok"]);
                assert_eq!(read.as_ref(), Ok(&expected), "{name}");
                let written = expected.encode(Format::Text).unwrap();
                assert_eq!(Request::decode(&written), read, "{name}");
                let sent: Map<String, Value> = json(&entry["text"]);
                let kept =
                    serde_json::from_slice::<Map<String, Value>>(written.as_bytes()).unwrap();
                let known =
                    |(key, value): &(&String, &Value)| *key != "withReplySurb" && !value.is_null();
                assert!(sent.iter().filter(known).eq(kept.iter()), "{name}: {kept:?}");
            }
            Some(expected) => {
                same_kind(name, &read.unwrap_err(), expected);
            }
        }
    }
}

#[test]
fn responses_are_written_and_read_in_both_forms() {
    for entry in list("responses") {
        let name = text(&entry["name"]);
        let response = response(&entry["response"]);
        let binary = Frame::Binary(unhex(&entry["binary_hex"]));
        assert_eq!(binary.len() as u64, entry["binary_len"].as_u64().unwrap(), "{name}");
        assert_eq!(response.encode(Format::Binary), binary, "{name}");
        assert_eq!(entry["response"], entry["decodes_to"], "{name}");
        assert_eq!(Response::decode(&binary).as_ref(), Ok(&response), "{name}");

        let Frame::Text(written) = response.encode(Format::Text) else { panic!("{name}") };
        if is_deliberate("responses", name) {
            let without_end = text(&entry["text"]).strip_suffix('}').unwrap();
            let added = written.as_str().strip_prefix(without_end).unwrap();
            assert_eq!(added, ",\"messageBase64\":\"Zv/+bwA=\"}", "{name}");
        } else {
            assert_eq!(written.as_str(), text(&entry["text"]), "{name}");
            let read = Response::decode(&Frame::Text(text(&entry["text"]).into()));
            assert_eq!(read.as_ref(), Ok(&response), "{name}");
        }
        assert_eq!(Response::decode(&Frame::Text(written)), Ok(response), "{name}");
    }
}

/// Checks the kind of an error and that both answers carry kind and text. Returns the text.
fn same_kind(name: &str, error: &RequestError, expected: &Value) -> String {
    let kind = u8::try_from(expected["kind_byte"].as_u64().unwrap()).unwrap();
    assert_eq!(error.kind().to_byte(), kind, "{name}: {error}");
    let (answer, detail) = (Response::from(error), error.to_string());
    assert!(!detail.is_empty(), "{name}");

    // as the vector has it, with its text
    let kind = ErrorKind::from_byte(kind).unwrap();
    let theirs = Response::Error { kind, message: text(&expected["message"]).to_owned() };
    let binary = Frame::Binary(unhex(&expected["as_binary_response_hex"]));
    assert_eq!(theirs.encode(Format::Binary), binary, "{name}");
    let json = Frame::Text(text(&expected["as_text_response"]).into());
    assert_eq!(theirs.encode(Format::Text), json, "{name}");
    assert_eq!(Response::decode(&json), Ok(theirs), "{name}");
    let display = format!("{}:{}", kind.text(), text(&expected["message"]));
    assert_eq!(display, text(&expected["display"]), "{name}");

    for format in [Format::Binary, Format::Text] {
        assert_eq!(Response::decode(&answer.encode(format)).as_ref(), Ok(&answer), "{name}");
    }
    detail
}

fn request(value: &Value) -> Request {
    let id = || value["connection_id"].as_str().map(|id| id.parse().unwrap());
    let to = match text(&value["kind"]) {
        "send" => Addressee::Plain(text(&value["recipient"]).parse().unwrap()),
        "send_anonymous" => Addressee::Anonymous {
            recipient: text(&value["recipient"]).parse().unwrap(),
            surbs: value["reply_surbs"].as_u64().unwrap().try_into().unwrap(),
        },
        "reply" => {
            let tag = tag(&value["sender_tag_hex"]).unwrap();
            assert_eq!(tag.to_string(), text(&value["sender_tag_base58"]));
            Addressee::Reply(tag)
        }
        "self_address" => return Request::SelfAddress,
        "closed_connection" => return Request::ClosedConnection(id().unwrap()),
        "get_lane_queue_length" => return Request::GetLaneQueueLength(id().unwrap()),
        other => panic!("{other}"),
    };
    let data = unhex(&value["message_hex"]);
    Request::Send(Message { connection: id(), ..Message::new(to, data) })
}

fn response(value: &Value) -> Response {
    match text(&value["kind"]) {
        "received" => Response::Received(Delivered {
            data: unhex(&value["message_hex"]),
            tag: tag(&value["sender_tag_hex"]),
        }),
        "self_address" => Response::SelfAddress(text(&value["address"]).parse().unwrap()),
        "lane_queue_length" => Response::LaneQueueLength {
            connection: text(&value["lane"]).parse().unwrap(),
            packets: value["queue_length"].as_u64().unwrap(),
        },
        "error" => Response::Error {
            kind: ErrorKind::from_byte(value["error_kind"].as_u64().unwrap() as u8).unwrap(),
            message: text(&value["message"]).to_owned(),
        },
        other => panic!("{other}"),
    }
}

fn tag(hex: &Value) -> Option<SenderTag> {
    hex.as_str()?;
    Some(SenderTag::from_bytes(unhex(hex)[..].try_into().unwrap()))
}

fn is_deliberate(key: &str, name: &str) -> bool {
    DELIBERATE.iter().any(|(k, n, _)| (*k, *n) == (key, name))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn json(value: &Value) -> Map<String, Value> {
    serde_json::from_str(text(value)).unwrap()
}

fn unhex(value: &Value) -> Bytes {
    hex::decode(text(value)).unwrap().into()
}

fn list(key: &str) -> Vec<Value> {
    let list = section()[key].as_array().unwrap().clone();
    assert!(!list.is_empty(), "{key}");
    list
}

fn section() -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/app.json");
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document["websocket"].as_object().unwrap().clone()
}
