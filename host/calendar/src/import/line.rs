//! The lines of an iCalendar file: unfolded, with name, parameters and value (RFC 5545, section 3.1), and the number of
//! the line where each begins.

use super::WrongFile;

/// The longest unfolded line, in bytes.
const MAX_LINE: usize = 64 << 10;
/// The most parameters of a property.
const MAX_PARAMETERS: usize = 32;

/// A content line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins, from 1.
    pub number: usize,
    /// The property's name, in capitals.
    pub name: String,
    /// The parameters: names in capitals, values as they are written, without quotes.
    parameters: Vec<(String, String)>,
    /// The value, as it is written.
    pub value: String,
}

impl Line {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// The content lines of a text, in order, up to the first that is none.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Line, WrongFile>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut physical =
        text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate().peekable();
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        // Empty lines are no part of the format, but programs leave them.
        let (index, first) = physical.find(|(_, line)| !line.trim().is_empty())?;
        let number = index + 1;
        let mut whole = first.to_owned();
        while let Some((_, more)) = physical.next_if(|(_, line)| line.starts_with([' ', '\t'])) {
            if whole.len() + more.len() > MAX_LINE {
                break;
            }
            whole.push_str(more.get(1..).unwrap_or_default());
        }
        let line = if whole.len() > MAX_LINE {
            Err(WrongFile::new(number, "this line is too long", "this is no file of holidays"))
        } else {
            read(number, &whole).ok_or_else(|| {
                let message = format!("{} is no line of an iCalendar file", short(&whole));
                WrongFile::new(
                    number,
                    message,
                    "a line is a name, a colon and a value; longer ones go on after a space",
                )
            })
        };
        failed = line.is_err();
        Some(line)
    })
}

fn read(number: usize, text: &str) -> Option<Line> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let end = text.find([':', ';'])?;
    let (name, mut rest) = (text.get(..end)?, text.get(end..)?);
    if !is_name(name) {
        return None;
    }
    let mut parameters = Vec::new();
    while let Some(more) = rest.strip_prefix(';') {
        let (name, after) = more.split_once('=')?;
        if !is_name(name) || parameters.len() >= MAX_PARAMETERS {
            return None;
        }
        let (value, after) = parameter_value(after)?;
        parameters.push((name.to_ascii_uppercase(), value));
        rest = after;
    }
    let value = rest.strip_prefix(':')?.to_owned();
    if value.contains(|c: char| c.is_control() && c != '\t') {
        return None;
    }
    Some(Line { number, name: name.to_ascii_uppercase(), parameters, value })
}

/// The value of a parameter up to the next `;` or `:` that does not stand in quotes, and the rest.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' | ':' if !quoted => {
                let value = text.get(..at)?.replace('"', "");
                return Some((value, text.get(at..)?));
            }
            _ => {}
        }
    }
    None
}

/// A piece of the file in a message.
pub(super) fn short(text: &str) -> String {
    let cut: String = text.chars().take(40).map(|c| if c.is_control() { '·' } else { c }).collect();
    format!("\"{cut}{}\"", if text.chars().count() > 40 { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_unfolded_and_numbered() {
        let text = "\u{feff}BEGIN:VCALENDAR\r\nSUMMARY;LANGUAGE=de;X=\"a;b:c\":Tag der\r\n  Ein\r\n\theit\r\n\r\nEND:VCALENDAR\n";
        let lines: Result<Vec<Line>, _> = lines(text).collect();
        let lines = lines.unwrap();
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 6]);
        assert_eq!((lines[1].name.as_str(), lines[1].value.as_str()), ("SUMMARY", "Tag der Einheit"));
        assert_eq!((lines[1].parameter("LANGUAGE"), lines[1].parameter("X")), (Some("de"), Some("a;b:c")));
    }

    #[test]
    fn what_is_no_line_is_told_with_its_number() {
        for (text, number) in [
            ("A:1\nnonsense", 2),
            ("A:1\n\n:x", 3),
            ("A;B:1", 1),
            ("A;B=\"x:1", 1),
            ("A B:1", 1),
            ("A:1\u{0}", 1),
            (" A:1", 1),
        ] {
            let error = lines(text).find_map(Result::err).unwrap_or_else(|| panic!("{text:?}"));
            assert_eq!(error.line, number, "{text:?}: {error}");
        }
        let long = format!("A:{}", "x".repeat(MAX_LINE));
        assert!(lines(&long).next().unwrap().is_err());
        let folded = format!("A:1\n{}", " x\n".repeat(MAX_LINE));
        assert!(lines(&folded).any(|line| line.is_err()));
    }
}
