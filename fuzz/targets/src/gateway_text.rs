//! Text frames of both directions, and what is encrypted in them. (protocol: gateway 10, 13)

use nym_proto::gateway::{
    ClientText, EncryptedText, GatewayText, InnerRequest, InnerResponse, SharedKey,
};

/// Whatever can be read can be written, and reads back as the same.
pub fn run(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data) {
        if let Ok(message) = ClientText::decode(text) {
            assert_eq!(ClientText::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = GatewayText::decode(text) {
            assert_eq!(GatewayText::decode(&message.encode()), Ok(message));
        }
    }
    let key = SharedKey::from_bytes([7; 32]);
    let nonce = [9; 12];
    let mut ciphertext = data.to_vec();
    key.seal(&nonce, &mut ciphertext);
    let text = EncryptedText { ciphertext, nonce: nonce.to_vec() };
    if let Ok(request) = InnerRequest::open(text.clone(), &key) {
        assert_eq!(InnerRequest::open(request.seal(&key, nonce), &key), Ok(request));
    }
    if let Ok(response) = InnerResponse::open(text, &key) {
        assert_eq!(InnerResponse::open(response.seal(&key, nonce), &key), Ok(response));
    }
}

/// One text of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"type":"supportedProtocol"}"#,
        r#"{"type":"registerHandshakeInitRequest","protocol_version":6,"data":[1,2]}"#,
        r#"{"type":"handshakePayload","protocol_version":6,"data":[1,2,255]}"#,
        r#"{"type":"handshakePayload","protocol_version":null,"data":[1]}"#,
        r#"{"type":"handshakeError","message":"no"}"#,
        r#"{"type":"authenticate","protocolVersion":6}"#,
        r#"{"type":"claimFreeTestnetBandwidth"}"#,
        r#"{"type":"ecashCredential","enc_credential":[1,2],"iv":[1,2,3]}"#,
        r#"{"type":"upgradeModeJWT","token":"eyJ"}"#,
        r#"{"type":"encryptedRequest","ciphertext":[1],"nonce":[1,2,3]}"#,
        r#"{"type":"supportedProtocol","version":6}"#,
        r#"{"type":"register","protocol_version":6,"status":true,"upgrade_mode":false}"#,
        r#"{"type":"authenticate","protocol_version":6,"status":true,"bandwidth_remaining":-1,"upgrade_mode":false}"#,
        r#"{"type":"bandwidth","available_total":68719476736,"upgrade_mode":true}"#,
        r#"{"type":"send","remaining_bandwidth":68719476736,"upgrade_mode":false}"#,
        r#"{"type":"encryptedResponse","ciphertext":[1],"nonce":[1,2,3]}"#,
        r#"{"type":"error","message":"out of luck"}"#,
        r#"{"type":"typedError","error":{"out_of_bandwidth":{"required":1,"available":-5}}}"#,
        r#"{"type":"typedError","error":"ticket_replay"}"#,
        r#"{"type":"fromTheFuture","x":[]}"#,
        r#"{"ForgetMe":{"client":true,"stats":false}}"#,
        r#"{"RememberMe":{"session_type":"Native"}}"#,
        r#"{"ForgetMeAck":{}}"#,
        r#"{"RememberMeAck":{}}"#,
    ];
    let mut seeds: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).into();
    seeds.push(crate::authentication::valid_text().into_bytes());
    seeds
}
