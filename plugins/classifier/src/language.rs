//! The main language of a text: English, Chinese, or undetermined (other languages, and texts too poor to tell).

use crate::labels::Language;
use crate::tokens::{Kind, Tokens};

/// Frequent English words, with those of a shop's desk; sorted for binary search.
#[rustfmt::skip]
const ENGLISH: &[&str] = &["a", "about", "account", "add", "address", "after", "again", "all", "already", "am", "an", "and", "another", "any", "anyone", "app", "are", "arrived", "as", "ask", "at", "bad", "be", "been", "before", "best", "but", "buy", "by", "call", "called", "can", "cancel", "cant", "change", "charged", "cheers", "code", "could", "customer", "day", "days", "delivery", "did", "didnt", "different", "discount", "do", "does", "doesnt", "dont", "email", "error", "everything", "exchange", "fix", "for", "forgot", "from", "get", "give", "got", "great", "had", "has", "hasnt", "have", "havent", "he", "hello", "help", "her", "here", "hey", "hi", "him", "his", "how", "i", "if", "im", "in", "invoice", "is", "isnt", "it", "item", "its", "ive", "just", "know", "last", "late", "like", "locked", "log", "login", "lost", "love", "make", "me", "missing", "money", "more", "my", "need", "never", "new", "next", "no", "not", "nothing", "now", "of", "ok", "on", "one", "only", "or", "order", "ordered", "our", "out", "package", "parcel", "password", "pay", "payment", "perfect", "please", "pls", "plz", "price", "product", "question", "receipt", "received", "refund", "return", "said", "says", "send", "sent", "service", "she", "shipping", "should", "size", "so", "some", "someone", "sorry", "still", "stop", "take", "test", "thank", "thanks", "that", "the", "their", "them", "then", "there", "they", "this", "thx", "time", "to", "tracking", "two", "ur", "urgent", "us", "use", "very", "waiting", "want", "was", "wasnt", "way", "we", "week", "weeks", "well", "what", "when", "where", "wheres", "which", "who", "why", "will", "with", "wont", "work", "working", "would", "wrong", "yes", "yesterday", "yet", "you", "your"];
/// Frequent words of other languages in Latin letters that are not English ones too; sorted for binary search.
#[rustfmt::skip]
const OTHERS: &[&str] = &["aber", "alguien", "auf", "avec", "avez", "bei", "bin", "bitte", "bonjour", "che", "como", "con", "dag", "danke", "dans", "das", "de", "del", "della", "den", "der", "des", "di", "die", "du", "een", "ein", "eine", "el", "em", "en", "est", "et", "für", "gracias", "grazie", "guten", "haben", "hallo", "het", "hola", "ich", "ik", "il", "ist", "je", "la", "las", "le", "les", "los", "mais", "mein", "merci", "mi", "mich", "mit", "mon", "nao", "nicht", "nie", "non", "não", "para", "pas", "pedido", "per", "por", "pour", "quand", "que", "qui", "quiero", "schon", "sehr", "si", "sie", "sono", "sur", "te", "um", "un", "una", "und", "une", "van", "vielen", "voor", "votre", "vous", "wie", "wir", "zu", "à", "è"];

/// The main language of a folded text; `english_phrases` is how many shipped English phrases were found in it.
#[must_use]
pub fn detect(folded: &str, english_phrases: usize) -> Language {
    let (mut han, mut words, mut english, mut others, mut foreign_script) =
        (0_usize, 0_usize, 0_usize, 0_usize, 0_usize);
    for token in Tokens::new(folded).take(2000) {
        let Some(word) = folded.get(token.start..token.end) else { continue };
        match token.kind {
            Kind::Han => han += 1,
            Kind::Word if word.chars().any(is_foreign) => foreign_script += word.chars().count(),
            Kind::Word => {
                words += 1;
                english += usize::from(ENGLISH.binary_search(&word).is_ok());
                others += usize::from(OTHERS.binary_search(&word).is_ok());
            }
            Kind::Number | Kind::Mark => {}
        }
    }
    // Kana, Hangul, Cyrillic, Arabic … in a weight of their own mean another language, kanji or not.
    if foreign_script * 4 > han + words && foreign_script >= 2 {
        return Language::Undetermined;
    }
    // A Chinese word has one to two characters; brands and codes in Latin letters stand in Chinese texts too.
    if han > 0 && han * 10 >= words * 12 {
        return Language::Chinese;
    }
    english += english_phrases.min(words);
    if others > english || english == 0 {
        return if han >= 2 && english == 0 && others == 0 {
            Language::Chinese
        } else {
            Language::Undetermined
        };
    }
    Language::English
}

/// A letter of a script that neither language uses.
const fn is_foreign(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{6ff}' | '\u{900}'..='\u{109f}' | '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(ENGLISH.is_sorted());
        assert!(OTHERS.is_sorted());
    }

    #[test]
    fn languages() {
        for (text, expected) in [
            ("where is my order", Language::English),
            ("refund pls", Language::English),
            ("我的快递到哪了", Language::Chinese),
            ("我的 iphone 坏了 order ord-123", Language::Chinese),
            ("please help me with 发票 for my order", Language::English),
            ("bonjour, je voudrais savoir si vous avez", Language::Undetermined),
            ("wo ist die bestellung? ich warte schon", Language::Undetermined),
            ("荷物が届きません", Language::Undetermined),
            ("где мой заказ", Language::Undetermined),
            ("asdf qwer", Language::Undetermined),
            ("??? 👍 12345", Language::Undetermined),
            ("", Language::Undetermined),
        ] {
            assert_eq!(detect(text, 0), expected, "{text}");
        }
    }
}
