//! Looking into what is packed: whether bytes mention a customer, also inside of ZIP archives (and the office documents that
//! are some), gzip, UTF-16 and the encodings of mail. What cannot be looked into is told.
//!
//! What is packed comes from strangers and may unpack to anything: bytes, members and depth are bounded for all of one
//! artifact together, and beyond the bound it counts as not looked into.

use std::io::{Cursor, Read};

use super::subject::Subject;

/// The most bytes that everything inside of one artifact may unpack to.
const MAX_BYTES: u64 = 64 << 20;
/// The most members of archives in one artifact.
const MAX_MEMBERS: usize = 5_000;
/// How deep archives may stand in one another.
const MAX_DEPTH: u8 = 3;

/// What a look into bytes found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Whether they mention the subject.
    pub mentions: bool,
    /// Why not everything in them was looked into.
    pub closed: Option<&'static str>,
}

/// Looks into bytes that somebody stored. `is_mail` when they are a message (RFC 5322).
pub(super) fn look(subject: &Subject, bytes: &[u8], is_mail: bool) -> Looked {
    let mut look = Look { subject, left: MAX_BYTES, members: MAX_MEMBERS, closed: None };
    let mentions = look.bytes(bytes, is_mail, 0);
    Looked { mentions, closed: look.closed.filter(|_| !mentions) }
}

struct Look<'s> {
    subject: &'s Subject,
    left: u64,
    members: usize,
    closed: Option<&'static str>,
}

impl Look<'_> {
    fn bytes(&mut self, bytes: &[u8], is_mail: bool, depth: u8) -> bool {
        if self.subject.is_in_bytes(bytes) {
            return true;
        }
        if is_mail && self.mail(bytes, depth) {
            return true;
        }
        match kind(bytes) {
            Kind::Plain => false,
            Kind::Wide(text) => !self.subject.has_path() && self.subject.is_in_text(&text),
            Kind::Closed(why) => self.cannot(why),
            _ if depth >= MAX_DEPTH => self.cannot("it is packed too often"),
            Kind::Gzip => match self.unpack(flate2::read::MultiGzDecoder::new(bytes)) {
                Some(inside) => self.bytes(&inside, false, depth + 1),
                None => false,
            },
            Kind::Zip => self.zip(bytes, depth),
        }
    }

    fn cannot(&mut self, why: &'static str) -> bool {
        self.closed.get_or_insert(why);
        false
    }

    /// Everything that comes out, within what is left; `None` when it is too much or damaged.
    fn unpack(&mut self, packed: impl Read) -> Option<Vec<u8>> {
        let mut inside = Vec::new();
        match packed.take(self.left.saturating_add(1)).read_to_end(&mut inside) {
            Ok(read) if read as u64 <= self.left => {
                self.left -= read as u64;
                Some(inside)
            }
            Ok(_) => {
                self.cannot("it unpacks to too much");
                None
            }
            Err(_) => {
                self.cannot("it is packed, and cannot be unpacked");
                None
            }
        }
    }

    fn zip(&mut self, bytes: &[u8], depth: u8) -> bool {
        let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(bytes)) else {
            return self.cannot("it is packed, and cannot be unpacked");
        };
        for index in 0..archive.len() {
            if self.members == 0 {
                return self.cannot("it holds too many files");
            }
            self.members -= 1;
            let Ok(member) = archive.by_index(index) else {
                self.cannot("it is packed, and cannot be unpacked (a password, or an unusual method)");
                continue;
            };
            let name = member.name().unwrap_or_default().into_owned();
            if self.subject.is_in_name(&name) {
                return true;
            }
            let Some(inside) = self.unpack(member) else { continue };
            if self.bytes(&inside, false, depth + 1) {
                return true;
            }
            // Office documents part a word where its formatting changes.
            if name.ends_with(".xml") && !self.subject.has_path() {
                let text = without_tags(&String::from_utf8_lossy(&inside));
                if self.subject.is_in_text(&text) {
                    return true;
                }
            }
        }
        false
    }

    /// The text of a mail with quoted-printable line ends taken out and encoded octets and Base64 lines decoded (RFC 2045,
    /// sections 6.7 and 6.8), whatever part they stand in: to find a text, structure does not matter.
    fn mail(&mut self, mail: &[u8], depth: u8) -> bool {
        if self.subject.has_path() {
            return false;
        }
        let Ok(text) = std::str::from_utf8(mail) else { return false };
        if self.subject.is_in_text(&quoted_printable(text)) {
            return true;
        }
        let mut block = String::new();
        for line in text.lines().chain(std::iter::once("")) {
            let is_base64 = line.len() >= 4
                && line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
            if is_base64 {
                block.push_str(line);
            } else if !block.is_empty() {
                use base64::Engine as _;
                let decoded = base64::engine::general_purpose::STANDARD.decode(std::mem::take(&mut block));
                if decoded.is_ok_and(|inside| self.bytes(&inside, false, depth)) {
                    return true;
                }
            }
        }
        false
    }
}

fn quoted_printable(text: &str) -> String {
    let joined = text.replace("=\r\n", "").replace("=\n", "");
    let mut plain = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octet = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let octet = octet.filter(|_| *first == b'=').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        plain.push(octet.unwrap_or(*first));
        rest = after.get(if octet.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The text between the tags of XML; the end of a paragraph or a cell stays an end.
fn without_tags(xml: &str) -> String {
    let mut text = String::with_capacity(xml.len() / 2);
    for part in xml.split('<') {
        match part.split_once('>') {
            Some((tag, after)) => {
                let ends = ["/w:p", "/a:p", "/si", "/c", "/text:p", "w:br", "w:tab"];
                let tag = tag.trim_end_matches('/').split_whitespace().next().unwrap_or_default();
                if ends.contains(&tag) {
                    text.push('\n');
                }
                text.push_str(after);
            }
            None => text.push_str(part),
        }
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// What bytes are, by how they begin.
enum Kind {
    Plain,
    /// Text in UTF-16.
    Wide(String),
    Gzip,
    Zip,
    /// Something that only other programs look into.
    Closed(&'static str),
}

fn kind(bytes: &[u8]) -> Kind {
    let closed: [(&[u8], &str); 8] = [
        (b"%PDF-", "the text of a PDF is not read"),
        (b"7z\xbc\xaf\x27\x1c", "7z archives are not opened"),
        (b"Rar!\x1a\x07", "RAR archives are not opened"),
        (b"\xfd7zXZ\0", "xz is not unpacked"),
        (b"\x28\xb5\x2f\xfd", "zstd is not unpacked"),
        (b"BZh", "bzip2 is not unpacked"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old office documents and their like are not read"),
        (b"SQLite format 3\0", "databases are not read"),
    ];
    if bytes.starts_with(b"\x1f\x8b") {
        return Kind::Gzip;
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Kind::Zip;
    }
    if let Some((_, why)) = closed.into_iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Kind::Closed(why);
    }
    let units = |of: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes.get(2..).unwrap_or_default().as_chunks().0.iter().map(|pair| of(*pair)).collect()
    };
    match bytes.get(..2) {
        Some([0xff, 0xfe]) => Kind::Wide(String::from_utf16_lossy(&units(u16::from_le_bytes))),
        Some([0xfe, 0xff]) => Kind::Wide(String::from_utf16_lossy(&units(u16::from_be_bytes))),
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn subject() -> Subject {
        Subject::new("zoë@example.com", None).unwrap()
    }

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            let options =
                zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn found(bytes: &[u8]) -> bool {
        let looked = look(&subject(), bytes, false);
        assert_eq!(looked.closed, None);
        looked.mentions
    }

    #[test]
    fn mails_are_looked_into_through_their_encodings() {
        use base64::Engine as _;
        let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let mail = |bytes: &[u8]| look(&subject(), bytes, true);
        let quoted = b"Subject: x\r\n\r\nwrite to zo=C3=AB@exam=\r\nple.com now\r\n";
        assert!(mail(quoted).mentions);
        let body = encoded("Liebe zoë@example.com, \u{1f600} and more text".as_bytes());
        let (one, two) = body.split_at(24);
        assert!(mail(format!("A: b\r\n\r\n{one}\r\n{two}\r\n\r\n--x").as_bytes()).mentions);
        assert_eq!(mail(b"Subject: x\r\n\r\nnobody =\r\n"), Looked::default());
        let attached = encoded(&zipped(&[("a.txt", "zoë@example.com".as_bytes())]));
        assert!(mail(format!("A: b\r\n\r\n{attached}\r\n").as_bytes()).mentions, "an attached archive");
        let attached = encoded(b"%PDF-1.7 ...");
        assert_eq!(
            mail(format!("A: b\r\n\r\n{attached}\r\n").as_bytes()).closed,
            Some("the text of a PDF is not read")
        );
    }

    #[test]
    fn archives_and_office_documents_are_looked_into_and_other_people_are_not_found() {
        let text = "Dear Zoë@Example.com,".as_bytes();
        let other = "Dear chloë@example.com,".as_bytes();
        assert!(found(&zipped(&[("one", b"nothing"), ("two", text)])) && !found(&zipped(&[("one", other)])));
        assert!(found(&zipped(&[("letters/zoë@example.com.txt", b"")])), "a name");
        assert!(found(&gzipped(text)) && !found(&gzipped(other)));
        assert!(found(&gzipped(&zipped(&[("inner.zip", &zipped(&[("deep", text)]))]))), "in one another");
        let word = "<w:p><w:r><w:t>zoë@exam</w:t></w:r><w:r><w:rPr/><w:t>ple.com</w:t></w:r></w:p>";
        assert!(found(&zipped(&[("word/document.xml", word.as_bytes())])), "parted by its formatting");
        let apart = "<w:p><w:t>zoë@exam</w:t></w:p><w:p><w:t>ple.com</w:t></w:p>";
        assert!(!found(&zipped(&[("word/document.xml", apart.as_bytes())])));
        let mut wide = vec![0xff, 0xfe];
        wide.extend("to zoë@example.com".encode_utf16().flat_map(u16::to_le_bytes));
        assert!(found(&wide));
    }

    #[test]
    fn what_cannot_be_looked_into_says_why_and_costs_no_more_than_its_bound() {
        let closed = |bytes: &[u8]| {
            let looked = look(&subject(), bytes, false);
            assert!(!looked.mentions);
            looked.closed
        };
        assert_eq!(closed(b"%PDF-1.4\nstream"), Some("the text of a PDF is not read"));
        assert!(closed(b"PK\x03\x04 and nothing").is_some());
        let mut cut = gzipped(&vec![b'x'; 100_000]);
        cut.truncate(60);
        assert!(closed(&cut).is_some(), "damaged");
        let bomb = gzipped(&vec![0; usize::try_from(MAX_BYTES).unwrap() + 1]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(closed(&bomb), Some("it unpacks to too much"));
        let half = vec![0; usize::try_from(MAX_BYTES).unwrap() / 2 + 1];
        assert_eq!(
            closed(&zipped(&[("a", &half), ("b", &half)])),
            Some("it unpacks to too much"),
            "together"
        );
        let deep = (0..5).fold(b"end".to_vec(), |inside, _| gzipped(&inside));
        assert_eq!(closed(&deep), Some("it is packed too often"));
        let many: Vec<(String, &[u8])> = (0..=MAX_MEMBERS).map(|n| (n.to_string(), &b""[..])).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|(name, content)| (name.as_str(), *content)).collect();
        assert_eq!(closed(&zipped(&many)), Some("it holds too many files"));
        // One that mentions the customer is erased as a whole: nothing is left to be told.
        let both = zipped(&[("a.pdf", b"%PDF-1.4"), ("b", "zoë@example.com".as_bytes())]);
        assert_eq!(look(&subject(), &both, false), Looked { mentions: true, closed: None });
    }
}
