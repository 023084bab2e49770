//! The binary form of requests and responses. (protocol: websocket 3.1, 4.1)

use bytes::Bytes;
use nym_proto::address::{Recipient, RecipientError};
use nym_proto::identity::PublicKey;
use nym_proto::message::SenderTag;

use super::error::{ErrorKind, LayoutError, RequestError, ResponseError};
use super::request::{Addressee, Message, Request};
use super::response::{Delivered, Response, Status};

// protocol: websocket 3.1
const SEND: u8 = 0x00;
const SEND_ANONYMOUS: u8 = 0x01;
const REPLY: u8 = 0x02;
const SELF_ADDRESS: u8 = 0x03;
const CLOSED_CONNECTION: u8 = 0x04;
const GET_LANE_QUEUE_LENGTH: u8 = 0x05;
const WITH_REPORT: u8 = 0x40;

// protocol: websocket 4.1
const ERROR: u8 = 0x00;
const RECEIVED: u8 = 0x01;
const OWN_ADDRESS: u8 = 0x02;
const LANE_QUEUE_LENGTH: u8 = 0x03;
const REPORT: u8 = 0x40;

/// Sizes of the fixed parts, tag included.
const SEND_MIN: usize = 1 + Recipient::SIZE + 8 + 8;
const SEND_ANONYMOUS_MIN: usize = SEND_MIN + 4;
const REPLY_MIN: usize = 1 + SenderTag::SIZE + 8 + 8;
const LANE_REQUEST: usize = 1 + 8;
const WITH_REPORT_MIN: usize = 1 + 8 + 1;
const ERROR_MIN: usize = 1 + 1 + 8;
const RECEIVED_MIN: usize = 1 + 1 + 8;
const RECEIVED_TAGGED_MIN: usize = RECEIVED_MIN + SenderTag::SIZE;
const OWN_ADDRESS_SIZE: usize = 1 + Recipient::SIZE;
const LANE_QUEUE_LENGTH_SIZE: usize = 1 + 8 + 8;
const REPORT_MIN: usize = 1 + 8 + 1 + 8;

pub(super) fn decode_request(bytes: Bytes) -> Result<Request, RequestError> {
    match bytes.first() {
        None => Err(RequestError::Empty),
        Some(&SEND) => decode_send(bytes).map(Request::Send),
        Some(&SEND_ANONYMOUS) => decode_send_anonymous(bytes).map(Request::Send),
        Some(&REPLY) => decode_reply(bytes).map(Request::Send),
        Some(&SELF_ADDRESS) => Ok(Request::SelfAddress),
        Some(&CLOSED_CONNECTION) => {
            decode_lane(bytes, "closed connection").map(Request::ClosedConnection)
        }
        Some(&GET_LANE_QUEUE_LENGTH) => {
            decode_lane(bytes, "get lane queue lengths").map(Request::GetLaneQueueLength)
        }
        Some(&WITH_REPORT) => decode_with_report(bytes).map(Request::Send),
        Some(&other) => Err(RequestError::UnknownTag(other)),
    }
}

fn decode_send(bytes: Bytes) -> Result<Message, RequestError> {
    let mut fields = Fields::new(bytes, "send", SEND_MIN)?;
    let (recipient, connection) = (fields.array()?, fields.u64()?);
    let data = fields.rest_of_stated_length("data")?;
    message(Addressee::Plain(usable(&recipient)?), connection, data)
}

fn decode_send_anonymous(bytes: Bytes) -> Result<Message, RequestError> {
    let mut fields = Fields::new(bytes, "send_anonymous", SEND_ANONYMOUS_MIN)?;
    let (surbs, recipient) = (fields.u32()?, fields.array()?);
    let connection = fields.u64()?;
    let data = fields.rest_of_stated_length("data")?;
    message(Addressee::Anonymous { recipient: usable(&recipient)?, surbs }, connection, data)
}

fn decode_reply(bytes: Bytes) -> Result<Message, RequestError> {
    let mut fields = Fields::new(bytes, "reply", REPLY_MIN)?;
    let (tag, connection) = (fields.array()?, fields.u64()?);
    let data = fields.rest_of_stated_length("message")?;
    message(Addressee::Reply(SenderTag::from_bytes(tag)), connection, data)
}

fn message(to: Addressee, connection: u64, data: Bytes) -> Result<Message, RequestError> {
    let connection = Some(connection).filter(|&id| id != 0);
    Ok(Message { to, connection, report: None, data })
}

fn decode_lane(bytes: Bytes, what: &'static str) -> Result<u64, RequestError> {
    let size = LayoutError::Size { what, len: bytes.len(), expected: LANE_REQUEST };
    match bytes.split_first().map(|(_, id)| <[u8; 8]>::try_from(id)) {
        Some(Ok(id)) => Ok(u64::from_be_bytes(id)),
        _ => Err(size.into()),
    }
}

fn decode_with_report(bytes: Bytes) -> Result<Message, RequestError> {
    let mut fields = Fields::new(bytes, "send with report", WITH_REPORT_MIN)?;
    let id = fields.u64()?;
    let inner = fields.rest;
    let message = match inner.first() {
        Some(&SEND) => decode_send(inner),
        Some(&SEND_ANONYMOUS) => decode_send_anonymous(inner),
        Some(&REPLY) => decode_reply(inner),
        other => Err(RequestError::NotReportable(other.copied().unwrap_or_default())),
    };
    Ok(Message { report: Some(id), ..message? })
}

/// An address with keys that can be used.
fn usable(bytes: &[u8; Recipient::SIZE]) -> Result<Recipient, RequestError> {
    address(bytes)
        .and_then(checked)
        .map_err(|error| RequestError::Recipient { value: address_text(bytes), error })
}

/// The address if something can be encrypted to it.
pub(super) fn checked(recipient: Recipient) -> Result<Recipient, RecipientError> {
    recipient.encryption.checked().map_err(RecipientError::Encryption)?;
    Ok(recipient)
}

fn address(bytes: &[u8]) -> Result<Recipient, RecipientError> {
    Recipient::from_bytes(bytes)
}

/// The text form of an address, whether its keys can be used or not.
fn address_text(bytes: &[u8; Recipient::SIZE]) -> String {
    let (keys, _) = bytes.as_chunks::<32>();
    let mut keys = keys.iter().map(|&key| PublicKey::from_bytes(key).to_string());
    let mut next = || keys.next().unwrap_or_default();
    format!("{}.{}@{}", next(), next(), next())
}

pub(super) fn encode_request(request: &Request) -> Bytes {
    match request {
        Request::Send(message) => encode_message(message),
        Request::SelfAddress => Bytes::from_static(&[SELF_ADDRESS]),
        Request::ClosedConnection(id) => {
            [&[CLOSED_CONNECTION][..], &id.to_be_bytes()].concat().into()
        }
        Request::GetLaneQueueLength(id) => {
            [&[GET_LANE_QUEUE_LENGTH][..], &id.to_be_bytes()].concat().into()
        }
    }
}

fn encode_message(message: &Message) -> Bytes {
    let data = &message.data;
    let mut out = Vec::with_capacity(WITH_REPORT_MIN + SEND_ANONYMOUS_MIN + data.len());
    if let Some(id) = message.report {
        out.push(WITH_REPORT);
        out.extend(id.to_be_bytes());
    }
    match &message.to {
        Addressee::Plain(recipient) => {
            out.push(SEND);
            out.extend(recipient.to_bytes());
        }
        Addressee::Anonymous { recipient, surbs } => {
            out.push(SEND_ANONYMOUS);
            out.extend(surbs.to_be_bytes());
            out.extend(recipient.to_bytes());
        }
        Addressee::Reply(tag) => {
            out.push(REPLY);
            out.extend(tag.as_bytes());
        }
    }
    out.extend(message.connection.unwrap_or(0).to_be_bytes());
    push_counted(&mut out, data);
    out.into()
}

pub(super) fn decode_response(bytes: Bytes) -> Result<Response, ResponseError> {
    match bytes.first() {
        None => Err(ResponseError::Empty),
        Some(&ERROR) => decode_error(bytes),
        Some(&RECEIVED) => decode_received(bytes),
        Some(&OWN_ADDRESS) => decode_own_address(bytes),
        Some(&LANE_QUEUE_LENGTH) => decode_lane_queue_length(bytes),
        Some(&REPORT) => decode_report(bytes),
        Some(&other) => Err(ResponseError::UnknownTag(other)),
    }
}

fn decode_error(bytes: Bytes) -> Result<Response, ResponseError> {
    let mut fields = Fields::new(bytes, "error", ERROR_MIN)?;
    let [kind] = fields.array()?;
    let kind = ErrorKind::from_byte(kind)
        .ok_or(ResponseError::BadByte { what: "kind of error", value: kind })?;
    let message = utf8(&fields.rest_of_stated_length("message")?)?;
    Ok(Response::Error { kind, message })
}

fn decode_received(bytes: Bytes) -> Result<Response, ResponseError> {
    let mut fields = Fields::new(bytes, "received", RECEIVED_MIN)?;
    let tag = match fields.array()? {
        [0] => None,
        [1] => {
            fields.require(RECEIVED_TAGGED_MIN)?;
            Some(SenderTag::from_bytes(fields.array()?))
        }
        [value] => return Err(ResponseError::BadByte { what: "flag of a sender tag", value }),
    };
    let data = fields.rest_of_stated_length("message")?;
    Ok(Response::Received(Delivered { data, tag }))
}

fn decode_own_address(bytes: Bytes) -> Result<Response, ResponseError> {
    let mut fields = Fields::exact(bytes, "self address", OWN_ADDRESS_SIZE)?;
    let bytes = fields.array()?;
    match address(&bytes) {
        Ok(recipient) => Ok(Response::SelfAddress(recipient)),
        Err(error) => Err(ResponseError::Address { value: address_text(&bytes), error }),
    }
}

fn decode_lane_queue_length(bytes: Bytes) -> Result<Response, ResponseError> {
    let mut fields = Fields::exact(bytes, "lane queue length", LANE_QUEUE_LENGTH_SIZE)?;
    Ok(Response::LaneQueueLength { connection: fields.u64()?, packets: fields.u64()? })
}

fn decode_report(bytes: Bytes) -> Result<Response, ResponseError> {
    let mut fields = Fields::new(bytes, "report", REPORT_MIN)?;
    let (id, [status]) = (fields.u64()?, fields.array()?);
    let status = Status::from_byte(status)
        .ok_or(ResponseError::BadByte { what: "status", value: status })?;
    let reason = utf8(&fields.rest_of_stated_length("reason")?)?;
    Ok(Response::Report { id, status, reason })
}

fn utf8(bytes: &[u8]) -> Result<String, ResponseError> {
    match core::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(ResponseError::NotUtf8(error.valid_up_to())),
    }
}

pub(super) fn encode_response(response: &Response) -> Bytes {
    let mut out = Vec::new();
    match response {
        Response::Error { kind, message } => {
            out.extend([ERROR, kind.to_byte()]);
            push_counted(&mut out, message.as_bytes());
        }
        Response::Received(Delivered { data, tag }) => {
            out.reserve_exact(RECEIVED_TAGGED_MIN + data.len());
            out.extend([RECEIVED, u8::from(tag.is_some())]);
            out.extend(tag.iter().flat_map(SenderTag::as_bytes));
            push_counted(&mut out, data);
        }
        Response::SelfAddress(recipient) => {
            out.push(OWN_ADDRESS);
            out.extend(recipient.to_bytes());
        }
        Response::LaneQueueLength { connection, packets } => {
            out.push(LANE_QUEUE_LENGTH);
            out.extend(connection.to_be_bytes());
            out.extend(packets.to_be_bytes());
        }
        Response::Report { id, status, reason } => {
            out.push(REPORT);
            out.extend(id.to_be_bytes());
            out.push(status.to_byte());
            push_counted(&mut out, reason.as_bytes());
        }
    }
    out.into()
}

/// Appends bytes with their length in front.
fn push_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What is left of a message behind its tag.
struct Fields {
    what: &'static str,
    /// Bytes of the whole message, and those it needs.
    len: usize,
    min: usize,
    rest: Bytes,
}

impl Fields {
    /// A message of at least `min` bytes.
    fn new(mut bytes: Bytes, what: &'static str, min: usize) -> Result<Self, LayoutError> {
        let len = bytes.len();
        if len < min {
            return Err(LayoutError::TooShort { what, len, min });
        }
        let rest = bytes.split_off(len.min(1));
        Ok(Self { what, len, min, rest })
    }

    /// A message of exactly `expected` bytes.
    fn exact(bytes: Bytes, what: &'static str, expected: usize) -> Result<Self, LayoutError> {
        let len = bytes.len();
        let fields = Self::new(bytes, what, expected)?;
        if len == expected { Ok(fields) } else { Err(LayoutError::Size { what, len, expected }) }
    }

    fn require(&mut self, min: usize) -> Result<(), LayoutError> {
        self.min = min;
        if self.len < min { Err(self.too_short()) } else { Ok(()) }
    }

    const fn too_short(&self) -> LayoutError {
        LayoutError::TooShort { what: self.what, len: self.len, min: self.min }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LayoutError> {
        let array = *self.rest.first_chunk().ok_or(self.too_short())?;
        let _ = self.rest.split_to(N);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, LayoutError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, LayoutError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A length, and as many bytes as it says, with which the message ends.
    fn rest_of_stated_length(mut self, what: &'static str) -> Result<Bytes, LayoutError> {
        let stated = self.u64()?;
        let len = self.rest.len();
        if stated == len as u64 {
            Ok(self.rest)
        } else {
            Err(LayoutError::Length { what, stated, len })
        }
    }
}
