//! PEM files with a raw key: base64 between two lines, no ASN.1. (protocol: client 15.1)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::KeyFault;

/// Characters of base64 in a line. RFC 7468
const LINE: usize = 64;
/// Bytes of the longest key file that is read. An encrypted one has less than 500.
pub(crate) const FILE_MAX: u64 = 4096;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// What the label of a key under a passphrase begins with. (protocol: client 15.2)
const ENCRYPTED: &str = "ENCRYPTED ";

/// The text of a key.
pub(crate) fn encode(label: &str, key: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(key));
    let lines = body.len().div_ceil(LINE);
    let markers = BEGIN.len() + END.len() + 2 * (label.len() + DASHES.len() + 1);
    // with room for everything, so that growing leaves no copies behind
    let mut text = Zeroizing::new(String::with_capacity(markers + body.len() + lines));
    text.extend([BEGIN, label, DASHES, "\n"]);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        text.extend([line, "\n"]);
        rest = next;
    }
    text.extend([END, label, DASHES, "\n"]);
    text
}

/// Reads the key of `N` bytes with this label. Line ends of either kind and white space around the
/// lines are tolerated, nothing else is.
pub(crate) fn decode<const N: usize>(
    label: &'static str,
    text: &[u8],
) -> Result<Zeroizing<[u8; N]>, KeyFault> {
    let text = str::from_utf8(text).map_err(|_| KeyFault::NotPem)?.trim();
    let (found, rest) = text
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.split_once(DASHES))
        .filter(|(found, _)| is_label(found))
        .ok_or(KeyFault::NotPem)?;
    if found != label {
        let is_encrypted = found.strip_prefix(ENCRYPTED) == Some(label);
        return Err(match is_encrypted {
            true => KeyFault::Encrypted,
            false => KeyFault::Label { expected: label, found: found.to_owned() },
        });
    }
    let body = rest
        .strip_suffix(DASHES)
        .and_then(|rest| rest.strip_suffix(label))
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(KeyFault::NotPem)?;
    let mut compact = Zeroizing::new(String::with_capacity(body.len()));
    compact.extend(body.split_ascii_whitespace());
    let mut bytes = Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(compact.len())));
    STANDARD.decode_vec(compact.as_bytes(), &mut bytes).map_err(|_| KeyFault::NotPem)?;
    let key = <[u8; N]>::try_from(bytes.as_slice())
        .map_err(|_| KeyFault::Length { expected: N, found: bytes.len() })?;
    Ok(Zeroizing::new(key))
}

/// True for what may stand between the dashes. RFC 7468: printable, short, no dash at the ends.
fn is_label(text: &str) -> bool {
    text.len() <= LINE && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

#[cfg(test)]
#[path = "pem_tests.rs"]
mod tests;
