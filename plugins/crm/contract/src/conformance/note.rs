//! Notes on cases.

use super::*;
use crate::Case;

fn some_case<G: Guest>() -> Case {
    let jane = someone::<G>();
    next_key();
    G::add_case(problem(&jane)).unwrap()
}

pub fn notes_stand_in_order<G: Guest>() {
    let case = some_case::<G>();
    assert_eq!(G::list_notes(case.id.clone()).unwrap(), []);
    let mut added = Vec::new();
    for (author, text) in [
        ("王芳", "已致电客户。"),
        ("agent <jane>", "<b>Called</b>, no answer.\r\n\r\n-- \nsignature\n"),
        ("flow: support/ticket-intake", "-- \nAuthor: somebody else"),
    ] {
        next_key();
        let note = G::add_note(case.id.clone(), author.into(), text.into()).unwrap();
        assert_eq!(
            (note.case_id.as_str(), note.author.as_str(), note.text.as_str()),
            (case.id.as_str(), author, text)
        );
        assert!(crate::parse_time("created", &note.created).is_ok());
        added.push(note);
    }
    assert_eq!(G::list_notes(case.id).unwrap(), added);
}

pub fn a_repeated_note_is_added_once<G: Guest>() {
    let case = some_case::<G>();
    next_key();
    let first = G::add_note(case.id.clone(), "a".into(), "once".into()).unwrap();
    let again = G::add_note(case.id.clone(), "a".into(), "once".into()).unwrap();
    assert_eq!(first, again);
    next_key();
    let second = G::add_note(case.id.clone(), "a".into(), "once".into()).unwrap();
    assert_eq!(G::list_notes(case.id).unwrap(), [first, second]);
}

pub fn a_note_needs_its_case<G: Guest>() {
    for id in ["nothing", "CASE-999999999", "999999999"] {
        next_key();
        refused(G::add_note(id.into(), "a".into(), "text".into()), "not-found");
        refused(G::list_notes(id.into()), "not-found");
    }
}

pub fn impossible_notes_are_refused<G: Guest>() {
    let case = some_case::<G>();
    let long = "x".repeat(16 * 1024 + 1);
    let name = "x".repeat(201);
    for (author, text) in
        [("", "text"), ("a", ""), ("a", " \n "), ("a", long.as_str()), (name.as_str(), "text")]
    {
        next_key();
        refused(G::add_note(case.id.clone(), author.into(), text.into()), "invalid-input");
    }
    refused(G::add_note("../x".into(), "a".into(), "text".into()), "invalid-input");
    assert_eq!(G::list_notes(case.id).unwrap(), []);
}
