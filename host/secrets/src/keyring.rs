//! The keyring: which secrets there are, their data keys, who set what when, and the keys of payloads; one row, sealed
//! under the master key.

use std::{collections::BTreeMap, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    KeyId, MAX_PAYLOAD_KEYS, MAX_SECRETS, MAX_VERSIONS,
    codec::{Reader, Writer},
    master::MasterKey,
    seal::{self, KEY, Key},
};

const FORMAT: u8 = 2;
const DOMAIN: &[u8] = b"factotum-secrets/keyring/2\n";
/// The form of before, without keys of payloads: read, and written anew with the next change.
const BEFORE: u8 = 1;
const DOMAIN_BEFORE: &[u8] = b"factotum-secrets/keyring/1\n";
/// The keyring's key in the store's table. No secret's row can have it.
pub(crate) const ROW: &[u8] = b"keyring";
/// Longest text that says who set a value, in bytes; longer ones are cut.
const MAX_BY: usize = 128;

/// One value that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: u32,
    /// When it was set, in milliseconds since 1970.
    pub(crate) at: i64,
    /// Who set it.
    pub(crate) by: String,
    /// Until when it is accepted, in milliseconds since 1970; `None` for the current value.
    pub(crate) until: Option<i64>,
}

/// What the keyring knows of a secret.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The keyring's revision that wrote the row; the row is bound to it.
    pub(crate) revision: u64,
    pub(crate) key: Key,
    /// When the secret was first set, in milliseconds since 1970.
    pub(crate) created: i64,
    /// Oldest first; the last one is the current value.
    pub(crate) versions: Vec<Version>,
}

impl Entry {
    /// The number of the current value.
    pub(crate) fn current(&self) -> u32 {
        self.versions.last().map_or(0, |version| version.number)
    }

    /// Whether the value with this number is accepted at a time.
    pub(crate) fn accepts(&self, number: u32, now: i64) -> bool {
        self.versions.iter().any(|v| v.number == number && v.until.is_none_or(|until| now < until))
    }

    /// Whether some value's time has passed.
    pub(crate) fn has_expired(&self, now: i64) -> bool {
        self.versions.iter().any(|version| !self.accepts(version.number, now))
    }

    /// What may be shown.
    pub(crate) fn info(&self, name: &str, now: i64) -> SecretInfo {
        let current = self.versions.last();
        SecretInfo {
            name: name.to_owned(),
            version: self.current(),
            created: self.created,
            set: current.map_or(self.created, |version| version.at),
            by: current.map(|version| version.by.clone()).unwrap_or_default(),
            accepted: self
                .versions
                .iter()
                .filter_map(|v| Some(Accepted { version: v.number, until: v.until? }))
                .filter(|earlier| now < earlier.until)
                .collect(),
        }
    }
}

/// What may be shown of a secret. Neither its value nor its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// The number of the current value; 1 for the first.
    pub version: u32,
    /// When it was first set, in milliseconds since 1970-01-01 UTC.
    pub created: i64,
    /// When the current value was set (the last rotation), in milliseconds since 1970-01-01 UTC.
    pub set: i64,
    /// Who set the current value, as the audit log writes it (`token:admin`).
    pub by: String,
    /// Earlier values that are still accepted, oldest first.
    pub accepted: Vec<Accepted>,
}

/// An earlier value that is still accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its number.
    pub version: u32,
    /// Until when, in milliseconds since 1970-01-01 UTC.
    pub until: i64,
}

/// Everything under the master key. Clones share the entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keyring {
    /// Grows by one with every change and never falls, so that no revision of a row is used twice.
    pub(crate) revision: u64,
    pub(crate) entries: BTreeMap<String, Arc<Entry>>,
    /// The keys that payloads are sealed under, by their number; new ones are sealed under the last.
    pub(crate) payloads: BTreeMap<u32, Arc<Key>>,
}

impl Keyring {
    /// The identity of the master key that a stored keyring is sealed under; `None` for bytes that are no keyring.
    pub(crate) fn sealed_under(row: &[u8]) -> Option<KeyId> {
        let (format, rest) = row.split_first()?;
        matches!(*format, FORMAT | BEFORE).then(|| rest.first_chunk().copied().map(KeyId))?
    }

    /// The row for the store.
    pub(crate) fn seal(&self, master: &MasterKey) -> Option<Vec<u8>> {
        let sealed = seal::seal(&master.key, &associated(DOMAIN, master.id), &self.encode()?)?;
        Some([&[FORMAT][..], &master.id.0, &sealed].concat())
    }

    /// The keyring of a row; `None` when it is not what was sealed under this key.
    pub(crate) fn open(master: &MasterKey, row: &[u8]) -> Option<Keyring> {
        let (format, rest) = row.split_first()?;
        let domain = if *format == BEFORE { DOMAIN_BEFORE } else { DOMAIN };
        let sealed = rest.strip_prefix(&master.id.0).filter(|_| matches!(*format, FORMAT | BEFORE))?;
        Self::decode(*format, &seal::open(&master.key, &associated(domain, master.id), sealed)?)
    }

    fn encode(&self) -> Option<Zeroizing<Vec<u8>>> {
        let room = |(name, entry): (&String, &Arc<Entry>)| {
            name.len() + 4 + 8 + KEY + 8 + 4 + entry.versions.len() * (4 + 8 + 4 + MAX_BY + 8)
        };
        let mut writer = Writer::with_room(
            16 + self.entries.iter().map(room).sum::<usize>() + self.payloads.len() * (4 + KEY),
        );
        writer.u64(self.revision);
        writer.u32(u32::try_from(self.entries.len()).ok()?);
        for (name, entry) in &self.entries {
            writer.sized(name.as_bytes());
            writer.u64(entry.revision);
            writer.raw(entry.key.bytes());
            writer.i64(entry.created);
            writer.u32(u32::try_from(entry.versions.len()).ok()?);
            for version in &entry.versions {
                writer.u32(version.number);
                writer.i64(version.at);
                writer.sized(cut(&version.by).as_bytes());
                writer.i64(version.until.unwrap_or(i64::MIN));
            }
        }
        writer.u32(u32::try_from(self.payloads.len()).ok()?);
        for (number, key) in &self.payloads {
            writer.u32(*number);
            writer.raw(key.bytes());
        }
        Some(writer.finish())
    }

    fn decode(format: u8, plain: &[u8]) -> Option<Keyring> {
        let mut reader = Reader(plain);
        let revision = reader.u64()?;
        let count = usize::try_from(reader.u32()?).ok().filter(|count| *count <= MAX_SECRETS)?;
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let name = reader.text()?.to_owned();
            let (revision, key, created) = (reader.u64()?, Key::of(reader.raw(KEY)?)?, reader.i64()?);
            let many = usize::try_from(reader.u32()?).ok().filter(|many| *many <= MAX_VERSIONS)?;
            let mut versions = Vec::with_capacity(many);
            for _ in 0..many {
                let (number, at, by) = (reader.u32()?, reader.i64()?, reader.text()?.to_owned());
                let until = Some(reader.i64()?).filter(|until| *until != i64::MIN);
                versions.push(Version { number, at, by, until });
            }
            entries.insert(name, Arc::new(Entry { revision, key, created, versions }));
        }
        let mut payloads = BTreeMap::new();
        if format != BEFORE {
            let count = usize::try_from(reader.u32()?).ok().filter(|count| *count <= MAX_PAYLOAD_KEYS)?;
            for _ in 0..count {
                payloads.insert(reader.u32()?, Arc::new(Key::of(reader.raw(KEY)?)?));
            }
        }
        reader.0.is_empty().then_some(Keyring { revision, entries, payloads })
    }
}

fn associated(domain: &[u8], id: KeyId) -> Vec<u8> {
    [domain, &id.0].concat()
}

/// The text, cut at a character so that it fits.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_BY)).unwrap_or_default()
}
