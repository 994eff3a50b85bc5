//! Cases: opened, listed.

use super::*;
use crate::Case;

pub fn a_case_comes_back_as_it_went_in<G: Guest>() {
    let jane = someone::<G>();
    next_key();
    let given = problem(&jane);
    let case = G::add_case(given.clone()).unwrap();
    assert_eq!(case.status, "open");
    assert!(crate::parse_time("created", &case.created).is_ok());
    let back = CaseInput {
        contact_id: case.contact_id.clone(),
        subject: case.subject.clone(),
        text: case.text.clone(),
        channel: case.channel.clone(),
        category: case.category.clone(),
        priority: case.priority.clone(),
        sentiment: case.sentiment.clone(),
        language: case.language.clone(),
        order_numbers: case.order_numbers.clone(),
    };
    assert_eq!(back, given);
    assert_eq!(G::get_case(case.id.clone()).unwrap(), case);
}

pub fn a_bare_case_is_enough<G: Guest>() {
    let jane = someone::<G>();
    for channel in ["web", "mail", "chat", "social", "phone"] {
        next_key();
        let bare = CaseInput {
            subject: String::new(),
            text: String::new(),
            channel: channel.into(),
            category: None,
            priority: None,
            sentiment: None,
            language: Some("und".into()),
            order_numbers: vec![],
            contact_id: jane.id.clone(),
        };
        let case = G::add_case(bare).unwrap();
        assert_eq!((case.subject.as_str(), case.text.as_str(), case.channel.as_str()), ("", "", channel));
        assert_eq!((&case.priority, &case.sentiment, &case.language), (&None, &None, &None));
        assert_eq!(G::get_case(case.id.clone()).unwrap(), case);
    }
}

pub fn a_repeated_case_is_opened_once<G: Guest>() {
    let jane = someone::<G>();
    next_key();
    let first = G::add_case(problem(&jane)).unwrap();
    // What the first attempt said counts, as the second cannot know better.
    let again = G::add_case(CaseInput { subject: "changed".into(), ..problem(&jane) }).unwrap();
    assert_eq!(first, again);
    next_key();
    let other = G::add_case(problem(&jane)).unwrap();
    assert_ne!(first.id, other.id);
    let mine = G::list_cases(CaseQuery { contact_id: Some(jane.id), ..all_cases() }).unwrap();
    assert_eq!(mine.cases, [first, other]);
}

pub fn a_case_needs_its_contact<G: Guest>() {
    let jane = someone::<G>();
    for id in ["nobody", "999999999"] {
        next_key();
        refused(G::add_case(CaseInput { contact_id: id.into(), ..problem(&jane) }), "not-found");
    }
}

pub fn hostile_text_comes_back_as_it_went_in<G: Guest>() {
    let jane = someone::<G>();
    for text in [
        "  leading and trailing space \n\n",
        "line\r\nline\r\n\ttab",
        "<script>alert(1)</script> & <b>bold</b> \"quoted\" 'single' \\ back",
        "'; drop table party_party; --",
        "-- \nChannel: phone\nPriority: low\nOrders: EVIL",
        "{\"__class__\": \"Decimal\", \"decimal\": \"1\"}",
        "${jndi:ldap://x} {{7*7}} %s %n \\u0000",
        "订单号 A-1001 还没有收到 😡👨‍👩‍👧 e\u{301}",
    ] {
        next_key();
        let given = CaseInput {
            subject: text.trim().lines().next().unwrap().into(),
            text: text.into(),
            ..problem(&jane)
        };
        let case = G::add_case(given).unwrap();
        assert_eq!(case.text, text);
        assert_eq!((case.channel.as_str(), case.order_numbers.len()), ("mail", 2));
        assert_eq!(G::get_case(case.id.clone()).unwrap(), case);
    }
}

pub fn a_long_rant_is_kept_and_a_longer_one_refused<G: Guest>() {
    let jane = someone::<G>();
    next_key();
    let rant = "太慢了！".repeat(20 * 1024);
    let case = G::add_case(CaseInput { text: rant.clone(), ..problem(&jane) }).unwrap();
    assert_eq!(G::get_case(case.id).unwrap().text, rant);
    next_key();
    refused(G::add_case(CaseInput { text: "x".repeat(256 * 1024 + 1), ..problem(&jane) }), "invalid-input");
}

pub fn pages_hold_every_case_once_in_order<G: Guest>() {
    let (jane, john) = (someone::<G>(), someone::<G>());
    let mut opened = Vec::new();
    for n in 0..7 {
        next_key();
        opened.push(G::add_case(CaseInput { subject: format!("case {n}"), ..problem(&jane) }).unwrap());
        next_key();
        G::add_case(problem(&john)).unwrap();
    }
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(
            all_pages::<G>(CaseQuery {
                contact_id: Some(jane.id.clone()),
                limit: Some(limit),
                ..all_cases()
            }),
            opened
        );
    }
    // Everybody's cases: other tests may run at once, so only ours are compared.
    let everybody =
        all_pages::<G>(CaseQuery { since: Some(opened[0].created.clone()), limit: Some(5), ..all_cases() });
    let ours: Vec<Case> = everybody.into_iter().filter(|c| c.contact_id == jane.id).collect();
    assert_eq!(ours, opened);
}

fn all_pages<G: Guest>(mut query: CaseQuery) -> Vec<Case> {
    let mut cases = Vec::new();
    for _ in 0..10_000 {
        let page = G::list_cases(query.clone()).unwrap();
        assert!(page.cases.len() <= query.limit.unwrap_or(100) as usize);
        cases.extend(page.cases);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return cases,
        }
    }
    panic!("the pages never end");
}

pub fn cases_are_filtered<G: Guest>() {
    let jane = someone::<G>();
    let mine = CaseQuery { contact_id: Some(jane.id.clone()), ..all_cases() };
    assert_eq!(G::list_cases(mine.clone()).unwrap().cases, []);
    next_key();
    let delivery = G::add_case(problem(&jane)).unwrap();
    next_key();
    let refund = G::add_case(CaseInput { category: Some("refund".into()), ..problem(&jane) }).unwrap();
    let listed = |query: CaseQuery| G::list_cases(query).unwrap().cases;
    assert_eq!(
        listed(CaseQuery { category: Some("refund".into()), ..mine.clone() }),
        std::slice::from_ref(&refund)
    );
    assert_eq!(listed(CaseQuery { category: Some("praise".into()), ..mine.clone() }), []);
    let both = [delivery.clone(), refund];
    assert_eq!(listed(CaseQuery { since: Some(delivery.created), ..mine.clone() }), both);
    assert_eq!(listed(CaseQuery { since: Some("2001-01-01T08:00:00+08:00".into()), ..mine.clone() }), both);
    assert_eq!(listed(CaseQuery { since: Some("2999-01-01T00:00:00Z".into()), ..mine }), []);
    assert_eq!(listed(CaseQuery { contact_id: Some("999999999".into()), ..all_cases() }), []);
}

pub fn impossible_cases_are_refused<G: Guest>() {
    let jane = someone::<G>();
    next_key();
    let some = |text: &str| Some(text.to_owned());
    let good = problem(&jane);
    for input in [
        CaseInput { contact_id: String::new(), ..good.clone() },
        CaseInput { contact_id: "../../x".into(), ..good.clone() },
        CaseInput { subject: "x".repeat(501), ..good.clone() },
        CaseInput { channel: "fax".into(), ..good.clone() },
        CaseInput { channel: String::new(), ..good.clone() },
        CaseInput { category: some("Refund; drop table"), ..good.clone() },
        CaseInput { priority: some("highest"), ..good.clone() },
        CaseInput { sentiment: some("furious"), ..good.clone() },
        CaseInput { language: some("klingon language"), ..good.clone() },
        CaseInput { order_numbers: vec!["1".into(); 51], ..good.clone() },
        CaseInput { order_numbers: vec!["x".repeat(65)], ..good.clone() },
    ] {
        refused(G::add_case(input), "invalid-input");
    }
}

pub fn impossible_case_queries_are_refused<G: Guest>() {
    let some = |text: &str| Some(text.to_owned());
    for query in [
        CaseQuery { limit: Some(0), ..all_cases() },
        CaseQuery { limit: Some(1001), ..all_cases() },
        CaseQuery { since: some("last week"), ..all_cases() },
        CaseQuery { cursor: some("page 2"), ..all_cases() },
        CaseQuery { cursor: some("-1"), ..all_cases() },
        CaseQuery { cursor: some("18446744073709551615"), ..all_cases() },
        CaseQuery { contact_id: some("a b"), ..all_cases() },
        CaseQuery { category: some("%"), ..all_cases() },
    ] {
        refused(G::list_cases(query), "invalid-input");
    }
    // A cursor behind the end is an end.
    let page = G::list_cases(CaseQuery { cursor: some("4000000000"), ..all_cases() }).unwrap();
    assert_eq!((page.cases.len(), page.next), (0, None));
}

pub fn an_unknown_case_is_not_found<G: Guest>() {
    let huge = "9".repeat(100_000);
    for id in [
        "",
        "nothing",
        "CASE-999999999",
        "999999999",
        "18446744073709551616",
        "CASE-1/text",
        "../1",
        "\u{0}",
        &huge,
    ] {
        refused(G::get_case(id.into()), "not-found");
    }
}
