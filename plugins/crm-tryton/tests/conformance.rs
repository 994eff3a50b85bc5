//! The tests that every CRM must pass, on a real Tryton, when TRYTON_URL and TRYTON_KEY say where one is
//! (`tests/servers/tryton.sh start` and `env`); each is reported as skipped otherwise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::{env, time::Duration};

use factotum_sdk::{
    Fault,
    http::{Request, Response},
    testing,
};
use plugin_crm_tryton::Plugin;

fn setup() -> bool {
    let (Ok(url), Ok(key)) = (env::var("TRYTON_URL"), env::var("TRYTON_KEY")) else { return false };
    testing::reset();
    testing::set_config("base-url", &url);
    testing::set_config("default-type", "other");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into();
    // What the host does: puts the key in, and sends.
    testing::on_http(move |request| send(&agent, request, &key));
    true
}

fn send(agent: &ureq::Agent, request: &Request, key: &str) -> Result<Response, Fault> {
    let mut real = ureq::http::Request::builder().method(request.method.as_str()).uri(&request.url);
    for (name, value) in &request.headers {
        assert!(!name.eq_ignore_ascii_case("authorization"), "the plugin sends credentials");
        real = real.header(name, value);
    }
    let real =
        real.header("authorization", format!("Bearer {key}")).body(request.body.clone()).expect("a request");
    let mut answer = agent.run(real).map_err(|e| Fault::unavailable(e.to_string()))?;
    let headers =
        answer.headers().iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into()));
    let headers = headers.collect();
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_to_vec().map_err(|e| Fault::unavailable(e.to_string()))?;
    Ok(Response { status, headers, body })
}

factotum_crm_contract::conformance_tests!(Plugin, setup);

mod real {
    //! What Tryton really does, beyond the contract.

    use super::*;
    use factotum_crm_contract::{CaseInput, ContactInput, Guest};

    fn contact(email: &str) -> ContactInput {
        ContactInput { name: None, email: Some(email.into()), phone: None, language: None }
    }

    #[test]
    fn a_wrong_key_is_denied_without_html() {
        if !setup() {
            eprintln!("SKIPPED a_wrong_key_is_denied_without_html: nothing to test against");
            return;
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        testing::on_http(move |request| send(&agent, request, "wrong"));
        let fault = Plugin::upsert_contact(contact("a@example.com")).unwrap_err();
        assert_eq!(fault.code, "denied");
        assert!(!fault.message.contains('<') && fault.hint.is_some(), "{fault:?}");
    }

    #[test]
    fn a_wrong_database_is_a_configuration_fault() {
        if !setup() {
            eprintln!("SKIPPED a_wrong_database_is_a_configuration_fault: nothing to test against");
            return;
        }
        let url = env::var("TRYTON_URL").unwrap();
        testing::set_config("base-url", &format!("{url}-nowhere"));
        let fault = Plugin::upsert_contact(contact("a@example.com")).unwrap_err();
        assert!(!fault.message.contains('<') && fault.message.len() < 300, "{fault:?}");
    }

    #[test]
    fn a_category_without_a_type_needs_a_default() {
        if !setup() {
            eprintln!("SKIPPED a_category_without_a_type_needs_a_default: nothing to test against");
            return;
        }
        let contact = Plugin::upsert_contact(contact("types@example.com")).unwrap().contact;
        let case = |category: Option<&str>| CaseInput {
            contact_id: contact.id.clone(),
            subject: "s".into(),
            text: "t".into(),
            channel: "web".into(),
            category: category.map(Into::into),
            priority: None,
            sentiment: None,
            language: None,
            order_numbers: vec![],
        };
        testing::set_idempotency_key(&format!("types-{:?}", std::time::SystemTime::now()));
        assert_eq!(Plugin::add_case(case(Some("unheard_of"))).unwrap().category.as_deref(), Some("other"));
        testing::set_config("default-type", "");
        testing::set_idempotency_key(&format!("types-2-{:?}", std::time::SystemTime::now()));
        let fault = Plugin::add_case(case(Some("unheard_of"))).unwrap_err();
        assert_eq!(fault.code, "invalid-configuration");
        assert!(fault.message.contains("unheard_of"), "{fault:?}");
    }
}
