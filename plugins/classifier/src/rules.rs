//! The administrator's own rules, from the configuration key `rules`: TOML, or JSON of the same shape.
//!
//! ```toml
//! [[rules]]
//! name = "warranty claim"            # shown among the reasons
//! phrases = ["warranty", "保修"]      # any of these; see `phrases` for `*` and `~`
//! category = "technical"             # adds `weight` to the category's score
//! weight = 3.0                       # 0.1 to 20, default 3
//! priority = "high"                  # the most urgent of all rules that match is the result
//! sentiment = "negative"             # the last rule that matches is the result
//!
//! [[rules]]
//! name = "our second shop"
//! pattern = 'WEB-\d{8}'              # a regular expression, instead of or beside phrases
//! field = "order_number"             # what it matches is an order number
//! ```

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::fields::Fields;
use crate::fold;
use crate::labels::{Category, Priority, Sentiment};
use crate::normalise::Prepared;
use crate::phrases::Book;

/// The most bytes of rules.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most rules.
pub const MAX_RULES: usize = 200;
/// The most patterns: each is compiled in each call.
pub const MAX_PATTERNS: usize = 32;
const MAX_PHRASES: usize = 1000;
const MAX_PHRASE: usize = 200;
const MAX_PATTERN: usize = 300;
/// How many bytes of a message patterns are tried on.
const PATTERN_BYTES: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    rules: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    phrases: Vec<String>,
    pattern: Option<String>,
    category: Option<Category>,
    weight: Option<f32>,
    priority: Option<Priority>,
    sentiment: Option<Sentiment>,
    field: Option<Field>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Field {
    OrderNumber,
}

/// One rule, checked.
struct Rule {
    name: String,
    phrases: Vec<String>,
    pattern: Option<Regex>,
    category: Option<Category>,
    weight: f32,
    priority: Option<Priority>,
    sentiment: Option<Sentiment>,
    field: Option<Field>,
}

/// Checked rules.
#[derive(Default)]
pub struct Rules(Vec<Rule>);

/// Rules that cannot be used: which one, why, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError(pub String);

/// What the rules say of one message.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is added to the category scores.
    pub categories: [f32; Category::ALL.len()],
    /// The priority, when a rule sets it.
    pub priority: Option<Priority>,
    /// The mood, when a rule sets it.
    pub sentiment: Option<Sentiment>,
    /// The rules that matched: name, and what they bear on.
    pub matched: Vec<(String, &'static str)>,
}

impl Rules {
    /// Reads and checks rules. An empty text is no rules.
    ///
    /// # Errors
    /// When the text is too large, neither TOML nor JSON of the documented shape, or a rule is out of bounds.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_BYTES {
            return Err(RuleError(format!("{} bytes; at most {MAX_BYTES}", text.len())));
        }
        let document: Document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| RuleError(format!("not the JSON expected: {e}")))?
        } else {
            toml::from_str(text)
                .map_err(|e| RuleError(format!("not the TOML expected: {}", e.to_string().trim())))?
        };
        if document.rules.len() > MAX_RULES {
            return Err(RuleError(format!("{} rules; at most {MAX_RULES}", document.rules.len())));
        }
        let patterns = document.rules.iter().filter(|r| r.pattern.is_some()).count();
        if patterns > MAX_PATTERNS {
            return Err(RuleError(format!(
                "{patterns} patterns; at most {MAX_PATTERNS}, use phrases for the others"
            )));
        }
        let phrases: usize = document.rules.iter().map(|r| r.phrases.len()).sum();
        if phrases > MAX_PHRASES {
            return Err(RuleError(format!("{phrases} phrases; at most {MAX_PHRASES}")));
        }
        document
            .rules
            .into_iter()
            .enumerate()
            .map(|(i, rule)| check(i + 1, rule))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Applies the rules to a message; order numbers they find are added to `fields`.
    #[must_use]
    pub fn apply(&self, message: &Prepared, fields: &mut Fields) -> Verdict {
        let mut verdict = Verdict::default();
        if self.0.is_empty() {
            return verdict;
        }
        let owners: Vec<usize> =
            self.0.iter().enumerate().flat_map(|(i, rule)| rule.phrases.iter().map(move |_| i)).collect();
        let book = Book::new(self.0.iter().flat_map(|rule| rule.phrases.iter().map(String::as_str)));
        let mut hit = vec![false; self.0.len()];
        for found in book.find_all(&message.folded) {
            if let Some(rule) = owners.get(found.phrase).and_then(|owner| hit.get_mut(*owner)) {
                *rule = true;
            }
        }
        let own = message.own.get(..message.own.floor_char_boundary(PATTERN_BYTES)).unwrap_or("");
        for (rule, mut hit) in self.0.iter().zip(hit) {
            if let Some(pattern) = &rule.pattern {
                if let Some(Field::OrderNumber) = rule.field {
                    for found in pattern.find_iter(own).take(crate::fields::order::MAX) {
                        hit = true;
                        let order = found.as_str().to_owned();
                        if !order.is_empty()
                            && !fields.orders.contains(&order)
                            && fields.orders.len() < crate::fields::order::MAX
                        {
                            fields.orders.push(order);
                        }
                    }
                } else {
                    hit |= pattern.is_match(own);
                }
            }
            if hit {
                rule.speak(&mut verdict);
            }
        }
        verdict
    }
}

impl Rule {
    fn speak(&self, verdict: &mut Verdict) {
        let mut note = |target: &'static str| verdict.matched.push((self.name.clone(), target));
        if let Some(category) = self.category {
            note("category");
            if let Some(score) = verdict.categories.get_mut(category.index()) {
                *score += self.weight;
            }
        }
        if let Some(priority) = self.priority {
            note("priority");
            verdict.priority = Some(verdict.priority.map_or(priority, |other| other.min(priority)));
        }
        if let Some(sentiment) = self.sentiment {
            note("sentiment");
            verdict.sentiment = Some(sentiment);
        }
    }
}

fn check(number: usize, rule: Written) -> Result<Rule, RuleError> {
    let fail = |why: &str| {
        Err(RuleError(format!("rule {number} ({:?}): {why}", rule.name.chars().take(60).collect::<String>())))
    };
    if rule.name.trim().is_empty() || rule.name.len() > 200 {
        return fail("its name must have 1 to 200 bytes");
    }
    if rule.phrases.is_empty() && rule.pattern.is_none() {
        return fail("it can never match; give it phrases or a pattern");
    }
    if rule.category.is_none() && rule.priority.is_none() && rule.sentiment.is_none() && rule.field.is_none()
    {
        return fail("it has no effect; give it a category, priority, sentiment or field");
    }
    if rule.field.is_some() && rule.pattern.is_none() {
        return fail("a field needs a pattern that finds it");
    }
    let weight = rule.weight.unwrap_or(3.0);
    if !(0.1..=20.0).contains(&weight) {
        return fail("its weight must be from 0.1 to 20");
    }
    let phrases: Vec<String> = rule.phrases.iter().map(|p| fold::fold(p.trim())).collect();
    if phrases.iter().any(|p| p.is_empty() || p.len() > MAX_PHRASE || p.starts_with(['*', '~'])) {
        return fail("each phrase must have 1 to 200 bytes and start with a word");
    }
    let pattern = match rule.pattern.as_deref() {
        None => None,
        Some(pattern) if pattern.len() > MAX_PATTERN => return fail("its pattern has more than 300 bytes"),
        Some(pattern) => match RegexBuilder::new(pattern).size_limit(64 * 1024).nest_limit(20).build() {
            Ok(regex) => Some(regex),
            Err(e) => return fail(&format!("its pattern is no regular expression: {e}")),
        },
    };
    Ok(Rule {
        name: rule.name,
        phrases,
        pattern,
        category: rule.category,
        weight,
        priority: rule.priority,
        sentiment: rule.sentiment,
        field: rule.field,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(rules: &str, text: &str) -> (Verdict, Fields) {
        let mut fields = Fields::default();
        let verdict = Rules::parse(rules).unwrap().apply(&Prepared::new(None, text), &mut fields);
        (verdict, fields)
    }

    #[test]
    fn phrases_and_patterns_match() {
        let rules = "[[rules]]\nname='warranty'\nphrases=['Warranty','保修']\ncategory='technical'\npriority='high'\n\
            [[rules]]\nname='web shop'\npattern='WEB-\\d{8}'\nfield='order_number'\nsentiment='neutral'\n";
        let (verdict, fields) = apply(rules, "My WARRANTY for WEB-12345678");
        assert!((verdict.categories[Category::Technical.index()] - 3.0).abs() < 1e-6);
        assert_eq!(verdict.priority, Some(Priority::High));
        assert_eq!(fields.orders, ["WEB-12345678"]);
        assert_eq!(apply(rules, "还在保修吗").0.priority, Some(Priority::High));
        assert!(apply(rules, "something else").0.matched.is_empty());
    }

    #[test]
    fn json_is_read_too() {
        let (verdict, _) =
            apply(r#"{"rules":[{"name":"vip","phrases":["vip"],"priority":"urgent"}]}"#, "I am a VIP");
        assert_eq!(verdict.priority, Some(Priority::Urgent));
        assert!(Rules::parse("").is_ok());
    }

    #[test]
    fn bad_rules_say_what_is_wrong() {
        let long = "x".repeat(MAX_BYTES + 1);
        for (rules, expected) in [
            ("[[rules]]\nname='a'\n", "never match"),
            ("[[rules]]\nname='a'\nphrases=['x']\n", "no effect"),
            ("[[rules]]\nname=''\nphrases=['x']\npriority='low'\n", "name"),
            ("[[rules]]\nname='a'\npattern='('\npriority='low'\n", "regular expression"),
            ("[[rules]]\nname='a'\nphrases=['x']\ncategory='refunds'\n", "refunds"),
            ("[[rules]]\nname='a'\nphrases=['x']\nweight=99.0\ncategory='refund'\n", "weight"),
            ("[[rules]]\nname='a'\nphrases=['x']\nfield='order_number'\n", "pattern"),
            ("[[rules]]\nname='a'\nphrases=['']\npriority='low'\n", "phrase"),
            ("rules = 3", "TOML"),
            ("{\"rulez\":[]}", "rulez"),
            (long.as_str(), "at most"),
        ] {
            let error = Rules::parse(rules).err().unwrap_or_else(|| panic!("accepted: {rules}"));
            assert!(error.0.contains(expected), "{}", error.0);
        }
    }
}
