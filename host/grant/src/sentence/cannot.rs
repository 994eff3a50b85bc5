//! What grants do not allow, as a sentence: the reader of a short list of rights wants to know what is not on it.

use super::Language;
use crate::{Capability, Grants};

/// What the grants do not allow, in one sentence; `None` when they allow something of everything.
#[must_use]
pub fn cannot(grants: &Grants, language: Language) -> Option<String> {
    let mut denied = Vec::new();
    for capability in Capability::ALL {
        let words = match capability {
            // Harmless, and so not worth a word.
            Capability::RunContext | Capability::Config => continue,
            Capability::KeyValue => ("keep data", "保存数据"),
            Capability::Artifacts => ("store files", "保存文件"),
            Capability::Mail => ("send mail", "发送邮件"),
            Capability::Http => ("reach anything over the network", "访问网络"),
        };
        let idle = match capability {
            Capability::Mail => grants.mail.as_ref().is_none_or(|mail| mail.recipients.is_empty()),
            _ => !grants.allows(capability),
        };
        if idle {
            denied.push(match language {
                Language::English => words.0.to_owned(),
                Language::Chinese => words.1.to_owned(),
            });
        }
    }
    let last = denied.pop()?;
    Some(match (language, denied.is_empty()) {
        (Language::English, true) => format!("It cannot {last}."),
        (Language::English, false) => format!("It cannot {} or {last}.", denied.join(", ")),
        (Language::Chinese, true) => format!("它不能{last}。"),
        (Language::Chinese, false) => format!("它不能{}或{last}。", denied.join("、")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_cannot_do_is_said_as_well() {
        let of = |text: &str, language| cannot(&Grants::from_toml(text).unwrap(), language);
        assert_eq!(
            of("config = true\n[mail]", Language::English).unwrap(),
            "It cannot keep data, store files, send mail or reach anything over the network."
        );
        assert_eq!(of("", Language::Chinese).unwrap(), "它不能保存数据、保存文件、发送邮件或访问网络。");
        let all = "[mail]\nrecipients = [\"*\"]\n[artifacts]\n[key-value]\n[[http]]\nhost = \"a.test\"\nmethods = [\"GET\"]\npaths = [\"/\"]";
        assert_eq!(of(all, Language::English), None);
    }
}
