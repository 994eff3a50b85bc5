//! The sentences in which a customer asks for something. In a long story they say what the message is about; the rest
//! says how it came to that.

/// What makes a sentence a request, folded; see `phrases` for why Chinese needs no word edges.
const ENGLISH: &[&str] = &[
    "please",
    "pls",
    "plz",
    "kindly",
    "can you",
    "could you",
    "can i",
    "could i",
    "can we",
    "could we",
    "may i",
    "would you",
    "will you",
    "i want",
    "i wanted",
    "we want",
    "want my",
    "i would like",
    "id like",
    "we would like",
    "wed like",
    "i need",
    "we need",
    "how do i",
    "how can i",
    "how to",
    "where is",
    "wheres",
    "when will",
    "is it possible",
    "is there",
    "are there",
    "do you",
    "what is",
    "whats",
    "which",
    "wants",
    "asks",
    "asking",
    "requests",
    "request",
    "demands",
    "let me know",
    "looking for",
    "wondering",
    "hoping",
    "i expect",
    "just to say",
    "writing to",
    "tell me",
    "help me",
];
const CHINESE: &[&str] = &[
    "请",
    "麻烦",
    "希望",
    "要求",
    "能不能",
    "能否",
    "可否",
    "可以",
    "帮我",
    "帮忙",
    "怎么",
    "如何",
    "什么时候",
    "几时",
    "吗",
    "呢",
    "我要",
    "我想",
    "想要",
    "给我",
    "想问",
    "想把",
    "想咨询",
    "求",
];

/// The sentences of a folded text that ask for something, a line each; the first line (the subject) always when
/// `has_subject`.
#[must_use]
pub fn requests(folded: &str, has_subject: bool) -> String {
    let mut out = String::new();
    let mut sentences = folded.split_inclusive(['.', '!', '?', '。', '\n', ';']);
    if has_subject && let Some(end) = folded.find('\n') {
        out.push_str(folded.get(..=end).unwrap_or(""));
        sentences = folded.get(end + 1..).unwrap_or("").split_inclusive(['.', '!', '?', '。', '\n', ';']);
    }
    for sentence in sentences {
        if asks(sentence) {
            out.push_str(sentence.trim());
            out.push('\n');
        }
    }
    out
}

fn asks(sentence: &str) -> bool {
    if sentence.ends_with('?') || CHINESE.iter().any(|mark| sentence.contains(mark)) {
        return true;
    }
    ENGLISH.iter().any(|mark| {
        sentence.match_indices(mark).any(|(at, _)| {
            let before = sentence.get(..at).and_then(|head| head.chars().next_back());
            let after = sentence.get(at + mark.len()..).and_then(|tail| tail.chars().next());
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_in_a_story() {
        let story = "broken lamp\nwe bought it in may. it broke. please send a new one. bye.\n";
        assert_eq!(requests(story, true), "broken lamp\nplease send a new one.\n");
        assert_eq!(requests("灯坏了。能不能换一个?谢谢。", false), "能不能换一个?\n");
        assert_eq!(requests("pleased with it. thanks.", false), "");
    }
}
