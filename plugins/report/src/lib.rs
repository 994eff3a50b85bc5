//! The report plugin: from a list of cases to figures (`summarize`) and to documents (`build`).
//!
//! Nothing in it depends on the clock or on chance: the same cases and options give the same bytes, so that a repeated
//! attempt stores no second artifact. Case texts come from customers and are taken as hostile throughout.

use factotum_sdk::{Fault, artifacts};

mod charts;
mod days;
mod html;
mod palette;
mod statistics;
mod text;
mod view;
mod words;
mod xlsx;

#[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unsafe_code)]
mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../wit/factotum-types-0.1.0",
            "../../wit/factotum-host-0.2.0",
            "../../wit/factotum-report-0.1.0",
        ],
        inline: "
            package factotum:report-plugin;
            world plugin {
                export factotum:report/report@0.1.0;
            }
        ",
        world: "factotum:report-plugin/plugin",
        with: {
            "factotum:types/faults@0.1.0": factotum_sdk::faults,
            "factotum:host/artifacts@0.2.0": factotum_sdk::host_interfaces::artifacts,
        },
        generate_all,
    });
}

pub use bindings::exports::factotum::report::report::{CaseRow, Count, Format, Made, Options, Statistics};
use words::Language;

/// The most cases of one report.
pub const MAX_CASES: usize = 100_000;
/// The most characters of a title.
const MAX_TITLE: usize = 200;
const HTML_TYPE: &str = "text/html; charset=utf-8";
const XLSX_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

factotum_sdk::manifest!("plugin.toml");

/// The component's exported functions. Only in the component: their names are no symbols that a native linker takes.
// The generated glue reads raw memory, as the canonical ABI prescribes; nothing else in this crate is unsafe.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
mod exported {
    use factotum_sdk::Fault;

    use super::{CaseRow, Made, Options, Statistics, bindings};

    struct Plugin;

    impl bindings::exports::factotum::report::report::Guest for Plugin {
        fn summarize(cases: Vec<CaseRow>) -> Result<Statistics, Fault> {
            super::summarize(&cases)
        }

        fn build(cases: Vec<CaseRow>, options: Options) -> Result<Made, Fault> {
            super::build(cases, &options)
        }
    }

    bindings::export!(Plugin with_types_in bindings);
}

/// The figures alone.
///
/// # Errors
/// `invalid-input` for more than [`MAX_CASES`] cases.
pub fn summarize(cases: &[CaseRow]) -> Result<Statistics, Fault> {
    if cases.len() > MAX_CASES {
        return Err(Fault::invalid_input(format!(
            "{} cases; one report takes at most {MAX_CASES}",
            cases.len()
        ))
        .with_hint("report on a shorter period"));
    }
    Ok(statistics::of(cases))
}

/// The figures and the documents, stored as artifacts in the order of the formats asked for.
///
/// # Errors
/// `invalid-input` for too many cases, a language that is not `en` or `zh`, no format or the same one twice; else what
/// storing the artifacts meets.
pub fn build(cases: Vec<CaseRow>, options: &Options) -> Result<Made, Fault> {
    let language = Language::from_tag(options.language.as_deref())?;
    let (first, second) = match options.formats.as_slice() {
        [one] => (*one, None),
        [one, other] if one != other => (*one, Some(*other)),
        [] => {
            return Err(
                Fault::invalid_input("options.formats is empty").with_hint("ask for html, xlsx, or both")
            );
        }
        _ => {
            return Err(
                Fault::invalid_input("options.formats names a format twice").with_hint("name each once")
            );
        }
    };
    let statistics = summarize(&cases)?;
    let words = language.words();
    let title =
        options.title.as_deref().map(|title| text::one_line(title, MAX_TITLE)).filter(|t| !t.is_empty());
    let view =
        view::View::new(title.unwrap_or_else(|| words.title.to_owned()), language, &statistics, &cases);

    let mut page = None;
    if first == Format::Html || second == Some(Format::Html) {
        page = Some(artifacts::put(&view.file_name("html"), HTML_TYPE, html::page(&view)?.as_bytes())?);
    }
    let mut workbook = None;
    if first == Format::Xlsx || second == Some(Format::Xlsx) {
        // The workbook takes the cases, so that each leaves memory as soon as its row is written.
        workbook = Some(artifacts::put(&view.file_name("xlsx"), XLSX_TYPE, &xlsx::workbook(&view, cases)?)?);
    }
    let artifacts = match first {
        Format::Html => page.into_iter().chain(workbook).collect(),
        Format::Xlsx => workbook.into_iter().chain(page).collect(),
    };
    Ok(Made { statistics, artifacts })
}
