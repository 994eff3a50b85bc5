//! Names of folders as servers write them: modified UTF-7 (RFC 3501, section 5.1.3).

/// The alphabet of modified base64: a comma where base64 has a slash.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Whether a text can name a folder.
pub(crate) fn is_folder(name: &str) -> bool {
    (1..=200).contains(&name.len()) && !name.contains(char::is_control) && !name.contains(['*', '%'])
}

/// The name as it travels.
pub(crate) fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut wide: Vec<u16> = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            shifted(&mut out, &mut wide);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            wide.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
    }
    shifted(&mut out, &mut wide);
    out
}

/// Writes what was gathered of characters beyond ASCII, between `&` and `-`.
fn shifted(out: &mut String, wide: &mut Vec<u16>) {
    if wide.is_empty() {
        return;
    }
    out.push('&');
    let bytes: Vec<u8> = wide.drain(..).flat_map(u16::to_be_bytes).collect();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            let letter = usize::try_from(index).ok().and_then(|index| ALPHABET.get(index));
            out.push(char::from(letter.copied().unwrap_or(b'A')));
        }
    }
    out.push('-');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_standard_shows() {
        // RFC 3501, section 5.1.3.
        assert_eq!(encode("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(encode("INBOX"), "INBOX");
        assert_eq!(encode("R&D"), "R&-D");
        assert_eq!(encode("Entwürfe"), "Entw&APw-rfe");
        assert_eq!(encode("😀"), "&2D3eAA-");
    }
}
