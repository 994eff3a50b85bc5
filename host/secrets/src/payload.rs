//! Payloads at rest: the keys that the store's [`Sealer`] seals them under, made, kept in the keyring, and rotated.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use factotum_audit::Actor;
use factotum_store::{Batch, Sealer};

use crate::{
    MAX_PAYLOAD_KEYS, SecretError, SecretStore,
    keyring::Keyring,
    seal::{self, Key},
    store::{Admin, keyring_damaged},
};

/// The form of a sealed payload: this byte, the number of its key, then nonce, ciphertext and tag.
const FORMAT: u8 = 1;
const HEAD: usize = 5;
const DOMAIN: &[u8] = b"factotum-secrets/payload/1\n";

/// Seals payloads under the newest key and opens those of every key.
pub(crate) struct PayloadSealer(RwLock<Arc<BTreeMap<u32, Arc<Key>>>>);

impl PayloadSealer {
    fn keys(&self) -> Arc<BTreeMap<u32, Arc<Key>>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, keys: BTreeMap<u32, Arc<Key>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl fmt::Debug for PayloadSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadSealer({} keys)", self.keys().len())
    }
}

impl Sealer for PayloadSealer {
    fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let keys = self.keys();
        let (number, key) = keys.last_key_value().ok_or("there is no key for payloads")?;
        let head = head(*number);
        seal::seal_after(&head, key, &associated(&head, place), plain)
            .ok_or_else(|| "it is too long".to_owned())
    }

    fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        let (head, body) = sealed
            .split_first_chunk::<HEAD>()
            .filter(|(head, _)| head.first() == Some(&FORMAT))
            .ok_or("it is not sealed in a form that this version writes")?;
        let [_, number @ ..] = *head;
        let number = u32::from_be_bytes(number);
        let keys = self.keys();
        let key = keys
            .get(&number)
            .ok_or_else(|| format!("it is sealed under the key {number}, which is not there"))?;
        let plain = seal::open(key, &associated(head, place), body)
            .ok_or("it was changed or moved by something other than this host")?;
        Ok(plain.to_vec())
    }
}

fn head(number: u32) -> [u8; HEAD] {
    let [a, b, c, d] = number.to_be_bytes();
    [FORMAT, a, b, c, d]
}

/// What a payload is bound to: its form and key's number, and where it lies.
fn associated(head: &[u8], place: &[u8]) -> Vec<u8> {
    [DOMAIN, head, place].concat()
}

impl SecretStore {
    /// Has the store's payloads sealed under the keyring's keys, once, before any payload is read or written. The first
    /// time a key is made, and what is there in clear is sealed. Returns how many values that were.
    ///
    /// # Errors
    /// [`SecretError::Damaged`] when payloads are sealed and the keyring has no key for them, [`SecretError::Store`].
    pub fn seal_payloads(&self) -> Result<u64, SecretError> {
        let mut admin = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ring().payloads.is_empty() {
            if self.inner.store.is_locked() {
                return Err(keyring_damaged("has no key for payloads, though payloads are sealed"));
            }
            self.add_payload_key(&mut admin, &Actor::System, "secret.payload-key.make")?;
        }
        let sealer = Arc::new(PayloadSealer(RwLock::new(Arc::new(self.ring().payloads.clone()))));
        let sealed = self.inner.store.seal_with(Arc::clone(&sealer) as _)?;
        if sealed > 0 {
            tracing::info!(sealed, "stored payloads that an earlier version left in clear are sealed now");
        }
        let _ = self.inner.payloads.set(sealer);
        Ok(sealed)
    }

    /// Makes a new key that payloads are sealed under from now on; what was sealed before stays as it is. Returns the
    /// key's number.
    ///
    /// # Errors
    /// [`SecretError::TooManyPayloadKeys`], [`SecretError::Store`].
    pub fn rotate_payload_key(&self, actor: &Actor) -> Result<u32, SecretError> {
        let mut admin = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.add_payload_key(&mut admin, actor, "secret.payload-key.rotate")?;
        if let Some(sealer) = self.inner.payloads.get() {
            sealer.replace(self.ring().payloads.clone());
        }
        Ok(number)
    }

    fn add_payload_key(&self, admin: &mut Admin, actor: &Actor, act: &str) -> Result<u32, SecretError> {
        let mut ring = Keyring::clone(&self.ring());
        if ring.payloads.len() >= MAX_PAYLOAD_KEYS {
            return Err(SecretError::TooManyPayloadKeys);
        }
        let number = ring.payloads.last_key_value().map_or(0, |(number, _)| *number).saturating_add(1);
        ring.revision = ring.revision.saturating_add(1);
        ring.payloads.insert(number, Arc::new(Key::random()));
        let mut batch = Batch::new();
        self.inner
            .audit
            .entry(actor, act, &number.to_string())
            .detail("revision", &ring.revision.to_string())
            .add_to(&mut batch);
        self.commit(admin, None, ring, batch)?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(keys: &[u32]) -> PayloadSealer {
        let keys = keys.iter().map(|number| (*number, Arc::new(Key::random()))).collect();
        PayloadSealer(RwLock::new(Arc::new(keys)))
    }

    #[test]
    fn a_payload_opens_at_its_place_under_its_key_and_nowhere_else() {
        let sealer = sealer(&[1]);
        for plain in [&b""[..], b"x", &[7; 100_000]] {
            let sealed = sealer.seal(b"\x06run/1", plain).unwrap();
            assert_eq!(sealed.len() - plain.len(), 45);
            const { assert!(45 <= factotum_store::SEALING) };
            assert_eq!(sealer.open(b"\x06run/1", &sealed).unwrap(), plain);
            assert!(sealer.open(b"\x06run/2", &sealed).unwrap_err().contains("changed or moved"));
            assert!(sealer.open(b"\x0crun/1", &sealed).is_err(), "another table");
            for at in [0, 1, 4, 5, 28, sealed.len() - 1] {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(sealer.open(b"\x06run/1", &changed).is_err(), "byte {at}");
            }
            assert_ne!(sealer.seal(b"\x06run/1", plain).unwrap(), sealed, "no nonce is used twice");
        }
        assert!(sealer.open(b"p", b"{\"clear\":1}").unwrap_err().contains("not sealed"));
        assert!(sealer.open(b"p", b"").is_err());
    }

    #[test]
    fn a_new_key_seals_what_comes_and_opens_what_was() {
        let sealer = sealer(&[1]);
        let old = sealer.seal(b"p", b"old").unwrap();
        let mut keys = BTreeMap::clone(&sealer.keys());
        keys.insert(2, Arc::new(Key::random()));
        sealer.replace(keys);
        let new = sealer.seal(b"p", b"new").unwrap();
        assert_eq!((old[4], new[4]), (1, 2));
        assert_eq!(sealer.open(b"p", &old).unwrap(), b"old");
        assert_eq!(sealer.open(b"p", &new).unwrap(), b"new");
        let mut relabelled = old;
        relabelled[4] = 2;
        assert!(sealer.open(b"p", &relabelled).is_err());
        assert!(format!("{sealer:?}").contains("2 keys"));
    }
}
