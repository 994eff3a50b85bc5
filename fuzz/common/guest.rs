//! Real components, with their sections moved, dropped, doubled and changed.

use std::{path::PathBuf, sync::LazyLock};

use arbitrary::{Arbitrary, Result, Unstructured};

/// Larger ones take the fuzzer's time: each that stays sound is compiled.
const MAX_BYTES: u64 = 256 << 10;
/// The two words that a component begins with.
const HEADER: usize = 8;
/// Sections that hold whole modules and components. A changed one is no news: the engine's makers fuzz those.
const NESTED: [u8; 2] = [1, 4];

/// The components in the folder that the environment names, in the order of their names.
static GUESTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = std::env::var_os("FACTOTUM_GUEST_DIR").map(PathBuf::from);
    let files = folder.and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = files
        .filter(|file| file.metadata().is_ok_and(|data| data.len() <= MAX_BYTES))
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
});

/// A guest with some changes; `None` when there is no guest.
pub fn changed(data: &[u8]) -> Option<Vec<u8>> {
    let mut u = Unstructured::new(data);
    let guest = u.choose(GUESTS.as_slice()).ok()?;
    let (header, rest) = guest.split_at_checked(HEADER)?;
    let mut sections = sections(rest)?;
    // What was changed until the bytes were used up is a component too.
    let _ = change(&mut sections, &mut u);
    let mut bytes = header.to_vec();
    for (id, body) in sections {
        bytes.push(id);
        leb128(&mut bytes, body.len());
        bytes.extend(body);
    }
    Some(bytes)
}

fn change(sections: &mut Vec<(u8, Vec<u8>)>, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=4_u8)? {
        let at = u.choose_index(sections.len())?;
        match u.int_in_range(0..=7_u8)? {
            0 => drop(sections.remove(at)),
            1 => sections.insert(at, sections[at].clone()),
            2 => {
                let other = u.choose_index(sections.len())?;
                sections.swap(at, other);
            }
            _ if NESTED.contains(&sections[at].0) => {}
            3 => sections[at].1.truncate(u16::arbitrary(u)?.into()),
            _ => {
                let body = &mut sections[at].1;
                let place = u.choose_index(body.len())?;
                body[place] = u.arbitrary()?;
            }
        }
    }
    Ok(())
}

/// The sections of a component: an identifier, a length, a body (component model, "Binary Format").
fn sections(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut sections = Vec::new();
    while let Some((id, mut rest)) = bytes.split_first() {
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let (byte, more) = rest.split_first()?;
            length |= usize::from(byte & 0x7f).checked_shl(shift)?;
            (rest, shift) = (more, shift + 7);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (body, more) = rest.split_at_checked(length)?;
        sections.push((*id, body.to_vec()));
        bytes = more;
    }
    Some(sections)
}

fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
