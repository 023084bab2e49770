//! The JSON form of requests and responses. (protocol: websocket 3.2, 4.2)

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::message::SenderTag;

use super::binary::checked;
use super::error::{ErrorKind, JsonError, RequestError, ResponseError, shortened};
use super::frame::Text;
use super::json::{Fields, Writer};
use super::request::{Addressee, Message, Request};
use super::response::{Delivered, Response, Status};

type RequestFields<'a> = Fields<'a, 8>;
const REQUEST_FIELDS: &[&str; 8] = &[
    "type",
    "recipient",
    "message",
    "messageBase64",
    "connectionId",
    "replySurbs",
    "senderTag",
    "reportId",
];

const RESPONSE_FIELDS: &[&str; 11] = &[
    "type",
    "message",
    "messageBase64",
    "senderTag",
    "address",
    "lane",
    "queue_length",
    "queueLength",
    "reportId",
    "status",
    "reason",
];

pub(super) fn decode_request(text: &Text) -> Result<Request, RequestError> {
    let fields = Fields::read(text.as_str(), REQUEST_FIELDS)?;
    let to = match &*fields.text("type")? {
        "send" => Addressee::Plain(recipient(&fields)?),
        "sendAnonymous" => {
            let recipient = recipient(&fields)?;
            Addressee::Anonymous { recipient, surbs: fields.u32("replySurbs")? }
        }
        "reply" => Addressee::Reply(sender_tag(&fields)?),
        "selfAddress" => return Ok(Request::SelfAddress),
        other => return Err(RequestError::UnknownType(shortened(other))),
    };
    Ok(Request::Send(Message {
        to,
        connection: fields.nullable_u64("connectionId")?,
        report: fields.nullable_u64("reportId")?,
        data: payload(text, &fields)?,
    }))
}

fn recipient(fields: &RequestFields<'_>) -> Result<Recipient, RequestError> {
    let text = fields.text("recipient")?;
    text.parse()
        .and_then(checked)
        .map_err(|error| RequestError::Recipient { value: shortened(&text), error })
}

fn sender_tag(fields: &RequestFields<'_>) -> Result<SenderTag, RequestError> {
    let text = fields.text("senderTag")?;
    text.parse().map_err(|error| RequestError::SenderTag { value: shortened(&text), error })
}

/// The bytes to send: a string, or base64.
fn payload(text: &Text, fields: &RequestFields<'_>) -> Result<Bytes, JsonError> {
    match (fields.optional_text("message")?, fields.optional_text("messageBase64")?) {
        (Some(message), None) => Ok(share(text, message)),
        (None, Some(base64)) => from_base64(fields, &base64),
        (None, None) => Err(JsonError::Missing("message")),
        (Some(_), Some(_)) => Err(JsonError::Both("message", "messageBase64")),
    }
}

fn share(text: &Text, part: Cow<'_, str>) -> Bytes {
    match part {
        Cow::Borrowed(part) => text.share(part),
        Cow::Owned(part) => part.into(),
    }
}

fn from_base64<const N: usize>(fields: &Fields<'_, N>, text: &str) -> Result<Bytes, JsonError> {
    let bytes = STANDARD.decode(text).map_err(|_| fields.bad("messageBase64", "base64"))?;
    Ok(bytes.into())
}

pub(super) fn encode_request(request: &Request) -> Option<String> {
    match request {
        Request::Send(message) => Some(encode_message(message)),
        Request::SelfAddress => Some(Writer::new("selfAddress", 0).finish()),
        Request::ClosedConnection(_) | Request::GetLaneQueueLength(_) => None,
    }
}

fn encode_message(message: &Message) -> String {
    const ADDRESS: usize = 192;
    let capacity = message.data.len().saturating_add(ADDRESS);
    let mut writer = match &message.to {
        Addressee::Plain(recipient) => {
            Writer::new("send", capacity).text("recipient", &recipient.to_string())
        }
        Addressee::Anonymous { recipient, .. } => {
            Writer::new("sendAnonymous", capacity).text("recipient", &recipient.to_string())
        }
        Addressee::Reply(tag) => Writer::new("reply", capacity).text("senderTag", &tag.to_string()),
    };
    writer = match core::str::from_utf8(&message.data) {
        Ok(text) => writer.text("message", text),
        Err(_) => writer.text("messageBase64", &STANDARD.encode(&message.data)),
    };
    if let Addressee::Anonymous { surbs, .. } = message.to {
        writer = writer.number("replySurbs", surbs.into());
    }
    if let Some(id) = message.connection {
        writer = writer.number("connectionId", id);
    }
    if let Some(id) = message.report {
        writer = writer.number("reportId", id);
    }
    writer.finish()
}

pub(super) fn decode_response(text: &Text) -> Result<Response, ResponseError> {
    let fields = Fields::read(text.as_str(), RESPONSE_FIELDS)?;
    match &*fields.text("type")? {
        "error" => {
            let message = fields.text("message")?;
            let (kind, detail) = ErrorKind::split(&message);
            Ok(Response::Error { kind, message: detail.to_owned() })
        }
        "received" => decode_received(text, &fields),
        "selfAddress" => {
            let address = fields.text("address")?;
            address
                .parse()
                .map(Response::SelfAddress)
                .map_err(|error| ResponseError::Address { value: shortened(&address), error })
        }
        "laneQueueLength" => Ok(Response::LaneQueueLength {
            connection: fields.u64("lane")?,
            packets: match fields.nullable_u64("queue_length")? {
                Some(packets) => packets,
                None => fields.u64("queueLength").map_err(|error| match error {
                    JsonError::Missing(_) => JsonError::Missing("queue_length"),
                    other => other,
                })?,
            },
        }),
        "deliveryReport" => {
            let status = fields.text("status")?;
            Ok(Response::Report {
                id: fields.u64("reportId")?,
                status: Status::from_text(&status)
                    .ok_or_else(|| ResponseError::UnknownStatus(shortened(&status)))?,
                reason: fields.nullable_text("reason")?.unwrap_or_default().into_owned(),
            })
        }
        other => Err(ResponseError::UnknownType(shortened(other))),
    }
}

fn decode_received<const N: usize>(
    text: &Text,
    fields: &Fields<'_, N>,
) -> Result<Response, ResponseError> {
    let tag = match fields.nullable_text("senderTag")? {
        None => None,
        Some(tag) => Some(
            tag.parse()
                .map_err(|error| ResponseError::SenderTag { value: shortened(&tag), error })?,
        ),
    };
    // beside base64 the text is only what is left of the message
    let data = match fields.optional_text("messageBase64")? {
        Some(base64) => from_base64(fields, &base64)?,
        None => share(text, fields.text("message")?),
    };
    Ok(Response::Received(Delivered { data, tag }))
}

pub(super) fn encode_response(response: &Response) -> String {
    match response {
        Response::Error { kind, message } => Writer::new("error", message.len())
            .text("message", &format!("{}:{message}", kind.text()))
            .finish(),
        Response::Received(delivered) => encode_received(delivered),
        Response::SelfAddress(address) => {
            Writer::new("selfAddress", 192).text("address", &address.to_string()).finish()
        }
        Response::LaneQueueLength { connection, packets } => Writer::new("laneQueueLength", 0)
            .number("lane", *connection)
            .number("queue_length", *packets)
            .finish(),
        Response::Report { id, status, reason } => {
            let writer = Writer::new("deliveryReport", reason.len())
                .number("reportId", *id)
                .text("status", status.text());
            match reason.as_str() {
                "" => writer.finish(),
                reason => writer.text("reason", reason).finish(),
            }
        }
    }
}

fn encode_received(Delivered { data, tag }: &Delivered) -> String {
    let text = String::from_utf8_lossy(data);
    let writer = Writer::new("received", text.len()).text("message", &text);
    let writer = match tag {
        Some(tag) => writer.text("senderTag", &tag.to_string()),
        None => writer.null("senderTag"),
    };
    match text {
        Cow::Borrowed(_) => writer.finish(),
        Cow::Owned(_) => writer.text("messageBase64", &STANDARD.encode(data)).finish(),
    }
}
