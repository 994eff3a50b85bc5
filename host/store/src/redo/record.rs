//! One group of writes as bytes: a header that says how long it is, which group it is and how its bytes add up, then
//! its keys with their new values.
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of what follows the header |
//! | 4 | CRC-32 (IEEE) of the group's number and of what follows the header |
//! | 8 | the group's number |
//! | … | for each key: its length (2), its value's length plus one or 0 for a removal (4), the key, the value |
//!
//! All numbers are little-endian. Space that was reserved and not written yet is zero, which no record begins with.

use sled::IVec;

/// Bytes before the keys of a record.
pub(super) const HEADER: usize = 16;

/// A key and what it holds from here on; `None` where it was removed.
pub(crate) type Effect = (Vec<u8>, Option<IVec>);

/// A group as it was read back.
pub(super) struct Record {
    pub(super) group: u64,
    pub(super) effects: Vec<Effect>,
    /// Bytes from its beginning to the next record's.
    pub(super) length: usize,
}

/// Puts a group into `buffer`, which is emptied before.
///
/// # Errors
/// When a length does not fit its field.
pub(super) fn encode(buffer: &mut Vec<u8>, group: u64, effects: &[Effect]) -> Result<(), String> {
    let too_long = |what: &str| format!("{what} is too long for the log");
    buffer.clear();
    buffer.resize(HEADER, 0);
    for (key, value) in effects {
        let length = u16::try_from(key.len()).map_err(|_| too_long("a key"))?;
        buffer.extend_from_slice(&length.to_le_bytes());
        let value = value.as_deref();
        let length = value.map_or(Some(0), |value| u32::try_from(value.len()).ok()?.checked_add(1));
        buffer.extend_from_slice(&length.ok_or_else(|| too_long("a value"))?.to_le_bytes());
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value.unwrap_or_default());
    }
    let body = buffer.get(HEADER..).unwrap_or_default();
    let length = u32::try_from(body.len()).map_err(|_| too_long("a group"))?;
    let sum = checksum(group, body);
    let header = [&length.to_le_bytes()[..], &sum.to_le_bytes(), &group.to_le_bytes()].concat();
    if let Some(place) = buffer.get_mut(..HEADER) {
        place.copy_from_slice(&header);
    }
    Ok(())
}

/// The record that `bytes` begin with; `None` where there is none, or none that is whole.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let mut header = Reader(bytes);
    let length = usize::try_from(header.number32()?).ok()?;
    let sum = header.number32()?;
    let group = header.number64()?;
    let body = header.take(length)?;
    // A record is never empty: so zeros, whose sum could be right, are none.
    if length == 0 || checksum(group, body) != sum {
        return None;
    }
    let mut rest = Reader(body);
    let mut effects = Vec::new();
    while !rest.0.is_empty() {
        let key = usize::from(rest.number16()?);
        let value = rest.number32()?;
        let key = rest.take(key)?.to_vec();
        let value = match value.checked_sub(1) {
            None => None,
            Some(length) => Some(IVec::from(rest.take(usize::try_from(length).ok()?)?)),
        };
        effects.push((key, value));
    }
    Some(Record { group, effects, length: HEADER.checked_add(length)? })
}

fn checksum(group: u64, body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&group.to_le_bytes());
    sum.update(body);
    sum.finalize()
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn number32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn number64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn effects() -> impl Strategy<Value = Vec<Effect>> {
        let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
        let value = proptest::option::of(bytes(80).prop_map(IVec::from));
        proptest::collection::vec((bytes(20), value), 1..8)
    }

    proptest! {
        #[test]
        fn a_group_is_read_back_as_it_was_written(group in any::<u64>(), effects in effects()) {
            let mut buffer = b"of before".to_vec();
            encode(&mut buffer, group, &effects).unwrap();
            let whole = buffer.len();
            buffer.extend_from_slice(&[0; 40]);
            let record = decode(&buffer).unwrap();
            prop_assert_eq!((record.group, record.length), (group, whole));
            prop_assert_eq!(record.effects, effects);
        }

        #[test]
        fn a_group_that_is_cut_off_or_has_another_bit_is_none(
            effects in effects(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
        ) {
            let mut buffer = Vec::new();
            encode(&mut buffer, 7, &effects).unwrap();
            let at = at.index(buffer.len());
            prop_assert!(decode(&buffer[..at]).is_none());
            buffer[at] ^= 1 << bit;
            prop_assert!(decode(&buffer).is_none());
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert!(decode(&[0; 64]).is_none());
        assert!(decode(&[]).is_none());
    }
}
