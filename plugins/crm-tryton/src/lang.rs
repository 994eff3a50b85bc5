//! Languages: BCP 47 (`zh-CN`) here, Tryton's codes (`zh_CN`) there.

use factotum_sdk::Fault;
use serde::Deserialize;
use serde_json::json;

use crate::{
    client::Client,
    query::{Query, literal},
};

#[derive(Debug, Deserialize)]
struct Lang {
    id: i64,
    code: String,
}

/// A Tryton code as BCP 47.
pub fn tag(code: &str) -> String {
    // A modifier, as in `sr@latin`, has no counterpart here.
    code.split('@').next().unwrap_or_default().replace('_', "-")
}

/// Whether a contact with Tryton's language `code` already has the language `wanted`: `zh` is content with `zh_CN`.
pub fn covers(code: &str, wanted: &str) -> bool {
    let known = tag(code);
    known.eq_ignore_ascii_case(wanted)
        || known.split_once('-').is_some_and(|(primary, _)| primary.eq_ignore_ascii_case(wanted))
}

/// The identifier and code of Tryton's language for a tag: the same one, else one with the same primary subtag. `None`
/// when Tryton has none, which is no reason to refuse a contact.
pub fn find(client: &Client, wanted: &str) -> Result<Option<(i64, String)>, Fault> {
    let primary = wanted.split('-').next().unwrap_or_default().to_lowercase();
    let query = Query::fields(&["code"])
        .clause(json!([
            "OR",
            ["code", "=", primary],
            ["code", "ilike", format!("{}%", literal(&format!("{primary}_")))]
        ]))
        .limit(50);
    let langs: Vec<Lang> = client.search("ir.lang", &query)?;
    Ok(best(langs, wanted, &primary).map(|lang| (lang.id, lang.code)))
}

fn best(langs: Vec<Lang>, wanted: &str, primary: &str) -> Option<Lang> {
    let rank = |lang: &Lang| {
        let tag = tag(&lang.code);
        (!tag.eq_ignore_ascii_case(wanted), !tag.eq_ignore_ascii_case(primary), lang.id)
    };
    langs.into_iter().min_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_language_is_taken() {
        let langs = |codes: &[&str]| {
            codes
                .iter()
                .enumerate()
                .map(|(n, code)| Lang { id: n as i64 + 1, code: (*code).into() })
                .collect::<Vec<_>>()
        };
        let pick = |codes: &[&str], wanted: &str| {
            best(langs(codes), wanted, wanted.split('-').next().unwrap()).map(|l| l.code)
        };
        assert_eq!(pick(&["es", "es_419"], "es-419").unwrap(), "es_419");
        assert_eq!(pick(&["es_419", "es"], "es-MX").unwrap(), "es");
        assert_eq!(pick(&["zh_CN"], "zh").unwrap(), "zh_CN");
        assert_eq!(pick(&[], "tlh"), None);
        assert!(
            covers("zh_CN", "zh") && covers("en", "en") && !covers("en", "en-GB") && !covers("zh_CN", "z")
        );
    }
}
