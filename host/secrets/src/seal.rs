//! Sealing: XChaCha20-Poly1305 with a random nonce, and keys that are wiped.

use chacha20poly1305::{
    Tag, XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, KeyInit},
};
use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;

/// A key; wiped on drop, never shown.
pub(crate) struct Key(SecretBox<[u8; KEY]>);

impl Key {
    /// A key from the system's random source.
    pub(crate) fn random() -> Key {
        Key(SecretBox::init_with_mut(|key: &mut [u8; KEY]| rand::fill(key)))
    }

    /// A key of these bytes; `None` when they are not as many as a key has.
    pub(crate) fn of(bytes: &[u8]) -> Option<Key> {
        let from: &[u8; KEY] = bytes.try_into().ok()?;
        Some(Key(SecretBox::init_with_mut(|key: &mut [u8; KEY]| key.copy_from_slice(from))))
    }

    /// The bytes, for the keyring and the key's identity.
    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        self.0.expose_secret()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.bytes().into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Nonce, ciphertext and tag of `plain`, bound to `associated`. `None` only for more than 256 GiB.
pub(crate) fn seal(key: &Key, associated: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    seal_after(&[], key, associated, plain)
}

/// The same behind a few bytes that say what it is.
pub(crate) fn seal_after(head: &[u8], key: &Key, associated: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE];
    rand::fill(&mut nonce);
    // Room for all of it at once: a buffer that grows leaves a copy of the plain text behind.
    let start = head.len().checked_add(NONCE)?;
    let mut sealed = Vec::with_capacity(start.checked_add(plain.len())?.checked_add(TAG)?);
    sealed.extend_from_slice(head);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let body = sealed.get_mut(start..)?;
    let tag = key.cipher().encrypt_inout_detached(&XNonce::from(nonce), associated, body.into()).ok()?;
    sealed.extend_from_slice(&tag);
    Some(sealed)
}

/// What [`seal`] sealed; `None` when the key, the associated data or any byte is another.
pub(crate) fn open(key: &Key, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
    let (body, tag) = rest.split_last_chunk::<TAG>()?;
    let mut plain = Zeroizing::new(body.to_vec());
    key.cipher()
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            associated,
            plain.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_nothing_else_does(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            associated in proptest::collection::vec(any::<u8>(), 0..40),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let key = Key::random();
            let sealed = seal(&key, &associated, &plain).unwrap();
            prop_assert_eq!(&*open(&key, &associated, &sealed).unwrap(), &plain);
            prop_assert!(open(&Key::random(), &associated, &sealed).is_none());
            let mut other = associated.clone();
            other.push(0);
            prop_assert!(open(&key, &other, &sealed).is_none());
            let mut changed = sealed.clone();
            let place = at.index(changed.len());
            changed[place] ^= 1 << bit;
            prop_assert!(open(&key, &associated, &changed).is_none());
            prop_assert!(open(&key, &associated, &sealed[..place]).is_none());
        }
    }

    #[test]
    fn a_key_is_never_shown_and_no_two_are_the_same() {
        assert_eq!(format!("{:?}", Key::of(&[7; 32]).unwrap()), "Key(…)");
        assert_ne!(Key::random().bytes(), Key::random().bytes());
        assert!(Key::of(&[7; 31]).is_none());
    }
}
