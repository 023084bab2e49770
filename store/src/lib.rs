//! The state of a Nym client on disk.
//!
//! A [`Profile`] is the folder of one client: its keys in PEM files, which people may move from and to
//! other Nym clients, and a database with its registrations and conversations. What is kept survives
//! a crash at any moment, whole transactions or nothing; what was damaged is an error and never
//! silently a fresh client.
//!
//! ```text
//! DIR/lock                        held while a process uses the profile; says which
//! DIR/data/private_identity.pem   and four more keys
//! DIR/data/state.redb             registrations, active gateway, conversations
//! ```
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = std::env::temp_dir().join(format!("nym-store-doc-{}", std::process::id()));
//! use nym_proto::client::{Config, Network};
//! use nym_proto::entropy::{Entropy, Purpose};
//! use nym_proto::identity::Identity;
//! use nym_store::Profile;
//!
//! // the seed comes from the operating system; an identity is only ever made here
//! let identity = Identity::generate(&mut Entropy::new([7; 32]).stream(Purpose::Identity));
//! drop(Profile::create(&dir, &identity)?);
//!
//! let profile = Profile::open(&dir)?;
//! let mut config = Config::new(Network::Directory(vec!["https://example.org/api/".into()]));
//! config.state = profile.state()?;
//! let store = profile.store(); // for `Options::store`
//! # drop((store, profile));
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Damage
//!
//! A database is read in memory first, with all its checksums, and only a sound one is written to. redb
//! panics on some damaged files. Such a panic is caught and becomes [`StoreError::StateDamaged`], but its
//! message has gone to the panic hook by then; in a program built with `panic = "abort"` it ends the
//! program, and the file is as it was.
//!
//! # Erased secrets
//!
//! The database is copy-on-write: an erased value stays in a free page of the file until a later
//! transaction takes the page, which in a running client is soon. Each [`Profile::open`] writes the
//! file anew with what is kept and nothing else, and puts it in place of the old one at once. What
//! the file system and the disk keep of overwritten and deleted files is beyond the reach of a program.

mod database;
mod error;
mod filled;
mod guard;
mod image;
mod keys;
mod lock;
mod pem;
mod private;
mod profile;
#[cfg(test)]
mod testing;
#[cfg(feature = "import")]
pub mod upstream;

pub use error::{KeyFault, StoreError};
pub use profile::{Profile, Recovered};
