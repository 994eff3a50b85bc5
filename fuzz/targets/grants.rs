//! Grants as strangers write them, against each other and against a request.
//!
//! An input is text in four parts with a line `---` between them: grants, other grants, a narrowing (all TOML), and a
//! request: method, scheme, host, port, path, query, content type, content encoding, each on a line, then the body.
#![no_main]

use factotum_grant::{
    Access, Effective, Grants, HttpBody, HttpRequest, HttpTarget, Language, Narrowing, check_artifact,
    check_http, check_key_value, check_mail, check_mail_size, check_request, contains, narrow, sentences,
    widen,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.splitn(4, "\n---\n");
    let mut part = || parts.next().unwrap_or_default();
    let (one, two, by, request) = (part(), part(), part(), part());
    let Some(one) = read(one) else { return };
    let by: Narrowing = toml::from_str(by).unwrap_or_default();
    let request = Request::read(request);

    alone(&one);
    let narrow = narrow(&one, &by);
    antitone(&one, &narrow, &request);
    if let Ok(effective) = Effective::new(&Narrowing::default(), &one, &by) {
        if let Ok(permit) = effective.check_http(&request.view()) {
            let rule = std::slice::from_ref(&one.http[permit.index]);
            assert!(
                check_request(rule, &request.view()).is_ok(),
                "the effective right allows more than its grant"
            );
        }
        antitone(&one, effective.grants(), &request);
    }
    let Some(two) = read(two) else { return };
    alone(&two);
    match contains(&one, &two) {
        Ok(()) => antitone(&one, &two, &request),
        Err(differences) => {
            for difference in differences {
                said(difference.words(Language::English));
                said(difference.words(Language::Chinese));
                // What is to be taken away cannot be added.
                if !difference.mend.contains("# without") {
                    Grants::from_toml(&difference.mend).expect("a mend is a grant");
                }
            }
        }
    }
    let wide = widen(&one, &two);
    contains(&wide, &one).expect("a widened grant contains what it was");
    contains(&wide, &two).expect("a widened grant contains what was agreed to");
    antitone(&wide, &two, &request);
});

/// Grants that are read are written and read again as the same.
fn read(text: &str) -> Option<Grants> {
    let grants = Grants::from_toml(text).ok()?;
    let again = grants.to_toml().expect("what was read can be written");
    assert_eq!(Grants::from_toml(&again).expect("what was written can be read"), grants);
    Some(grants)
}

fn alone(grants: &Grants) {
    contains(grants, grants).expect("grants contain themselves");
    let (en, zh) = (sentences(grants, Language::English), sentences(grants, Language::Chinese));
    assert_eq!(en.len(), zh.len());
    en.iter().for_each(|sentence| said(sentence));
    zh.iter().for_each(|sentence| said(sentence));
}

/// What people read says something and moves no cursor.
fn said(sentence: &str) {
    assert!(!sentence.is_empty() && !sentence.chars().any(char::is_control), "{sentence:?}");
}

/// The narrower allows nothing that the wider refuses.
fn antitone(wide: &Grants, narrow: &Grants, request: &Request<'_>) {
    let view = request.view();
    let by_narrow = check_request(&narrow.http, &view);
    match check_request(&wide.http, &view) {
        Ok(permit) => {
            assert!(check_request(std::slice::from_ref(&wide.http[permit.index]), &view).is_ok());
        }
        Err(denial) => {
            assert!(by_narrow.is_err(), "allowed by the narrower alone: {denial:?}");
            if !denial.mend.starts_with('#') {
                let more = Grants::from_toml(&denial.mend).expect("a mend is a grant");
                let mended = [wide.http.as_slice(), &more.http].concat();
                assert!(check_request(&mended, &view).is_ok(), "the mend does not mend: {denial:?}");
            }
        }
    }
    if check_http(&wide.http, &view.target).is_ok() {
        assert!(
            wide.http.iter().any(|rule| rule.paths.iter().any(|path| path.matches(view.target.path))),
            "allowed without a path"
        );
    }
    for bytes in [0, 1000, request.body.len() as u64, u64::MAX] {
        if check_artifact(narrow.artifacts.as_ref(), bytes).is_ok() {
            check_artifact(wide.artifacts.as_ref(), bytes).expect("an artifact of the narrower's size");
        }
        if narrow.mail.is_some() && check_mail_size(narrow.mail.as_ref(), bytes).is_ok() {
            check_mail_size(wide.mail.as_ref(), bytes).expect("a mail of the narrower's size");
        }
    }
    let addresses = [request.host, request.path, request.query.unwrap_or_default()];
    for address in addresses {
        if check_mail(narrow.mail.as_ref(), None, [address]).is_ok() {
            check_mail(wide.mail.as_ref(), None, [address]).expect("mail to the narrower's recipients");
        }
        for access in [Access::Read, Access::ReadWrite] {
            if check_key_value(narrow, Some(address), access).is_ok() {
                check_key_value(wide, Some(address), access).expect("the narrower's namespaces");
            }
        }
    }
}

struct Request<'t> {
    method: &'t str,
    scheme: &'t str,
    host: &'t str,
    port: u16,
    path: &'t str,
    query: Option<&'t str>,
    content_type: Option<&'t str>,
    content_encoding: Option<&'t str>,
    body: &'t [u8],
}

impl<'t> Request<'t> {
    fn read(text: &'t str) -> Self {
        let mut lines = text.splitn(9, '\n');
        let mut line = || lines.next().unwrap_or_default();
        let some = |text: &'t str| (!text.is_empty()).then_some(text);
        Self {
            method: line(),
            scheme: line(),
            host: line(),
            port: line().parse().unwrap_or(443),
            path: line(),
            query: some(line()),
            content_type: some(line()),
            content_encoding: some(line()),
            body: line().as_bytes(),
        }
    }

    fn view(&self) -> HttpRequest<'t> {
        HttpRequest {
            target: HttpTarget {
                scheme: self.scheme,
                host: self.host,
                port: self.port,
                method: self.method,
                path: self.path,
            },
            query: self.query,
            body: HttpBody {
                bytes: self.body,
                content_type: self.content_type,
                content_encoding: self.content_encoding,
            },
        }
    }
}
