//! Components whose manifest does not tell the truth, and what becomes of them. Each is put together by hand.
#![allow(clippy::unwrap_used)] // a failed test may panic

use factotum_grant::Capability;
use factotum_registry::{MAX_COMPONENT_BYTES, Package, PackageError, manifest};

const HTTP: &str = r#"(import "wasi:http/outgoing-handler@0.2.6" (instance))"#;
const MAIL: &str = r#"(import "factotum:host/mail-out@0.1.0" (instance))"#;

/// A component with these imports and these custom sections behind them.
fn component(imports: &str, sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = wat::parse_str(format!("(component {imports})")).unwrap();
    for (name, data) in sections {
        bytes.extend(section(name, data));
    }
    bytes
}

/// A custom section (WebAssembly core specification, binary format, section "Custom Section").
fn section(name: &str, data: &[u8]) -> Vec<u8> {
    let mut content = leb128(name.len());
    content.extend(name.as_bytes());
    content.extend(data);
    let mut section = vec![0];
    section.extend(leb128(content.len()));
    section.extend(content);
    section
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn asking(capabilities: &[&str], rest: &str) -> Vec<u8> {
    let asks: String = capabilities
        .iter()
        .map(|name| format!("[[asks]]\ncapability = \"{name}\"\nreason.en = \"It needs it.\"\n"))
        .collect();
    format!("name = \"liar\"\nversion = \"1.0.0\"\n{asks}{rest}").into_bytes()
}

fn read(imports: &str, text: &[u8]) -> Result<Package, PackageError> {
    Package::read(&component(imports, &[(manifest::SECTION, text)]))
}

fn refusal(imports: &str, text: &[u8]) -> String {
    read(imports, text).unwrap_err().to_string()
}

#[test]
fn an_honest_component_is_taken() {
    let package = read(HTTP, &asking(&["http"], "")).unwrap();
    assert_eq!(package.capabilities(), [Capability::Http]);
    assert_eq!(package.manifest.unwrap().name, "liar");
}

#[test]
fn an_import_that_the_manifest_keeps_silent_about_is_refused_with_its_name() {
    let text = refusal(&format!("{HTTP}{MAIL}"), &asking(&["http"], ""));
    assert!(text.contains("it imports mail and does not ask for it"), "{text}");
    assert!(!text.contains("asks for http and"), "{text}");
    let text = refusal(HTTP, &asking(&[], ""));
    assert!(text.contains("it imports http"), "{text}");
}

#[test]
fn an_ask_without_an_import_is_refused_so_that_a_later_version_finds_no_grant_lying_about() {
    let text = refusal(HTTP, &asking(&["http", "mail"], ""));
    assert!(text.contains("it asks for mail and does not import it"), "{text}");
}

#[test]
fn the_difference_is_said_in_both_directions() {
    let text = refusal(HTTP, &asking(&["mail"], ""));
    assert!(text.contains("imports http") && text.contains("asks for mail"), "{text}");
}

#[test]
fn a_suggested_grant_for_what_is_not_asked_is_refused() {
    let text = refusal(HTTP, &asking(&["http"], "[grants.mail]\nrecipients = [\"*\"]\n"));
    assert!(text.contains("suggests grants for mail"), "{text}");
}

#[test]
fn two_manifests_are_refused_whichever_is_true() {
    let (true_one, false_one) = (asking(&["http"], ""), asking(&[], ""));
    for sections in [[&true_one, &false_one], [&false_one, &true_one], [&true_one, &true_one]] {
        let bytes = component(HTTP, &sections.map(|text| (manifest::SECTION, text.as_slice())));
        let text = Package::read(&bytes).unwrap_err().to_string();
        assert!(text.contains("there are two"), "{text}");
    }
}

#[test]
fn a_manifest_hidden_in_a_module_counts_like_any_other() {
    let mut module = wat::parse_str("(module)").unwrap();
    module.extend(section(manifest::SECTION, &asking(&["mail"], "")));
    // A core module section (component model binary format, section 1).
    let mut bytes = component(HTTP, &[]);
    bytes.push(1);
    bytes.extend(leb128(module.len()));
    bytes.extend(&module);
    assert!(Package::read(&bytes).unwrap_err().to_string().contains("asks for mail"));
    bytes.extend(section(manifest::SECTION, &asking(&["http"], "")));
    assert!(Package::read(&bytes).unwrap_err().to_string().contains("there are two"));
}

#[test]
fn what_is_too_large_or_no_text_is_refused() {
    let long = format!("description.en = \"{}\"\n", "x".repeat(manifest::MAX_BYTES));
    let mut oversize = asking(&[], "");
    oversize.splice(0..0, long.bytes());
    assert!(refusal("", &oversize).contains("65536"));
    assert!(refusal("", b"name = \"\xff\"").contains("cannot be read"));
    assert!(refusal("", b"").contains("name"));
    assert!(refusal("", &asking(&[], "askz = 1\n")).contains("askz"));
    assert!(refusal("", &asking(&["root"], "")).contains("root"));
    let bytes = vec![0; MAX_COMPONENT_BYTES + 1];
    assert_eq!(Package::read(&bytes).unwrap_err(), PackageError::TooLarge(MAX_COMPONENT_BYTES + 1));
}

#[test]
fn a_section_of_another_name_is_no_manifest() {
    for name in ["factotum:manifest ", "Factotum:manifest", "factotum:manifest\0"] {
        let package = Package::read(&component(HTTP, &[(name, &asking(&[], ""))])).unwrap();
        assert!(package.manifest.is_none(), "{name:?}");
        assert_eq!(package.capabilities(), [Capability::Http], "the import list asks all the same");
    }
}
