//! Bodies that are read, and bodies that are refused.

use super::*;

fn check(allowed: &[&str], body: &str) -> Result<(), BodyProblem> {
    check_as(allowed, body.as_bytes(), Some("application/json"), None)
}

fn check_as(
    allowed: &[&str],
    bytes: &[u8],
    content_type: Option<&str>,
    content_encoding: Option<&str>,
) -> Result<(), BodyProblem> {
    let allowed: Vec<FieldPointer> = allowed.iter().map(|pointer| pointer.parse().unwrap()).collect();
    check_body(&allowed, &HttpBody { bytes, content_type, content_encoding })
}

#[test]
fn each_value_lies_in_a_granted_field() {
    let allowed = ["/contact/name", "/contact/tags", "/items/*/price", "/items/0/name", "/a~1b"];
    for good in [
        "{}",
        "",
        r#"{"contact":{"name":"x"}}"#,
        r#"{"contact":{"name":{"first":"x","last":[1,2.5,null,true]}}}"#,
        r#"{"contact":{"tags":[]}}"#,
        r#"{"items":[{"price":1,"name":"x"},{"price":2}]}"#,
        r#"{"a/b":1, "contact":{"n\u0061me":"x"}}"#,
    ] {
        assert_eq!(check(&allowed, good), Ok(()), "{good}");
    }
    for (bad, field) in [
        (r#"{"contact":{"name":"x","vip":true}}"#, "/contact/vip"),
        (r#"{"contact":"x"}"#, "/contact"),
        (r#"{"contact":{}}"#, "/contact"),
        (r#"{"items":[{"price":1},{"name":"x"}]}"#, "/items/1/name"),
        (r#"{"items":[]}"#, "/items"),
        (r#"{"items":[5]}"#, "/items/0"),
        (r#"{"Contact":{"name":"x"}}"#, "/Contact/name"),
        (r#"{"Contact":7}"#, "/Contact"),
        (r#"{"contact":{"name":"x"},"x/y":1}"#, "/x~1y"),
        (r#"{"contact":{"name\u0000":"x"}}"#, "/contact/name\0"),
        ("[]", ""),
        ("7", ""),
        ("null", ""),
    ] {
        assert_eq!(check(&allowed, bad), Err(BodyProblem::Field(field.into())), "{bad}");
    }
    assert_eq!(check(&[""], "[1,{\"x\":2}]"), Ok(()));
    assert_eq!(check(&[], "{}"), Ok(()));
    assert_eq!(check(&[], "{\"a\":1}"), Err(BodyProblem::Field("/a".into())));
}

#[test]
fn the_tenth_and_the_hundredth_element() {
    let body = format!("[{}]", vec!["1"; 120].join(","));
    let allowed: Vec<String> = (0..119).map(|at| format!("/{at}")).collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    assert_eq!(check(&allowed, &body), Err(BodyProblem::Field("/119".into())));
    assert_eq!(check(&["/*"], &body), Ok(()));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let many: Vec<String> = (0..40).map(|at| format!("\"k{at}\":1")).collect();
    let many = format!("{{{},\"k39\":2}}", many.join(","));
    for bad in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":{"x":{"y":1,"y":2}}}"#,
        &many,
        "{\"a\":1} {\"b\":2}",
        "{\"a\":1,}",
        "{\"a\":NaN}",
        "{'a':1}",
        "{\"a\":1 /* x */}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"x\ny\"}",
        "\u{feff}{\"a\":1}",
        &format!("{}1{}", "[".repeat(65), "]".repeat(65)),
    ] {
        assert!(matches!(check(&["/a", ""], bad), Err(BodyProblem::Unclear(_))), "{bad}");
    }
    assert!(check(&[""], &many.replace(",\"k39\":2", "")).is_ok());
}

#[test]
fn only_json_in_utf_8_that_is_not_packed() {
    let body = br#"{"a":1}"#;
    let check = |content_type, encoding| check_as(&["/a"], body, content_type, encoding).is_ok();
    for good in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
        "application/vnd.api+json",
    ] {
        assert!(check(Some(good), None), "{good}");
    }
    for bad in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json, text/plain",
        "application/json-patch+json",
        "application/+json",
        "application/jsonp",
        "application/x-ndjson",
        "",
    ] {
        assert!(!check(Some(bad), None), "{bad}");
    }
    assert!(!check(None, None));
    assert!(check(Some("application/json"), Some("identity")));
    for encoding in ["gzip", "br", "deflate", "identity, gzip", ""] {
        assert!(!check(Some("application/json"), Some(encoding)), "{encoding}");
    }
    let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [utf16.as_slice(), b"{\"a\":\"\xff\"}", b"a=1"] {
        assert!(check_as(&["/a"], bytes, Some("application/json"), None).is_err());
    }
}

#[test]
fn a_number_shown_as_a_map_is_still_a_number() {
    // What arbitrary precision makes of {"a": 5}; as a body, it cannot pass for an object with members.
    let body = format!("{{\"a\":{{\"{NUMBER}\":\"5\"}}}}");
    assert_eq!(check(&["/a/*"], &body), Err(BodyProblem::Field("/a".into())));
    assert_eq!(check(&["/a"], &body), Ok(()));
}
