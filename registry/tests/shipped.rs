//! What an office manager reads about each shipped plugin, word by word, in English and Chinese.
//!
//! The texts stand in `tests/shipped/`. After a change of a manifest or of the sentences, look at the difference and write
//! them anew with `FACTOTUM_BLESS=1`.
#![allow(clippy::unwrap_used)] // a failed test may panic

use std::{fmt::Write as _, fs, path::Path};

use factotum_grant::{Language, cannot, sentences};
use factotum_registry::{Manifest, manifest::Words};

const PLUGINS: [&str; 5] = ["classifier", "crm", "crm-tryton", "mail", "report"];

/// The manifest in words: what it is, what it asks for and why, what its suggested grants would let it do.
fn told(manifest: &Manifest, language: Language) -> String {
    let pick = |words: &Words| match language {
        Language::English => words.en.clone(),
        Language::Chinese => words.zh.clone(),
    };
    let mut text = format!("{}\n\n", pick(&manifest.description));
    for ask in &manifest.asks {
        let colon = if language == Language::Chinese { "：" } else { ": " };
        writeln!(text, "- {}{colon}{}", ask.capability.title(language), pick(&ask.reason)).unwrap();
    }
    text.push('\n');
    for sentence in
        sentences(&manifest.grants, language).into_iter().chain(cannot(&manifest.grants, language))
    {
        writeln!(text, "- {sentence}").unwrap();
    }
    text
}

#[test]
fn each_shipped_plugin_says_what_it_can_do_in_both_languages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in PLUGINS {
        let path = root.join("../plugins").join(name).join("plugin.toml");
        let manifest = Manifest::parse(&fs::read(path).unwrap()).unwrap();
        for (language, code) in [(Language::English, "en"), (Language::Chinese, "zh")] {
            let told = told(&manifest, language);
            assert!(
                !told.contains(": \n") && !told.contains("：\n"),
                "a reason is missing in one language: {told}"
            );
            let golden = root.join("tests/shipped").join(format!("{name}.{code}.txt"));
            if std::env::var_os("FACTOTUM_BLESS").is_some() {
                fs::write(&golden, &told).unwrap();
            }
            assert_eq!(told, fs::read_to_string(&golden).unwrap(), "{}", golden.display());
        }
    }
}
