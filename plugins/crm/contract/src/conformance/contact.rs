//! Contacts: made, updated, found.

use super::*;

fn ids(contacts: &[Contact]) -> Vec<&str> {
    contacts.iter().map(|c| c.id.as_str()).collect()
}

pub fn a_contact_is_made_and_found<G: Guest>() {
    next_key();
    let (word, mobile) = (unique(), mobile());
    let before = now().rfc3339();
    let made = G::upsert_contact(ContactInput {
        name: Some(format!("  Jane {word}\n Doe ")),
        email: Some(format!("Jane.{word}@Example.COM")),
        phone: Some(format!("+86 {mobile}")),
        language: Some("en".into()),
    })
    .unwrap();
    assert!(made.created);
    let jane = made.contact;
    assert_eq!(jane.name.as_deref(), Some(format!("Jane {word} Doe").as_str()));
    assert_eq!(jane.email.as_deref(), Some(format!("jane.{word}@example.com").as_str()));
    assert_eq!(crate::phone_digits(jane.phone.as_deref().unwrap()), format!("86{mobile}"));
    assert_eq!(jane.language.as_deref(), Some("en"));
    // A second of slack: servers cut the fraction off.
    let created = crate::parse_time("created", jane.created.as_deref().unwrap()).unwrap();
    assert!(created.millis() + 1000 >= crate::parse_time("before", &before).unwrap().millis());

    assert_eq!(G::get_contact(jane.id.clone()).unwrap(), jane);
    for query in [
        ContactQuery { email: Some(format!("JANE.{word}@example.com")), ..nobody() },
        ContactQuery { phone: Some(format!("0086-{mobile}")), ..nobody() },
        ContactQuery { name: Some(word.to_uppercase()), ..nobody() },
    ] {
        assert_eq!(G::find_contacts(query.clone()).unwrap(), std::slice::from_ref(&jane), "{query:?}");
    }
}

pub fn an_update_keeps_what_is_absent<G: Guest>() {
    let (word, mobile) = (unique(), mobile());
    let email = Some(format!("{word}@example.com"));
    next_key();
    let made = G::upsert_contact(ContactInput {
        name: Some(format!("Old {word}")),
        phone: Some(format!("+86{mobile}")),
        email: email.clone(),
        ..person()
    });
    let made = made.unwrap().contact;
    next_key();
    let other = super::mobile();
    let update = ContactInput {
        phone: Some(format!("+86{other}")),
        language: Some("zh".into()),
        name: Some("  ".into()),
        email: email.clone(),
    };
    let updated = G::upsert_contact(update).unwrap();
    assert!(!updated.created);
    let updated = updated.contact;
    assert_eq!((&updated.id, &updated.name, &updated.email), (&made.id, &made.name, &email));
    assert_eq!(crate::phone_digits(updated.phone.as_deref().unwrap()), format!("86{other}"));
    assert!(updated.language.as_deref().unwrap().starts_with("zh"), "{updated:?}");
    assert!(updated.updated >= made.updated);
    assert_eq!(G::get_contact(made.id.clone()).unwrap(), updated);
    // The old number is nobody's any more.
    let old = G::find_contacts(ContactQuery { phone: Some(format!("+86{mobile}")), ..nobody() }).unwrap();
    assert_eq!(old, []);

    next_key();
    let name = Some(format!("New {word}"));
    let renamed = G::upsert_contact(ContactInput { name: name.clone(), email, ..person() }).unwrap().contact;
    assert_eq!((renamed.name, renamed.phone, renamed.language), (name, updated.phone, updated.language));
}

pub fn a_mail_address_in_any_case_is_one_contact<G: Guest>() {
    let word = unique();
    next_key();
    let email = Some(format!("Info_{word}@Example.com"));
    let first = G::upsert_contact(ContactInput { email, ..person() }).unwrap();
    next_key();
    let email = Some(format!(" iNFO_{word}@example.COM "));
    let second = G::upsert_contact(ContactInput { email, ..person() }).unwrap();
    assert!(first.created && !second.created);
    assert_eq!(first.contact.id, second.contact.id);
}

pub fn a_telephone_number_in_any_writing_is_one_contact<G: Guest>() {
    let (word, mobile) = (unique(), mobile());
    let (head, tail) = mobile.split_at(3);
    let mut made = Vec::new();
    for phone in [format!("+86 {head} {tail}"), format!("0086{mobile}"), format!("+86 ({head}) {tail}")] {
        next_key();
        made.push(
            G::upsert_contact(ContactInput { phone: Some(phone), name: Some(word.clone()), ..person() })
                .unwrap(),
        );
    }
    assert_eq!(made.iter().map(|m| m.created).collect::<Vec<_>>(), [true, false, false]);
    assert!(made.iter().all(|m| m.contact.id == made[0].contact.id));

    // A national number cannot be completed without knowing the country; it is kept and found as written.
    let national = format!("0{}", super::mobile());
    next_key();
    let local =
        G::upsert_contact(ContactInput { phone: Some(national.clone()), ..person() }).unwrap().contact;
    assert_eq!(crate::phone_digits(local.phone.as_deref().unwrap()), national);
    let found = G::find_contacts(ContactQuery { phone: Some(national), ..nobody() }).unwrap();
    assert_eq!(ids(&found), [local.id.as_str()]);
}

pub fn a_contact_without_address_and_number_is_made<G: Guest>() {
    let word = unique();
    let input = ContactInput { name: Some(word.clone()), ..person() };
    next_key();
    let first = G::upsert_contact(input.clone()).unwrap();
    let repeated = G::upsert_contact(input.clone()).unwrap();
    assert!(first.created);
    assert_eq!(first.contact.id, repeated.contact.id, "a repeated attempt makes no second contact");
    // Two people may have one name.
    next_key();
    let second = G::upsert_contact(input).unwrap();
    assert!(second.created && second.contact.id != first.contact.id);
    let found = G::find_contacts(ContactQuery { name: Some(word.clone()), ..nobody() }).unwrap();
    assert_eq!(found.len(), 2);
    let limited = G::find_contacts(ContactQuery { name: Some(word), limit: Some(1), ..nobody() }).unwrap();
    assert_eq!(limited.len(), 1);
}

pub fn chinese_names_are_found<G: Guest>() {
    let word = unique();
    next_key();
    let name = format!("王小明{word}");
    let input =
        ContactInput { name: Some(name.clone()), email: Some(format!("{word}@例子.中国")), ..person() };
    let made = G::upsert_contact(input).unwrap().contact;
    assert_eq!(made.name.as_deref(), Some(name.as_str()));
    let found = G::find_contacts(ContactQuery { name: Some(format!("小明{word}")), ..nobody() }).unwrap();
    assert_eq!(found, std::slice::from_ref(&made));
    let found =
        G::find_contacts(ContactQuery { email: Some(format!("{word}@例子.中国")), ..nobody() }).unwrap();
    assert_eq!(found, [made]);
}

pub fn all_parts_of_a_query_must_match<G: Guest>() {
    let (word, mobile) = (unique(), mobile());
    next_key();
    let input = ContactInput {
        name: Some(format!("Ada {word}")),
        email: Some(format!("{word}@example.com")),
        phone: Some(format!("+86{mobile}")),
        language: None,
    };
    let ada = G::upsert_contact(input.clone()).unwrap().contact;
    let query =
        ContactQuery { email: input.email, phone: input.phone, name: Some("ADA".into()), limit: None };
    assert_eq!(G::find_contacts(query.clone()).unwrap(), [ada]);
    let wrong_name = ContactQuery { name: Some("Bob".into()), ..query.clone() };
    assert_eq!(G::find_contacts(wrong_name).unwrap(), []);
    let wrong_phone = ContactQuery { phone: Some(format!("+86{}", super::mobile())), ..query.clone() };
    assert_eq!(G::find_contacts(wrong_phone).unwrap(), []);
    let wrong_email = ContactQuery { email: Some(format!("{}@example.com", unique())), ..query };
    assert_eq!(G::find_contacts(wrong_email).unwrap(), []);
}

pub fn wildcards_are_letters<G: Guest>() {
    let word = unique();
    for local in ["a_b", "axb", "a%b"] {
        next_key();
        let email = Some(format!("{local}{word}@example.com"));
        let name = Some(format!("{local} {word} \\ \" '"));
        assert!(G::upsert_contact(ContactInput { email, name, ..person() }).unwrap().created, "{local}");
    }
    for local in ["a_b", "axb", "a%b"] {
        let by_mail = ContactQuery { email: Some(format!("{local}{word}@example.com")), ..nobody() };
        let by_name = ContactQuery { name: Some(format!("{local} {word} \\ \" '")), ..nobody() };
        for query in [by_mail, by_name] {
            assert_eq!(G::find_contacts(query.clone()).unwrap().len(), 1, "{query:?}");
        }
    }
    let everyone = G::find_contacts(ContactQuery { name: Some(format!("% {word}")), ..nobody() }).unwrap();
    assert_eq!(everyone, []);
}

pub fn impossible_contacts_are_refused<G: Guest>() {
    next_key();
    let some = |text: &str| Some(text.to_owned());
    for input in [
        person(),
        ContactInput { name: some(" \u{0} "), ..person() },
        ContactInput { email: some("no address"), ..person() },
        ContactInput { email: some("a@b.com\r\nBcc: everyone@example.com"), ..person() },
        ContactInput { email: some(&format!("{}@example.com", "a".repeat(100_000))), ..person() },
        ContactInput { phone: some("none"), ..person() },
        ContactInput { phone: some(&"1".repeat(40)), ..person() },
        ContactInput { name: some(&"x".repeat(201)), ..person() },
        ContactInput { name: some("x"), language: some("<script>"), ..person() },
    ] {
        refused(G::upsert_contact(input), "invalid-input");
    }
}

pub fn impossible_contact_queries_are_refused<G: Guest>() {
    let some = |text: &str| Some(text.to_owned());
    for query in [
        nobody(),
        ContactQuery { email: some(""), name: some("  "), ..nobody() },
        ContactQuery { email: some("*"), ..nobody() },
        ContactQuery { phone: some("+"), ..nobody() },
        ContactQuery { name: some("x"), limit: Some(0), ..nobody() },
        ContactQuery { name: some("x"), limit: Some(101), ..nobody() },
    ] {
        refused(G::find_contacts(query), "invalid-input");
    }
}

pub fn an_unknown_contact_is_not_found<G: Guest>() {
    let huge = "9".repeat(100_000);
    for id in [
        "",
        "nobody",
        "999999999",
        "18446744073709551616",
        "-1",
        "../1",
        "1/name",
        "0 or 1=1",
        "\u{0}",
        &huge,
    ] {
        refused(G::get_contact(id.into()), "not-found");
    }
}
