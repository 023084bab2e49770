//! The five key files of a client. (protocol: client 15.1)

use std::io;
use std::path::Path;

use nym_proto::identity::{AckKey, Identity, IdentityKeyPair, PrivateKey};
use zeroize::Zeroizing;

use crate::error::{KeyFault, StoreError, at};
use crate::pem;
use crate::private::{self, Kept};

struct KeyFile {
    name: &'static str,
    label: &'static str,
    kept: Kept,
}

const PRIVATE_IDENTITY: KeyFile =
    KeyFile { name: "private_identity.pem", label: "ED25519 PRIVATE KEY", kept: Kept::Secret };
const PUBLIC_IDENTITY: KeyFile =
    KeyFile { name: "public_identity.pem", label: "ED25519 PUBLIC KEY", kept: Kept::Public };
const PRIVATE_ENCRYPTION: KeyFile =
    KeyFile { name: "private_encryption.pem", label: "X25519 PRIVATE KEY", kept: Kept::Secret };
const PUBLIC_ENCRYPTION: KeyFile =
    KeyFile { name: "public_encryption.pem", label: "X25519 PUBLIC KEY", kept: Kept::Public };
const ACK: KeyFile =
    KeyFile { name: "ack_key.pem", label: "AES-128-CTR ACKNOWLEDGEMENTS KEY", kept: Kept::Secret };

/// Whether key files that others may read are refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modes {
    Check,
    #[cfg(feature = "import")]
    Ignore,
}

/// Writes the keys to files that must not exist.
pub(crate) fn write(data: &Path, identity: &Identity) -> Result<(), StoreError> {
    PRIVATE_IDENTITY.write(data, &*identity.identity.seed())?;
    PUBLIC_IDENTITY.write(data, identity.identity.public().as_bytes())?;
    PRIVATE_ENCRYPTION.write(data, identity.encryption.as_bytes())?;
    PUBLIC_ENCRYPTION.write(data, identity.encryption.public().as_bytes())?;
    ACK.write(data, identity.ack.as_bytes())
}

/// Reads the keys. All five files have to be there and to fit together.
pub(crate) fn read(data: &Path, modes: Modes) -> Result<Identity, StoreError> {
    let identity = IdentityKeyPair::from_seed(&*PRIVATE_IDENTITY.read(data, modes)?);
    let public = PUBLIC_IDENTITY.read::<32>(data, modes)?;
    if *public != *identity.public().as_bytes() {
        return Err(PUBLIC_IDENTITY.fault(data, KeyFault::Mismatch(PRIVATE_IDENTITY.name)));
    }
    let encryption = PrivateKey::from_bytes(*PRIVATE_ENCRYPTION.read(data, modes)?);
    let public = PUBLIC_ENCRYPTION.read::<32>(data, modes)?;
    if *public != *encryption.public().as_bytes() {
        return Err(PUBLIC_ENCRYPTION.fault(data, KeyFault::Mismatch(PRIVATE_ENCRYPTION.name)));
    }
    let ack = AckKey::from_bytes(*ACK.read(data, modes)?);
    Ok(Identity { identity, encryption, ack })
}

impl KeyFile {
    fn write(&self, data: &Path, key: &[u8]) -> Result<(), StoreError> {
        private::write_new(&data.join(self.name), pem::encode(self.label, key).as_bytes())
    }

    fn read<const N: usize>(
        &self,
        data: &Path,
        modes: Modes,
    ) -> Result<Zeroizing<[u8; N]>, StoreError> {
        let path = data.join(self.name);
        let text = match private::read(&path, pem::FILE_MAX) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(self.fault(data, KeyFault::NotPem)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.fault(data, KeyFault::Missing));
            }
            Err(error) => return Err(at(&path)(error)),
        };
        if modes == Modes::Check {
            private::check(&path, self.kept)?;
        }
        pem::decode(self.label, &text).map_err(|fault| self.fault(data, fault))
    }

    fn fault(&self, data: &Path, fault: KeyFault) -> StoreError {
        StoreError::Key { path: data.join(self.name), fault }
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
