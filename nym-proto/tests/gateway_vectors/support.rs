//! Reading the vector files.

use core::net::SocketAddr;

use nym_proto::address::NodeAddress;
use serde_json::{Map, Value};

pub(crate) fn vectors() -> Value {
    read("gateway.json")
}

pub(crate) fn read(file: &str) -> Value {
    let path = format!("{}/../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array().unwrap();
    assert!(!list.is_empty(), "{key}");
    list
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key}"))
}

pub(crate) fn uint(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no number {key}"))
}

pub(crate) fn bytes(value: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(value, key)).unwrap()
}

pub(crate) fn array<const N: usize>(value: &Value, key: &str) -> [u8; N] {
    bytes(value, key).try_into().unwrap()
}

pub(crate) fn socket(value: &Value, key: &str) -> NodeAddress {
    NodeAddress::new(text(value, key).parse::<SocketAddr>().unwrap())
}
