//! A panic that the host catches by design is no finding.

use std::panic;

/// The libraries whose panics are caught where they are called: jq's arithmetic has corners that panic.
const CAUGHT: &[&str] = &["/jaq-core-", "/jaq-json-", "/jaq-std-"];

/// Lets panics of those libraries pass; any other one ends the process, and so is found.
pub fn panics_of_jq() {
    let finding = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |location| location.file());
        if !CAUGHT.iter().any(|library| file.contains(library)) {
            finding(info);
        }
    }));
}
