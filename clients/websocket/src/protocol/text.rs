//! The JSON form of requests and responses. (protocol: websocket 3.2, 4.2)

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::message::SenderTag;
use serde::Serialize;

use super::binary::checked;
use super::error::{ErrorKind, JsonError, RequestError, ResponseError, shortened};
use super::frame::Text;
use super::json::{Fields, write};
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

/// A request as it is written.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct RequestObject<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_surbs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_id: Option<u64>,
}

pub(super) fn encode_request(request: &Request) -> Option<String> {
    let object = match request {
        Request::Send(message) => message_object(message),
        Request::SelfAddress => RequestObject { r#type: "selfAddress", ..Default::default() },
        Request::ClosedConnection(_) | Request::GetLaneQueueLength(_) => return None,
    };
    Some(write(&object))
}

fn message_object(message: &Message) -> RequestObject<'_> {
    let text = core::str::from_utf8(&message.data).ok();
    let object = RequestObject {
        message: text,
        message_base64: text.is_none().then(|| STANDARD.encode(&message.data)),
        connection_id: message.connection,
        report_id: message.report,
        ..Default::default()
    };
    match &message.to {
        Addressee::Plain(recipient) => {
            RequestObject { r#type: "send", recipient: Some(recipient.to_string()), ..object }
        }
        Addressee::Anonymous { recipient, surbs } => RequestObject {
            r#type: "sendAnonymous",
            recipient: Some(recipient.to_string()),
            reply_surbs: Some(*surbs),
            ..object
        },
        Addressee::Reply(tag) => {
            RequestObject { r#type: "reply", sender_tag: Some(tag.to_string()), ..object }
        }
    }
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

/// A response as it is written.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum ResponseObject<'a> {
    Error {
        message: String,
    },
    #[serde(rename_all = "camelCase")]
    Received {
        message: &'a str,
        sender_tag: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_base64: Option<String>,
    },
    SelfAddress {
        address: String,
    },
    LaneQueueLength {
        lane: u64,
        queue_length: u64,
    },
    #[serde(rename_all = "camelCase")]
    DeliveryReport {
        report_id: u64,
        status: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        reason: &'a str,
    },
}

pub(super) fn encode_response(response: &Response) -> String {
    write(&match response {
        Response::Error { kind, message } => {
            ResponseObject::Error { message: format!("{}:{message}", kind.text()) }
        }
        Response::Received(delivered) => return encode_received(delivered),
        Response::SelfAddress(address) => {
            ResponseObject::SelfAddress { address: address.to_string() }
        }
        Response::LaneQueueLength { connection, packets } => {
            ResponseObject::LaneQueueLength { lane: *connection, queue_length: *packets }
        }
        Response::Report { id, status, reason } => {
            ResponseObject::DeliveryReport { report_id: *id, status: status.text(), reason }
        }
    })
}

fn encode_received(Delivered { data, tag }: &Delivered) -> String {
    let text = String::from_utf8_lossy(data);
    let is_text = matches!(text, Cow::Borrowed(_));
    write(&ResponseObject::Received {
        message: &text,
        sender_tag: tag.map(|tag| tag.to_string()),
        message_base64: (!is_text).then(|| STANDARD.encode(data)),
    })
}
