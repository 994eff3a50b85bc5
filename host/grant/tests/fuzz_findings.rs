//! What the fuzz targets found in this room, so that it stays mended.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use factotum_grant::{Grants, HttpBody, HttpRequest, HttpTarget, check_http, check_request};

/// `fuzz/targets/grants`: a denial proposed a grant that could not be read, or did not allow the request.
#[test]
fn a_target_that_no_grant_can_name_gets_no_mend() {
    let target = |scheme, port, method| HttpTarget { scheme, host: "a.test", port, method, path: "/" };
    for target in [
        target("htTps", 443, "GET"),
        target("ftp", 21, "GET"),
        target("https", 0, "GET"),
        target("https", 443, "get"),
        target("https", 443, "M\u{e9}THOD"),
    ] {
        let request = HttpRequest { target, query: None, body: HttpBody::default() };
        for denial in [check_request(&[], &request).unwrap_err(), check_http(&[], &target).unwrap_err()] {
            assert!(denial.mend.starts_with('#'), "{denial:?}");
        }
    }
    let request =
        HttpRequest { target: target("http", 8080, "POST"), query: None, body: HttpBody::default() };
    let mend = check_request(&[], &request).unwrap_err().mend;
    assert!(check_request(&Grants::from_toml(&mend).unwrap().http, &request).is_ok(), "{mend}");
}
