//! Cuts a folded text into tokens: words, numbers, Chinese characters and marks. Mail addresses and links are left out:
//! they say nothing about what a customer wants.

use crate::fold::is_han;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word of letters.
    Word,
    /// Anything with a digit in it: a number, a date, a price, an order number.
    Number,
    /// One Chinese character.
    Han,
    /// Punctuation or an emoji, one character.
    Mark,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// The byte where it starts.
    pub start: usize,
    /// The byte after its end.
    pub end: usize,
}

/// The tokens of a folded text, in order.
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Moves past the characters that fulfil a condition.
    fn skip_while(&mut self, holds: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !holds(c)).unwrap_or(rest.len());
    }
}

/// A character of a Latin, Greek, Cyrillic, kana … word.
pub(crate) fn in_word(c: char) -> bool {
    c.is_alphanumeric() && !is_han(c)
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            self.skip_while(char::is_whitespace);
            let start = self.at;
            let c = self.rest().chars().next()?;
            if is_han(c) || !c.is_alphanumeric() {
                self.at += c.len_utf8();
                let kind = if is_han(c) { Kind::Han } else { Kind::Mark };
                return Some(Token { kind, start, end: self.at });
            }
            self.skip_while(in_word);
            let word = self.text.get(start..self.at).unwrap_or("");
            let rest = self.rest();
            if (word.starts_with("http") && rest.starts_with("://"))
                || (word == "www" && rest.starts_with('.'))
            {
                self.skip_while(|c| !c.is_whitespace() && !is_han(c));
                continue;
            }
            // `jane.doe@example.com`: look past the local part's own marks for the at sign.
            let local = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-')))
                .unwrap_or(rest.len());
            if rest.get(local..).is_some_and(|at| at.starts_with('@')) {
                self.skip_while(|c| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '>' | ')'));
                continue;
            }
            let has_digit = word.chars().any(|c| c.is_ascii_digit());
            if has_digit {
                // The rest of `12.50`, `ord-12345-b`, `2026/03/01`.
                self.skip_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/' | ':'));
            }
            let kind = if has_digit { Kind::Number } else { Kind::Word };
            return Some(Token { kind, start, end: self.at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        Tokens::new(text).map(|t| &text[t.start..t.end]).collect()
    }

    #[test]
    fn tokens_of_both_languages() {
        assert_eq!(cut("where is my order? 我的货"), ["where", "is", "my", "order", "?", "我", "的", "货"]);
        assert_eq!(cut("paid $12.50 on 2026-03-01 ok"), ["paid", "$", "12.50", "on", "2026-03-01", "ok"]);
        assert_eq!(cut("mail jane.doe@example.com or https://a.example/b?c now"), ["mail", "or", "now"]);
        assert_eq!(cut("邮箱jane@example.com谢谢"), ["邮", "箱", "谢", "谢"]);
    }
}
