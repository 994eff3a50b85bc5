//! The rules that grants keep, whatever is written in them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "common/arbitrary.rs"]
mod arbitrary;

use arbitrary::{Request, carried, grants, http_narrowing, narrowing, request, request_like, rule};
use factotum_grant::{
    Access, Effective, Grants, HttpNarrowing, HttpRule, Language, Narrowing, check_data, check_key_value,
    check_mail_with, check_request, check_request_with, contains, narrow, sentences, widen,
};
use factotum_provenance::Carried;
use proptest::{collection::vec, prelude::*};

const ADDRESSES: [&str; 6] =
    ["a@x.test", "b@x.test", "b@y.test", "c@z.test", "a%z@x.test", "a@z.test,a@x.test"];

fn allows(rules: &[HttpRule], request: &Request) -> bool {
    check_request_with(rules, &request.view(), &Carried::default()).is_ok()
}

/// The same without anything that keeps data away.
fn open(grants: &Grants) -> Grants {
    let mut open = grants.clone();
    open.data.not_from.clear();
    open.mail.iter_mut().for_each(|mail| mail.not_from.clear());
    open.http.iter_mut().for_each(|rule| rule.not_from.clear());
    open
}

/// Grants, and requests of which many are taken by them.
fn grants_and_requests() -> impl Strategy<Value = (Grants, Vec<Request>)> {
    grants().prop_flat_map(|grants| {
        let like = grants.http.iter().cloned().map(|rule| request_like(rule).boxed());
        let all = proptest::strategy::Union::new(like.chain([request().boxed()]));
        (Just(grants), vec(all, 12))
    })
}

/// A rule, a relative of it that differs in one thing, and requests made for the relative.
fn relatives() -> impl Strategy<Value = (HttpRule, HttpRule, Vec<Request>)> {
    (rule(), rule(), 0..6_u8).prop_flat_map(|(mut wide, other, which)| {
        wide.max_request_bytes = HttpRule::MAX_BYTES;
        wide.paths.push("/a/*".parse().unwrap());
        let mut relative = wide.clone();
        match which {
            0 => relative.query = other.query,
            1 => relative.body_fields = other.body_fields,
            2 => relative.host = other.host,
            3 => relative.paths = other.paths,
            4 => (relative.inject, relative.credentials) = (other.inject, other.credentials),
            _ => (relative.methods, relative.scheme) = (other.methods, other.scheme),
        }
        (Just(wide), Just(relative.clone()), vec(request_like(relative), 24))
    })
}

/// Checks that `wide` refuses nothing that `narrow` allows.
fn assert_antitone(wide: &Grants, narrow: &Grants, requests: &[Request]) -> Result<(), TestCaseError> {
    for request in requests {
        prop_assert!(allows(&wide.http, request) || !allows(&narrow.http, request), "{request:?}");
    }
    for address in ADDRESSES {
        let to = |grants: &Grants| {
            check_mail_with(grants.mail.as_ref(), None, [address], &Carried::default()).is_ok()
        };
        let from = |grants: &Grants| {
            check_mail_with(grants.mail.as_ref(), Some(address), [], &Carried::default()).is_ok()
        };
        prop_assert!(to(wide) || !to(narrow), "to {address}");
        prop_assert!(from(wide) || !from(narrow), "from {address}");
    }
    for namespace in [None, Some("crm"), Some("report"), Some("mail")] {
        for access in [Access::Read, Access::ReadWrite] {
            let may = |grants: &Grants| check_key_value(grants, namespace, access).is_ok();
            prop_assert!(may(wide) || !may(narrow), "{namespace:?} {access:?}");
        }
    }
    for capability in factotum_grant::Capability::ALL {
        // Rules without methods or paths allow nothing; they count for the capability alone.
        let rules = narrow.http.iter().all(|rule| rule.paths.is_empty());
        if capability != factotum_grant::Capability::Http || !rules {
            prop_assert!(wide.allows(capability) || !narrow.allows(capability), "{capability}");
        }
    }
    Ok(())
}

/// What the rule is when the narrowing's words replace its own: allowed is what both allow.
fn replaced(rule: &HttpRule, by: &HttpNarrowing) -> HttpRule {
    let mut new = rule.clone();
    if let Some(scheme) = &by.scheme {
        new.port = Some(rule.effective_port());
        new.scheme.clone_from(scheme);
    }
    new.port = by.port.or(new.port);
    new.host = by.host.clone().unwrap_or(new.host);
    new.methods = by.methods.clone().unwrap_or(new.methods);
    new.paths = by.paths.clone().unwrap_or(new.paths);
    new.query = by.query.clone().or(new.query);
    new.body_fields = by.body_fields.clone().or(new.body_fields);
    for source in &by.not_from {
        new.not_from.push(source.clone());
    }
    new.max_request_bytes = by.max_request_bytes.unwrap_or(new.max_request_bytes);
    new
}

fn both_allow(rules: &[HttpRule], by: Option<&[HttpNarrowing]>, request: &Request) -> bool {
    rules.iter().any(|rule| {
        allows(std::slice::from_ref(rule), request)
            && by.is_none_or(|by| by.iter().any(|by| allows(&[replaced(rule, by)], request)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grants_contain_themselves(grants in grants()) {
        prop_assert_eq!(contains(&grants, &grants), Ok(()));
    }

    #[test]
    fn grants_survive_toml_and_json(mut grants in grants()) {
        for rule in &mut grants.http {
            rule.private_network = rule.may_be_private();
        }
        prop_assert_eq!(&Grants::from_toml(&grants.to_toml().unwrap()).unwrap(), &grants);
        let json = serde_json::to_string(&grants).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Grants>(&json).unwrap(), &grants);
    }

    #[test]
    fn the_narrower_allows_nothing_that_the_wider_refuses(
        (wide, requests) in grants_and_requests(), by in narrowing(), other in grants(),
    ) {
        for narrow in [narrow(&wide, &by), other] {
            if contains(&wide, &narrow).is_ok() {
                assert_antitone(&wide, &narrow, &requests)?;
            }
        }
    }

    #[test]
    fn single_rules_too(wide in rule(), narrower in rule(), by in http_narrowing(), more in vec(request(), 4)) {
        let wide = Grants { http: vec![wide], ..Grants::default() };
        // Near relatives: the rule itself with some of its words taken from another.
        let mut relative = narrower.clone();
        relative.scheme.clone_from(&wide.http[0].scheme);
        relative.port = wide.http[0].port;
        relative.host = wide.http[0].host.clone();
        relative.inject.clone_from(&wide.http[0].inject);
        relative.credentials.clone_from(&wide.http[0].credentials);
        let replaced = replaced(&wide.http[0], &by);
        for rule in [narrower, relative, replaced] {
            let narrower = Grants { http: vec![rule], ..Grants::default() };
            if contains(&wide, &narrower).is_ok() {
                assert_antitone(&wide, &narrower, &more)?;
            }
        }
    }

    #[test]
    fn relatives_too((wide, relative, requests) in relatives()) {
        let grants = |rule| Grants { http: vec![rule], ..Grants::default() };
        let (wide, relative) = (grants(wide), grants(relative));
        for (one, two) in [(&wide, &relative), (&relative, &wide)] {
            if contains(one, two).is_ok() {
                assert_antitone(one, two, &requests)?;
            }
        }
    }

    #[test]
    fn containment_is_transitive(one in grants(), two in grants(), three in grants(), by in narrowing()) {
        let wider = widen(&one, &two);
        let widest = widen(&wider, &three);
        prop_assert_eq!(contains(&wider, &one), Ok(()));
        prop_assert_eq!(contains(&widest, &wider), Ok(()));
        prop_assert_eq!(contains(&widest, &one), Ok(()));
        prop_assert_eq!(contains(&open(&widest), &open(&two)), Ok(()));
        let narrow = narrow(&one, &by);
        for (a, b, c) in [(&one, &two, &three), (&wider, &one, &narrow), (&widest, &wider, &narrow), (&two, &one, &narrow)] {
            if contains(a, b).is_ok() && contains(b, c).is_ok() {
                prop_assert_eq!(contains(a, c), Ok(()));
            }
        }
    }

    #[test]
    fn rates_are_parted_transitively(
        a in vec((1..9_u32, 0..3_usize), 1..4), b in vec((1..6_u32, 0..3_usize), 1..4), c in vec((1..4_u32, 0..3_usize), 1..4),
    ) {
        let paths = ["/**", "/a/**", "/a/b"];
        let make = |rules: &[(u32, usize)]| {
            let text: String = rules.iter().map(|(rate, path)| format!(
                "[[http]]\nhost = \"x.test\"\nmethods = [\"GET\"]\npaths = [\"{}\"]\nper-minute = {rate}\n", paths[*path]
            )).collect();
            Grants::from_toml(&text).unwrap()
        };
        let (a, b, c) = (make(&a), make(&b), make(&c));
        if contains(&a, &b).is_ok() {
            let sum = |grants: &Grants| grants.http.iter().filter_map(|rule| rule.per_minute).sum::<u32>();
            prop_assert!(sum(&b) <= sum(&a));
            if contains(&b, &c).is_ok() {
                prop_assert_eq!(contains(&a, &c), Ok(()));
            }
        }
        // The order of rules says nothing.
        let mut turned = b.clone();
        turned.http.reverse();
        prop_assert_eq!(contains(&b, &turned), Ok(()));
        prop_assert_eq!(contains(&a, &b).is_ok(), contains(&a, &turned).is_ok());
    }

    #[test]
    fn widening_closes_every_difference(one in grants(), two in grants()) {
        let wide = widen(&one, &two);
        prop_assert_eq!(contains(&wide, &one), Ok(()));
        prop_assert_eq!(contains(&open(&wide), &open(&two)), Ok(()));
        let kept = |grants: &Grants| grants.mail.as_ref().map(|mail| mail.not_from.clone());
        prop_assert!(wide.data == one.data && (one.mail.is_none() || kept(&wide) == kept(&one)));
        if contains(&one, &two).is_ok() {
            prop_assert_eq!(&wide.http, &one.http);
        }
    }

    #[test]
    fn the_mend_of_a_difference_closes_it(one in grants(), two in grants()) {
        for difference in contains(&one, &two).err().unwrap_or_default() {
            prop_assert!(!difference.words(Language::English).is_empty());
            prop_assert!(!difference.words(Language::Chinese).is_ascii());
            // A bound that is to be taken away cannot be added.
            if !difference.mend.contains("# without") {
                let mended = widen(&one, &Grants::from_toml(&difference.mend).unwrap());
                let left = contains(&mended, &two).err().unwrap_or_default();
                prop_assert!(!left.contains(&difference), "{difference:?}");
            }
        }
    }

    #[test]
    fn the_effective_right_is_what_all_three_allow(
        (granted, requests) in grants_and_requests(), asked in narrowing(), flow in narrowing(),
    ) {
        let effective = Effective::new(&asked, &granted, &flow).unwrap();
        let stays = |by: &Narrowing| by.only.as_ref().is_none_or(|only| only.contains(&factotum_grant::Capability::Http));
        let by_manifest = narrow(&granted, &asked);
        assert_antitone(&granted, effective.grants(), &requests)?;
        assert_antitone(&by_manifest, effective.grants(), &requests)?;
        for request in &requests {
            let expected = stays(&asked) && stays(&flow)
                && both_allow(&by_manifest.http, flow.http.as_deref(), request)
                && both_allow(&granted.http, asked.http.as_deref(), request);
            match effective.check_http_with(&request.view(), &Carried::default()) {
                Ok(permit) => {
                    prop_assert!(expected, "{:?}", request);
                    let source = &granted.http[permit.index];
                    prop_assert!(allows(std::slice::from_ref(source), request));
                    prop_assert_eq!(permit.rule.per_minute, source.per_minute);
                    prop_assert_eq!(permit.rule.private_network, source.private_network);
                    prop_assert!(permit.rule.secrets().eq(source.secrets()));
                }
                Err(_) => prop_assert!(!expected, "{:?}", request),
            }
        }
    }

    #[test]
    fn the_narrower_takes_no_data_that_the_wider_keeps_away(
        (wide, requests) in grants_and_requests(), by in narrowing(), other in grants(), data in vec(carried(), 4),
    ) {
        let mut relative = wide.clone();
        relative.http.iter_mut().zip(&other.http).for_each(|(rule, other)| rule.not_from.clone_from(&other.not_from));
        relative.data.clone_from(&other.data);
        for narrow in [narrow(&wide, &by), relative] {
            if contains(&wide, &narrow).is_err() {
                continue;
            }
            for data in &data {
                let given = |grants: &Grants| check_data(&grants.data, data).is_ok();
                prop_assert!(given(&wide) || !given(&narrow));
                let mailed = |grants: &Grants| check_mail_with(grants.mail.as_ref(), None, ["a@x.test"], data).is_ok();
                prop_assert!(mailed(&wide) || !mailed(&narrow));
                for request in &requests {
                    let sent = |grants: &Grants| check_request_with(&grants.http, &request.view(), data).is_ok();
                    prop_assert!(sent(&wide) || !sent(&narrow), "{request:?} {data:?}");
                }
            }
        }
    }

    /// What a rule names never goes there, and who does not know what is carried sends nothing.
    #[test]
    fn data_that_is_kept_away_never_passes((granted, requests) in grants_and_requests(), data in carried()) {
        for request in &requests {
            if let Ok(permit) = check_request_with(&granted.http, &request.view(), &data) {
                let labels = data.total();
                prop_assert!(!labels.iter().any(|label| permit.rule.not_from.iter().any(|source| source.matches(label))));
            }
            if let Ok(permit) = check_request(&granted.http, &request.view()) {
                prop_assert!(permit.rule.not_from.is_empty());
            }
        }
    }

    #[test]
    fn the_mend_of_a_denial_allows_the_request((granted, requests) in grants_and_requests()) {
        for request in &requests {
            let Err(denial) = check_request_with(&granted.http, &request.view(), &Carried::default()) else { continue };
            if !denial.mend.starts_with('#') {
                let more = Grants::from_toml(&denial.mend).map_err(|e| TestCaseError::fail(format!("{denial:?}: {e}")))?;
                let mended = [granted.http.as_slice(), &more.http].concat();
                prop_assert!(allows(&mended, request), "{request:?} {denial:?}");
            }
        }
    }

    #[test]
    fn sentences_say_as_much_in_both_languages(grants in grants()) {
        let (en, zh) = (sentences(&grants, Language::English), sentences(&grants, Language::Chinese));
        prop_assert_eq!(en.len(), zh.len());
        prop_assert!(en.iter().all(|text| text.ends_with('.') && !text.chars().any(char::is_control)));
        prop_assert!(zh.iter().all(|text| text.ends_with('。') && !text.chars().any(char::is_control)));
    }
}
