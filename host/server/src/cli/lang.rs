//! The language that people read: `--lang`, or that of the machine.

use clap::ValueEnum;
use factotum_grant::Language;

/// A language to ask for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English.
    En,
    /// Chinese.
    Zh,
}

/// The language asked for, or else that of the environment (POSIX, "Locale", in its order), or else English.
pub fn language(asked: Option<Lang>) -> Language {
    match asked {
        Some(Lang::En) => Language::English,
        Some(Lang::Zh) => Language::Chinese,
        None => of_locale(
            ["LC_ALL", "LC_MESSAGES", "LANG"]
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
                .as_deref()
                .unwrap_or_default(),
        ),
    }
}

fn of_locale(locale: &str) -> Language {
    if locale.to_ascii_lowercase().starts_with("zh") { Language::Chinese } else { Language::English }
}

/// The one of two texts that is in the language.
pub fn pick<'t>(language: Language, english: &'t str, chinese: &'t str) -> &'t str {
    match language {
        Language::English => english,
        // Not everything has a Chinese text; an English one is better than none.
        Language::Chinese if chinese.is_empty() => english,
        Language::Chinese => chinese,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_language_is_taken_up() {
        for (locale, wanted) in [
            ("zh_CN.UTF-8", Language::Chinese),
            ("ZH", Language::Chinese),
            ("en_GB.UTF-8", Language::English),
            ("C", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(of_locale(locale), wanted, "{locale}");
        }
        assert_eq!(language(Some(Lang::Zh)), Language::Chinese);
        assert_eq!(pick(Language::Chinese, "yes", ""), "yes");
    }
}
