//! One secret's row: its values, sealed under its own data key and bound to its name and revision.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    MAX_NAME_BYTES, MAX_VALUE_BYTES, MAX_VERSIONS, SecretError,
    codec::{Reader, Writer},
    error::shown,
    seal::{self, Key},
};

const FORMAT: u8 = 1;
const DOMAIN: &[u8] = b"factotum-secrets/secret/1\n";
/// The plain text is padded to whole blocks of this many bytes.
const BLOCK: usize = 256;
/// Rows begin with this in the store's table.
pub(crate) const ROWS: &[u8] = b"s/";

/// A value and its number; numbers grow with each value that is set.
pub(crate) type Numbered = (u32, SecretString);

/// The store's key of a secret's row.
pub(crate) fn row_key(name: &str) -> Vec<u8> {
    [ROWS, name.as_bytes()].concat()
}

/// Refuses what cannot be a name.
pub(crate) fn check_name(name: &str) -> Result<(), SecretError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && name.len() <= MAX_NAME_BYTES && name.chars().all(plain) {
        return Ok(());
    }
    Err(SecretError::Name { name: shown(name) })
}

/// Refuses what cannot be a value.
pub(crate) fn check_value(name: &str, value: &SecretString) -> Result<(), SecretError> {
    let problem = match value.expose_secret() {
        "" => "empty",
        text if text.len() > MAX_VALUE_BYTES => "too long",
        _ => return Ok(()),
    };
    Err(SecretError::Value { name: name.to_owned(), problem })
}

fn associated(name: &str, revision: u64) -> Vec<u8> {
    // The revision has a fixed length and the name is the rest, so no two pairs give the same bytes.
    [DOMAIN, &revision.to_be_bytes(), name.as_bytes()].concat()
}

/// The row that holds `values`.
pub(crate) fn seal_row(key: &Key, name: &str, revision: u64, values: &[Numbered]) -> Option<Vec<u8>> {
    let room: usize = values.iter().map(|(_, value)| value.expose_secret().len().saturating_add(8)).sum();
    let mut plain = Writer::with_room(room.saturating_add(4).next_multiple_of(BLOCK));
    plain.u32(u32::try_from(values.len()).ok()?);
    for (number, value) in values {
        plain.u32(*number);
        plain.sized(value.expose_secret().as_bytes());
    }
    plain.pad(BLOCK);
    let sealed = seal::seal(key, &associated(name, revision), &plain.finish())?;
    Some([&[FORMAT][..], &sealed].concat())
}

/// The values of the row that are `wanted`, in the row's order; `None` when it is not the row that was written for
/// this name and revision.
pub(crate) fn open_row(
    key: &Key,
    name: &str,
    revision: u64,
    row: &[u8],
    wanted: impl Fn(u32) -> bool,
) -> Option<Vec<Numbered>> {
    let sealed = row.strip_prefix(&[FORMAT])?;
    let plain = seal::open(key, &associated(name, revision), sealed)?;
    let mut reader = Reader(&plain);
    let count = usize::try_from(reader.u32()?).ok()?;
    if count > MAX_VERSIONS {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let number = reader.u32()?;
        let text = reader.text()?;
        if wanted(number) {
            values.push((number, SecretString::from(text)));
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_opens_for_its_own_name_and_revision_only() {
        let key = Key::random();
        let values = [(3, SecretString::from("old")), (4, SecretString::from("new"))];
        let row = seal_row(&key, "crm", 9, &values).unwrap();
        let texts = |values: Vec<Numbered>| -> Vec<String> {
            values.iter().map(|(n, v)| format!("{n}{}", v.expose_secret())).collect()
        };
        assert_eq!(texts(open_row(&key, "crm", 9, &row, |_| true).unwrap()), ["3old", "4new"]);
        assert_eq!(texts(open_row(&key, "crm", 9, &row, |n| n == 4).unwrap()), ["4new"]);
        assert!(open_row(&key, "crn", 9, &row, |_| true).is_none());
        assert!(open_row(&key, "crm", 8, &row, |_| true).is_none());
        for cut in 0..row.len() {
            assert!(open_row(&key, "crm", 9, &row[..cut], |_| true).is_none());
        }
    }

    #[test]
    fn lengths_do_not_show() {
        let length = |text: &str| seal_row(&Key::random(), "a", 1, &[(1, text.into())]).unwrap().len();
        assert_eq!(length("x"), length(&"x".repeat(200)));
        assert_eq!(length(&"x".repeat(300)), length(&"x".repeat(400)));
    }

    #[test]
    fn names_and_values_are_bounded() {
        for good in ["a", "crm-key", "0x", "A.b_c", &"n".repeat(64)] {
            check_name(good).unwrap();
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "键", "a\n", &"n".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        check_value("a", &"x".repeat(MAX_VALUE_BYTES).into()).unwrap();
        assert!(check_value("a", &"x".repeat(MAX_VALUE_BYTES + 1).into()).is_err());
        assert!(check_value("a", &"".into()).is_err());
    }
}
