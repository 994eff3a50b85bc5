//! What people read when a new version, or a flow, asks for more than was granted.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use factotum_grant::{Capability, Difference, Grants, Language, contains, widen};

const VERSION_1_2: &str = r#"
    run-context = true
    [[http]]
    host = "erp.example.com"
    methods = ["GET", "POST"]
    paths = ["/contacts", "/contacts/*"]
    query = ["page"]
    body-fields = ["/contact/name"]
    max-response-bytes = 1048576
    per-minute = 60
    inject = [{ secret = "erp-key", bearer = true }]
"#;

fn differences(wider: &str, narrower: &str) -> Vec<Difference> {
    let (wider, narrower) = (Grants::from_toml(wider).unwrap(), Grants::from_toml(narrower).unwrap());
    let found = contains(&wider, &narrower).err().unwrap_or_default();
    assert!(contains(&widen(&wider, &narrower), &narrower).is_ok());
    found
}

fn english(found: &[Difference]) -> Vec<&str> {
    found.iter().map(|difference| difference.words(Language::English)).collect()
}

#[test]
fn one_more_path_in_version_1_3() {
    let version_1_3 = VERSION_1_2
        .replace("\"/contacts/*\"]", "\"/contacts/*\", \"/invoices\"]")
        .replace("\"POST\"", "\"POST\", \"DELETE\"");
    let found = differences(VERSION_1_2, &version_1_3);
    assert_eq!(
        english(&found),
        [
            "may also send requests: delete (DELETE) at erp.example.com: /contacts, /contacts/[any], /invoices",
            "may also send requests: read (GET) and add or send (POST) at erp.example.com: /invoices",
        ]
    );
    assert_eq!(
        found[1].words(Language::Chinese),
        "还可以发送请求：在 erp.example.com 读取 (GET)、新增或提交 (POST)：/invoices"
    );
    assert_eq!(found[1].capability, Some(Capability::Http));
    let mend = Grants::from_toml(&found[1].mend).unwrap().http.remove(0);
    assert_eq!(mend.paths, ["/invoices".parse().unwrap()]);
    assert_eq!(mend.methods, ["GET", "POST"]);
    assert_eq!(mend.per_minute, Some(60));
}

#[test]
fn each_bound_is_named() {
    for (old, new, words) in [
        ("query = [\"page\"]", "query = [\"page\", \"q\"]", "with the query keys q"),
        ("query = [\"page\"]", "", "with any query keys"),
        ("[\"/contact/name\"]", "[\"/contact\"]", "writing the fields /contact"),
        ("body-fields = [\"/contact/name\"]", "", "writing anything in the body"),
        ("1048576", "2097152", "receiving up to 2 MB each"),
        ("per-minute = 60", "per-minute = 90", "90 more requests a minute to erp.example.com"),
        ("per-minute = 60", "concurrency = 2", "any number of requests, 2 more at one time"),
        ("\"erp-key\"", "\"other\"", "“other” as bearer token"),
        ("inject = [{ secret = \"erp-key\", bearer = true }]", "", "without the secret"),
        ("query", "private-network = true\nquery", "inside of your own network"),
        ("\"erp.example.com\"", "\"*.example.com\"", "any host below example.com"),
        ("run-context = true", "config = true", "settings"),
        ("run-context = true", "mail = { recipients = [\"*@x.test\"] }", "mail to anybody at x.test"),
        ("run-context = true", "mail = {}", "to nobody yet"),
        ("run-context = true", "key-value = { access = \"read\" }", "stored under its name"),
        ("run-context = true", "artifacts = { max-bytes = 5 }", "files of up to 5 bytes each"),
        ("run-context = true", "limits = { memory-bytes = 134217728 }", "128 MB of memory"),
    ] {
        let found = differences(VERSION_1_2, &VERSION_1_2.replace(old, new));
        assert!(english(&found).iter().any(|text| text.contains(words)), "{old} -> {new}: {found:?}");
        assert!(found.iter().all(|difference| !difference.words(Language::Chinese).is_ascii()));
    }
    for (old, new) in [
        ("query = [\"page\"]", "query = []"),
        ("\"/contact/name\"", "\"/contact/name/first\""),
        ("1048576", "1000"),
        ("per-minute = 60", "per-minute = 1\nconcurrency = 1"),
        ("\"/contacts/*\"]", "\"/contacts/7\"]"),
        ("run-context = true", ""),
        ("\"erp.example.com\"", "\"ERP.example.com.\"\nport = 443"),
    ] {
        assert_eq!(differences(VERSION_1_2, &VERSION_1_2.replace(old, new)), [], "{old} -> {new}");
    }
}

#[test]
fn one_rule_may_be_contained_in_many() {
    let split = "[[http]]\nhost = \"x.test\"\nmethods = [\"GET\"]\npaths = [\"/**\"]\n[[http]]\nhost = \"x.test\"\nmethods = [\"POST\"]\npaths = [\"/a\", \"/b/*\"]";
    let one = "[[http]]\nhost = \"x.test\"\nmethods = [\"GET\", \"POST\"]\npaths = [\"/a\", \"/b/7\"]";
    assert_eq!(differences(split, one), []);
    assert_eq!(differences(one, split).len(), 2);
}
