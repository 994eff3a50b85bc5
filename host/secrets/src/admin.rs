//! What an administrator does with secrets: set, rotate, remove, let expire, change the master key. Each act is one
//! batch with its audit entry.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use factotum_audit::Actor;
use factotum_store::{Batch, Table};
use secrecy::SecretString;

use crate::{
    KeyId, MAX_OVERLAP, MAX_SECRETS, MAX_VERSIONS, MasterKeySource, SecretError, SecretInfo,
    keyring::{Entry, Keyring, Version, cut},
    master::MasterKey,
    seal::Key,
    secret::{self, Numbered},
    store::{Admin, SecretStore, keyring_damaged, secret_damaged, tidy},
};

/// Where a new master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewMaster {
    /// The host makes one and puts it into its own key file ([`MasterKeySource::OwnFile`]).
    Fresh,
    /// An administrator keeps it. The configuration must name this source from now on; until it does, the next
    /// start fails with [`SecretError::WrongMasterKey`] and changes nothing.
    From(MasterKeySource),
}

/// What becomes of the values that were there before a new one.
enum Earlier {
    /// They end now.
    End,
    /// They are accepted until this time, in milliseconds since 1970.
    Until(i64),
}

impl SecretStore {
    /// Sets a secret: makes it, or replaces every value it has at once.
    ///
    /// # Errors
    /// [`SecretError::Name`], [`SecretError::Value`], [`SecretError::TooMany`], [`SecretError::Store`].
    pub fn set(&self, actor: &Actor, name: &str, value: &SecretString) -> Result<SecretInfo, SecretError> {
        self.write(actor, name, value, &Earlier::End)
    }

    /// Gives a secret that exists a new current value; the one before stays accepted ([`SecretStore::accepted`])
    /// for `overlap`, so that both sides need not change at the same moment. Values from earlier rotations keep the
    /// times they were given.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Overlap`], [`SecretError::TooManyVersions`],
    /// [`SecretError::Damaged`] when the present value does not open, and like [`SecretStore::set`].
    pub fn rotate(
        &self,
        actor: &Actor,
        name: &str,
        value: &SecretString,
        overlap: Duration,
    ) -> Result<SecretInfo, SecretError> {
        if overlap > MAX_OVERLAP {
            return Err(SecretError::Overlap { seconds: overlap.as_secs() });
        }
        let milliseconds = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
        let until = (self.inner.clock)().saturating_add(milliseconds);
        self.write(actor, name, value, &Earlier::Until(until))
    }

    fn write(
        &self,
        actor: &Actor,
        name: &str,
        value: &SecretString,
        earlier: &Earlier,
    ) -> Result<SecretInfo, SecretError> {
        secret::check_name(name)?;
        secret::check_value(name, value)?;
        let mut admin = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.inner.clock)();
        let mut ring = Keyring::clone(&self.ring());
        let old = ring.entries.get(name).cloned();
        let (mut versions, mut values) = (Vec::new(), Vec::new());
        match (&old, earlier) {
            (None, Earlier::Until(_)) => return Err(SecretError::NotFound { name: name.to_owned() }),
            (None, Earlier::End) if ring.entries.len() >= MAX_SECRETS => return Err(SecretError::TooMany),
            (None, Earlier::End) | (Some(_), Earlier::End) => {}
            (Some(old), Earlier::Until(until)) => {
                let ended =
                    |version: &Version| Version { until: version.until.or(Some(*until)), ..version.clone() };
                versions = old
                    .versions
                    .iter()
                    .map(ended)
                    .filter(|v| v.until.is_some_and(|until| now < until))
                    .collect();
                if versions.len() >= MAX_VERSIONS {
                    return Err(SecretError::TooManyVersions { name: name.to_owned() });
                }
                values = self.kept(name, old, &versions)?;
            }
        }
        let number = old.as_ref().map_or(0, |old| old.current()).saturating_add(1);
        let by = cut(&actor.to_string()).to_owned();
        versions.push(Version { number, at: now, by, until: None });
        values.push((number, value.clone()));
        let created = old.as_ref().map_or(now, |old| old.created);
        let mut batch = self.replace(&mut ring, name, created, versions, &values)?;
        let action = if matches!(earlier, Earlier::Until(_)) { "secret.rotate" } else { "secret.set" };
        let mut entry = self
            .inner
            .audit
            .entry(actor, action, name)
            .detail("version", &number.to_string())
            .detail("revision", &ring.revision.to_string());
        if let Earlier::Until(until) = earlier {
            entry = entry.detail("overlap-seconds", &(until.saturating_sub(now) / 1000).to_string());
        }
        entry.add_to(&mut batch);
        let info =
            ring.entries.get(name).map(|entry| entry.info(name, now)).ok_or_else(|| secret_damaged(name))?;
        self.commit(&mut admin, None, ring, batch)?;
        Ok(info)
    }

    /// Removes a secret: its row, and the only key that could open a copy of it.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Store`].
    pub fn remove(&self, actor: &Actor, name: &str) -> Result<(), SecretError> {
        let mut admin = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ring = Keyring::clone(&self.ring());
        if ring.entries.remove(name).is_none() {
            return Err(SecretError::NotFound { name: crate::error::shown(name) });
        }
        ring.revision = ring.revision.saturating_add(1);
        let mut batch = Batch::new();
        batch.delete(Table::Secrets, secret::row_key(name));
        let entry = self.inner.audit.entry(actor, "secret.remove", name);
        entry.detail("revision", &ring.revision.to_string()).add_to(&mut batch);
        self.commit(&mut admin, None, ring, batch)
    }

    /// Wipes values whose overlap is over; how many secrets had some. They are not accepted any more even without
    /// this; call it from time to time (every few minutes) so that they do not stay on disk either. It also removes
    /// the host's own earlier master keys once they are not needed any more.
    ///
    /// # Errors
    /// [`SecretError::Store`]. A damaged secret is left as it is.
    pub fn prune(&self) -> Result<usize, SecretError> {
        let mut pruned = 0;
        let now = (self.inner.clock)();
        let due: Vec<String> = self
            .ring()
            .entries
            .iter()
            .filter(|(_, entry)| entry.has_expired(now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let mut admin = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
            let mut ring = Keyring::clone(&self.ring());
            let Some(old) = ring.entries.get(&name).cloned().filter(|old| old.has_expired(now)) else {
                continue;
            };
            let versions: Vec<_> =
                old.versions.iter().filter(|v| old.accepts(v.number, now)).cloned().collect();
            let values = match self.kept(&name, &old, &versions) {
                Err(SecretError::Damaged { .. }) => continue,
                values => values?,
            };
            let ended = old.versions.len().saturating_sub(versions.len());
            let mut batch = self.replace(&mut ring, &name, old.created, versions, &values)?;
            self.inner
                .audit
                .entry(&Actor::System, "secret.expire", &name)
                .detail("values", &ended.to_string())
                .detail("revision", &ring.revision.to_string())
                .add_to(&mut batch);
            self.commit(&mut admin, None, ring, batch)?;
            pruned += 1;
        }
        if let Some(own) = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner).source.own() {
            tidy(own.drop_previous(SystemTime::now()));
        }
        Ok(pruned)
    }

    /// Seals every data key under a new master key, in one write: afterwards the new key opens everything and the
    /// old one nothing. Returns the new key's identity. A crash leaves either the one or the other;
    /// [`SecretStore::open`] completes the rest.
    ///
    /// # Errors
    /// [`SecretError::MasterKey`] when the new key cannot be had or written, [`SecretError::SameMasterKey`],
    /// [`SecretError::NotOurFile`], [`SecretError::Store`].
    pub fn rotate_master(&self, actor: &Actor, to: &NewMaster) -> Result<KeyId, SecretError> {
        let mut admin = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        match to {
            NewMaster::From(source) => {
                self.adopt(&mut admin, actor, source.load_or_make()?, source.clone())?
            }
            NewMaster::Fresh => self.fresh_master(&mut admin, actor)?,
        }
        Ok(admin.master.id)
    }

    fn fresh_master(&self, admin: &mut Admin, actor: &Actor) -> Result<(), SecretError> {
        let source = admin.source.clone();
        let own = source.own().ok_or_else(|| SecretError::NotOurFile { origin: source.to_string() })?;
        // The present key may still be in the next one's file, when that could not take its place the last time.
        match own.recover(admin.master.id).map_err(|error| source.refuse(error.to_string()))? {
            Some(_) => {}
            None => {
                return Err(
                    source.refuse("it does not hold the present key; restore the file first".to_owned())
                );
            }
        }
        let key = MasterKey::new(Key::random());
        // On disk before anything is sealed under it, in place only after everything is.
        own.write_next(&key.key).map_err(|error| source.refuse(error.to_string()))?;
        self.adopt(admin, actor, key, source)?;
        if let Err(error) = own.advance() {
            // The change is done and on disk; the next start completes what is left of it.
            tracing::error!(%error, "the new master key's file could not take its place yet; keep it and restart");
        }
        Ok(())
    }

    /// Seals the keyring under another key, which is the master key from then on.
    pub(crate) fn adopt(
        &self,
        admin: &mut Admin,
        actor: &Actor,
        key: MasterKey,
        source: MasterKeySource,
    ) -> Result<(), SecretError> {
        if key.id == admin.master.id {
            return Err(SecretError::SameMasterKey { id: key.id });
        }
        let mut ring = Keyring::clone(&self.ring());
        ring.revision = ring.revision.saturating_add(1);
        let mut batch = Batch::new();
        self.inner
            .audit
            .entry(actor, "secret.master-key.rotate", &key.id.to_string())
            .detail("before", &admin.master.id.to_string())
            .detail("source", &source.to_string())
            .detail("secrets", &ring.entries.len().to_string())
            .detail("revision", &ring.revision.to_string())
            .add_to(&mut batch);
        self.commit(admin, Some(&key), ring, batch)?;
        (admin.master, admin.source) = (key, source);
        Ok(())
    }

    /// The values of a secret that the new list of versions keeps, without its current one when that is not among
    /// them.
    fn kept(&self, name: &str, old: &Entry, versions: &[Version]) -> Result<Vec<Numbered>, SecretError> {
        let keeps = |number| versions.iter().any(|version| version.number == number);
        self.open_row(name, old, keeps)?.ok_or_else(|| secret_damaged(name))
    }

    /// Puts a secret into the keyring under a new data key and the next revision; the batch has its row.
    fn replace(
        &self,
        ring: &mut Keyring,
        name: &str,
        created: i64,
        versions: Vec<Version>,
        values: &[Numbered],
    ) -> Result<Batch, SecretError> {
        ring.revision = ring.revision.saturating_add(1);
        let (key, revision) = (Key::random(), ring.revision);
        let row = secret::seal_row(&key, name, revision, values)
            .ok_or_else(|| keyring_damaged("cannot be sealed"))?;
        ring.entries.insert(name.to_owned(), Arc::new(Entry { revision, key, created, versions }));
        let mut batch = Batch::new();
        batch.put(Table::Secrets, secret::row_key(name), row);
        Ok(batch)
    }
}
