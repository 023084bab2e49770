//! What a client and its entry gateway say to each other. (protocol: gateway)
//!
//! Every codec stands here once, with both directions: the client, the embedded gateway and the
//! fuzz targets share one definition. Nothing here keeps a session; the states that exist are the
//! ones whose order matters for security, and they consume each other: the registration handshake
//! ([`ClientHandshake`], [`GatewayHandshake`]) and the checks of an authentication
//! ([`AuthenticateRequest`], [`VerifiedSignature`], [`Authenticated`]).
//!
//! Text frames carry [`ClientText`] and [`GatewayText`]; binary frames carry [`ForwardRequest`]s
//! to the gateway and pushed messages ([`seal_push`], [`open_push`]) to the client.

mod authenticate;
mod bandwidth;
mod constants;
mod encrypted;
mod frame;
mod handshake;
mod json;
mod link_cipher;
mod request;
mod response;
mod shared_key;
mod version;

pub use authenticate::{
    AuthenticateError, AuthenticateRequest, Authenticated, VerifiedSignature, next_timestamp,
};
pub use bandwidth::{
    BandwidthAccount, CLAIM_BELOW, FREE_GRANT, OutOfBandwidth, TicketKind, UPGRADE_MODE_FLOOR,
    midnight, price,
};
pub use constants::*;
pub use encrypted::{EncryptedText, EncryptedTextError, InnerRequest, InnerResponse, SessionType};
pub use frame::{
    FRAME_OVERHEAD, FRAME_PREFIX, ForwardFrame, ForwardRequest, FrameError, open_push,
    open_push_with, seal_push, seal_push_with,
};
pub use handshake::{
    AwaitingClientMaterial, AwaitingConfirmation, AwaitingMaterial, ClientHandshake, Established,
    GatewayHandshake, HandshakeError, HandshakePayload, HandshakeRandomness, Registered,
};
pub use json::{TEXT_MAX, TextError};
pub use link_cipher::{GcmSiv, LinkCipher};
pub use request::{ClientText, Retired, Token};
pub use response::GatewayText;
pub use shared_key::{DecryptionError, DegenerateKey, NONCE_SIZE, SharedKey, TAG_SIZE};
pub use version::{ProtocolVersion, VersionError};
