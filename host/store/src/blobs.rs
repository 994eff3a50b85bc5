//! Blobs: bytes kept under their SHA-256, in chunks, each small enough to lie inline in the engine's log.

use sha2::{Digest as _, Sha256};

use crate::{Batch, Expectation, ScanRange, Store, StoreError, Table};

/// Largest blob, in bytes.
pub const MAX_BLOB: usize = 64 * 1024 * 1024;
/// Bytes per chunk: the engine keeps it whole, also when it is sealed. Chunks of earlier versions were longer; a blob's
/// chunks are read until its length is reached.
const CHUNK: usize = crate::parts::INLINE - crate::SEALING;
/// Chunks per commit: half a batch, so that others are not held up for long.
const CHUNKS_PER_BATCH: usize = 32;

/// The state byte in a blob's record, before its length.
const COMPLETE: u8 = 1;
const PARTIAL: u8 = 0;

/// The SHA-256 of a blob, by which it is found.
pub type Digest = [u8; 32];

/// The blobs of a store.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Store,
}

impl Blobs {
    /// The blobs of `store`.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Keeps `data` and returns its digest; what is kept already costs nothing.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] above [`MAX_BLOB`], and like [`Store::commit`].
    pub async fn put(&self, data: &[u8]) -> Result<Digest, StoreError> {
        if data.len() > MAX_BLOB {
            return Err(StoreError::Invalid(format!(
                "the blob has {} bytes, at most {MAX_BLOB} are allowed",
                data.len()
            )));
        }
        let digest: Digest = Sha256::digest(data).into();
        if self.length(&digest)?.is_some() {
            return Ok(digest);
        }
        if data.len() > CHUNK * CHUNKS_PER_BATCH {
            // Marked as partial first, so that a crash in between leaves something that `sweep` finds. A mark that is
            // there already stays: another put of the same bytes may be further along, or done.
            let mut mark = Batch::new();
            mark.put_new(Table::Blobs, digest, record(PARTIAL, data.len()));
            match self.store.commit(mark).await {
                Err(error) if !error.is_conflict() => return Err(error),
                _ => {}
            }
        }
        let mut batch = Batch::new();
        for (index, chunk) in data.chunks(CHUNK).enumerate() {
            if index > 0 && index % CHUNKS_PER_BATCH == 0 {
                self.store.commit(std::mem::take(&mut batch)).await?;
            }
            batch.put(Table::BlobChunks, chunk_key(&digest, index), chunk);
        }
        batch.put(Table::Blobs, digest, record(COMPLETE, data.len()));
        self.store.commit(batch).await?;
        Ok(digest)
    }

    /// The length of a blob in bytes; `None` when it is not kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn length(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        Ok(self.store.get(Table::Blobs, digest)?.and_then(|record| match record.split_first() {
            Some((&COMPLETE, length)) => length.try_into().ok().map(u64::from_be_bytes),
            _ => None,
        }))
    }

    /// A blob's bytes, checked against its digest; `None` when it is not kept.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when they are not what was put, or when the store cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(reader) = self.read(digest)? else { return Ok(None) };
        let mut data = Vec::with_capacity(usize::try_from(reader.left).unwrap_or(0).min(MAX_BLOB));
        for chunk in reader {
            data.extend_from_slice(&chunk?);
        }
        Ok(Some(data))
    }

    /// A blob chunk by chunk, for large ones; `None` when it is not kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(&self, digest: &Digest) -> Result<Option<BlobReader>, StoreError> {
        Ok(self.length(digest)?.map(|left| BlobReader {
            store: self.store.clone(),
            digest: *digest,
            left,
            index: 0,
            hasher: Sha256::new(),
            done: false,
        }))
    }

    /// Removes a blob. Whether anything still refers to it is for the caller to know.
    ///
    /// # Errors
    /// Like [`Store::commit`].
    pub async fn delete(&self, digest: &Digest) -> Result<bool, StoreError> {
        let Some(old) = self.store.get(Table::Blobs, digest)? else { return Ok(false) };
        let length = old.get(1..).and_then(|l| l.try_into().ok()).map_or(0, u64::from_be_bytes);
        let mut batch = Batch::new();
        batch.expect(Table::Blobs, *digest, Expectation::Value(old));
        let chunks = usize::try_from(length).unwrap_or(MAX_BLOB).div_ceil(CHUNK);
        for index in 0..chunks {
            batch.delete(Table::BlobChunks, chunk_key(digest, index));
        }
        batch.delete(Table::Blobs, *digest);
        self.store.commit(batch).await?;
        Ok(true)
    }

    /// Removes what interrupted puts left behind; call it when the store was opened, before anyone puts.
    /// Returns how many blobs were removed.
    ///
    /// # Errors
    /// Like [`Store::commit`].
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut cursor = None;
        loop {
            let page = self.store.scan(Table::Blobs, &ScanRange::default().after(cursor).limit(1000))?;
            let Some((last, _)) = page.last() else { return Ok(removed) };
            cursor = Some(last.clone());
            for (key, record) in page {
                if record.first() == Some(&PARTIAL)
                    && let Ok(digest) = Digest::try_from(key)
                {
                    self.delete(&digest).await?;
                    removed += 1;
                }
            }
        }
    }
}

/// Reads a blob chunk by chunk and checks it at the end: the last item is an error when the bytes are not what was put.
#[derive(Debug)]
pub struct BlobReader {
    store: Store,
    digest: Digest,
    left: u64,
    index: usize,
    hasher: Sha256,
    done: bool,
}

impl BlobReader {
    fn corrupt(&self, reason: &str) -> StoreError {
        StoreError::Corrupt { table: Table::Blobs, key: self.digest.to_vec(), reason: reason.to_owned() }
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if self.left == 0 {
            self.done = true;
            let found: Digest = self.hasher.clone().finalize().into();
            return if found == self.digest { Ok(None) } else { Err(self.corrupt("its bytes have changed")) };
        }
        let chunk = self.store.get(Table::BlobChunks, &chunk_key(&self.digest, self.index))?;
        let chunk = chunk.ok_or_else(|| self.corrupt("a chunk is missing"))?;
        self.left =
            self.left.checked_sub(chunk.len() as u64).ok_or_else(|| self.corrupt("a chunk is too long"))?;
        if chunk.is_empty() {
            return Err(self.corrupt("a chunk is empty"));
        }
        self.hasher.update(&chunk);
        self.index += 1;
        Ok(Some(chunk))
    }
}

impl Iterator for BlobReader {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.chunk().transpose();
        if matches!(item, Some(Err(_))) {
            self.done = true;
        }
        item
    }
}

fn record(state: u8, length: usize) -> Vec<u8> {
    let mut record = vec![state];
    record.extend_from_slice(&(length as u64).to_be_bytes());
    record
}

fn chunk_key(digest: &Digest, index: usize) -> Vec<u8> {
    let mut key = digest.to_vec();
    key.extend_from_slice(&u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes());
    key
}
