//! `factotum flow test`: files of cases, found, run, told.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, process::ExitCode};

use anyhow::{Context, Result, bail};
use factotum_flow::Flow;
use factotum_runtime::{CaseReport, Suite};
use serde_json::json;

use super::output;

/// The most files that are looked at.
const MAX_FILES: usize = 10_000;
/// How deep folders are searched.
const MAX_DEPTH: usize = 16;

/// How the cases of a file went.
struct Ran {
    file: PathBuf,
    cases: Vec<CaseReport>,
    seconds: f64,
}

/// Ends with 1 when a case fails, and with 2 when cases or flows cannot be read.
pub fn test(paths: &[PathBuf], only: Option<&str>, junit: Option<&Path>, json: bool) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in paths {
        find(path, 0, &mut files)?;
    }
    files.sort();
    files.dedup();
    if files.is_empty() {
        bail!("there are no test cases here; they stand in files that end with .test.yaml");
    }
    let mut all = Vec::new();
    let mut unreadable = false;
    for file in files {
        match run(&file, only) {
            Ok(ran) => all.push(ran),
            Err(error) => {
                output::error(&format!("{error:#}"));
                unreadable = true;
            }
        }
    }
    if let Some(path) = junit {
        fs::write(path, xml(&all)).with_context(|| format!("the JUnit file {}", path.display()))?;
    }
    let count = all.iter().map(|ran| ran.cases.len()).sum::<usize>();
    let failed = all.iter().flat_map(|ran| &ran.cases).filter(|case| !case.failures.is_empty()).count();
    if json {
        let files: Vec<_> = all
            .iter()
            .map(|ran| json!({ "file": ran.file.display().to_string(), "cases": ran.cases }))
            .collect();
        output::json(&json!({ "files": files, "cases": count, "failed": failed }))?;
    } else {
        tell(&all)?;
        output::line(&format!("{count} cases, {failed} failed"))?;
    }
    Ok(match (unreadable, failed) {
        (true, _) => ExitCode::from(2),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| format!("the folder {}", path.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && depth < MAX_DEPTH {
            find(&path, depth + 1, files)?;
        } else if kind.is_file() && path.to_string_lossy().ends_with(".test.yaml") {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            bail!("there are more than {MAX_FILES} files of cases");
        }
    }
    Ok(())
}

fn run(file: &Path, only: Option<&str>) -> Result<Ran> {
    let source = fs::read_to_string(file).with_context(|| format!("the cases in {}", file.display()))?;
    let suite = Suite::parse(&source, file)?;
    let flow = file.parent().unwrap_or(Path::new("")).join(suite.flow());
    let document = fs::read_to_string(&flow)
        .with_context(|| format!("the flow {} of {}", flow.display(), file.display()))?;
    let flow = Flow::parse(&document, &flow.display().to_string())?;
    let begun = Instant::now();
    let cases = suite.run(&flow, |name| only.is_none_or(|only| name.contains(only)));
    Ok(Ran { file: file.to_owned(), cases, seconds: begun.elapsed().as_secs_f64() })
}

fn tell(all: &[Ran]) -> Result<()> {
    for Ran { file, cases, .. } in all {
        output::line(&file.display().to_string())?;
        for case in cases {
            let mark = if case.failures.is_empty() { "ok    " } else { "FAILED" };
            output::line(&format!("  {mark} {}", output::printable(&case.name)))?;
            for line in &case.failures {
                output::line(&format!("           {}", output::printable(line)))?;
            }
        }
    }
    Ok(())
}

/// JUnit's XML, as build servers read it.
fn xml(all: &[Ran]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for Ran { file, cases, seconds } in all {
        let failed = cases.iter().filter(|case| !case.failures.is_empty()).count();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" time=\"{seconds:.3}\">",
            escaped(&file.display().to_string()),
            cases.len()
        );
        for case in cases {
            let name = escaped(&case.name);
            if case.failures.is_empty() {
                let _ = writeln!(text, "    <testcase name=\"{name}\"/>");
            } else {
                let (first, whole) = (
                    escaped(case.failures.first().map_or("", String::as_str)),
                    escaped(&case.failures.join("\n")),
                );
                let _ = writeln!(
                    text,
                    "    <testcase name=\"{name}\"><failure message=\"{first}\">{whole}</failure></testcase>"
                );
            }
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text in XML 1.0, without the characters that it cannot hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_searched_and_a_failure_is_told_in_xml() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("a");
        fs::create_dir(&sub).unwrap();
        fs::write(
            sub.join("f.yaml"),
            "document: { dsl: '1.0.3', namespace: t, name: f, version: '1.0.0' }\ndo: [ { s: { set: { a: 1 } } } ]",
        )
        .unwrap();
        let cases = "flow: f.yaml\ncases:\n  - { name: good, expect: { output: { a: 1 } } }\n  - { name: 'bad <&>', expect: { output: { a: 2 } } }\n";
        fs::write(sub.join("f.test.yaml"), cases).unwrap();
        let junit = dir.path().join("out.xml");
        let paths = [dir.path().to_owned()];
        assert_eq!(test(&paths, None, Some(&junit), false).unwrap(), ExitCode::FAILURE);
        let xml = fs::read_to_string(&junit).unwrap();
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(
            xml.contains("name=\"bad &lt;&amp;&gt;\"><failure message=\"output /a: expected 2, found 1\""),
            "{xml}"
        );
        assert_eq!(test(&paths, Some("good"), None, true).unwrap(), ExitCode::SUCCESS);
        fs::write(sub.join("g.test.yaml"), "flow: nowhere.yaml\ncases: [ { name: x, expect: {} } ]").unwrap();
        assert_eq!(test(&paths, Some("good"), None, false).unwrap(), ExitCode::from(2));
        assert!(test(&[sub.join("none")], None, None, false).is_err());
    }
}
