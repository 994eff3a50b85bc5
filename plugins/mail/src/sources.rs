//! Where the text of templates comes from: the administrator's configuration first, the shipped files else.

use factotum_sdk::{Fault, config};

use crate::bindings::exports::factotum::mail::mail::TemplateInfo;

/// The most bytes of one configured template part.
const MAX_TEMPLATE_BYTES: usize = 64 * 1024;
/// The most templates an administrator may add.
const MAX_TEMPLATES: usize = 100;

/// The languages letters are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    En,
    Zh,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// BCP 47.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The nearest language to a BCP 47 tag, by its primary subtag: every kind of Chinese is near to Chinese, everything
    /// else is answered in English. An underscore, as in POSIX locales, is taken for a hyphen.
    pub(crate) fn nearest(tag: Option<&str>) -> Self {
        let primary = tag.unwrap_or_default().trim().split(['-', '_']).next().unwrap_or_default();
        // Cantonese, Mandarin and literary Chinese have tags of their own, and share the script.
        match primary.to_ascii_lowercase().as_str() {
            "zh" | "zho" | "chi" | "cmn" | "yue" | "wuu" | "hak" | "nan" | "lzh" => Self::Zh,
            _ => Self::En,
        }
    }
}

/// The three texts of a template.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) subject: String,
    pub(crate) text: String,
    /// Absent for a template of the administrator's own without one: the HTML is then made from the text.
    pub(crate) html: Option<String>,
}

struct Shipped {
    name: &'static str,
    language: Language,
    subject: &'static str,
    text: &'static str,
    html: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(
            Shipped {
                name: $name,
                language: Language::En,
                subject: include_str!(concat!("../templates/", $name, ".en.subject")),
                text: include_str!(concat!("../templates/", $name, ".en.txt")),
                html: include_str!(concat!("../templates/", $name, ".en.html")),
            },
            Shipped {
                name: $name,
                language: Language::Zh,
                subject: include_str!(concat!("../templates/", $name, ".zh.subject")),
                text: include_str!(concat!("../templates/", $name, ".zh.txt")),
                html: include_str!(concat!("../templates/", $name, ".zh.html")),
            },
        )*]
    };
}

const SHIPPED: &[Shipped] =
    shipped!["acknowledge-case", "case-answered", "report-ready", "staff-notification"];

/// A bounded configuration value.
pub(crate) fn configured(key: &str) -> Result<Option<String>, Fault> {
    let value = config::get(key)?.filter(|value| !value.trim().is_empty());
    if value.as_ref().is_some_and(|value| value.len() > MAX_TEMPLATE_BYTES) {
        return Err(Fault::invalid_configuration(format!("{key} is larger than {MAX_TEMPLATE_BYTES} bytes")));
    }
    Ok(value)
}

/// The names of the administrator's own templates.
fn own_names() -> Result<Vec<String>, Fault> {
    let text = configured("templates")?.unwrap_or_default();
    let names: Vec<String> =
        text.split([' ', ',', '\n', '\t']).filter(|n| !n.is_empty()).map(str::to_owned).collect();
    if names.len() > MAX_TEMPLATES || names.iter().any(|name| !is_name(name)) {
        return Err(Fault::invalid_configuration(format!(
            "templates: at most {MAX_TEMPLATES} names of lower-case letters, digits and hyphens"
        )));
    }
    Ok(names)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// All templates, shipped ones first.
pub(crate) fn list() -> Result<Vec<TemplateInfo>, Fault> {
    let mut names: Vec<String> = Vec::new();
    for name in SHIPPED.iter().map(|s| s.name.to_owned()).chain(own_names()?) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut infos = Vec::with_capacity(names.len());
    for name in names {
        let mut languages = Vec::new();
        for language in Language::ALL {
            if find(&name, language)?.is_some() {
                languages.push(language.tag().to_owned());
            }
        }
        infos.push(TemplateInfo { name, languages });
    }
    Ok(infos)
}

/// The template `name` in the nearest language it has: the wanted one, else English, else any.
///
/// # Errors
/// `not-found` when no language has it.
pub(crate) fn choose(name: &str, wanted: Language) -> Result<(Source, Language), Fault> {
    if is_name(name) {
        for language in [wanted, Language::En, Language::Zh] {
            if let Some(source) = find(name, language)? {
                return Ok((source, language));
            }
        }
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let known: Vec<String> = list()?.into_iter().map(|info| info.name).collect();
    Err(Fault::not_found(format!("there is no template {shown:?}"))
        .with_hint(format!("the templates are: {}", known.join(", "))))
}

/// The template in just this language: each part from the configuration, else from the shipped files.
fn find(name: &str, language: Language) -> Result<Option<Source>, Fault> {
    let shipped = SHIPPED.iter().find(|s| s.name == name && s.language == language);
    let part = |part: &str| configured(&format!("template.{name}.{}.{part}", language.tag()));
    let (subject, text, html) = (part("subject")?, part("text")?, part("html")?);
    let Some(shipped) = shipped else {
        return match (subject, text) {
            (Some(subject), Some(text)) => Ok(Some(Source { subject, text, html })),
            (None, None) => Ok(None),
            _ => Err(Fault::invalid_configuration(format!(
                "template.{name}.{}: needs both subject and text",
                language.tag()
            ))),
        };
    };
    // Who replaces the text alone wants to read it in the HTML as well, not the shipped words beside their own.
    let html = match (&text, html) {
        (_, Some(html)) => Some(html),
        (Some(_), None) => None,
        (None, None) => Some(shipped.html.to_owned()),
    };
    Ok(Some(Source {
        subject: subject.unwrap_or_else(|| shipped.subject.to_owned()),
        text: text.unwrap_or_else(|| shipped.text.to_owned()),
        html,
    }))
}
