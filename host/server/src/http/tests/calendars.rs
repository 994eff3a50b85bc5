//! Calendars over the API: who keeps them, and what is refused.

use factotum_access::{Role, Scope};
use serde_json::{Value, json};

use super::{Body, Desk, code};

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_keeps_calendars_and_others_see_them() {
    let desk = Desk::start().await;
    let deployer = desk.token("dora", Role::Deployer, Scope::Host);
    let path = "/api/v1/calendars/germany";
    let calendar =
        json!({ "calendar": { "timezone": "Europe/Berlin", "week": { "mon-fri": ["09:00-17:00"] } } });
    let put = |token: String, body: Value| {
        let desk = &desk;
        async move { desk.send(1, &token, "put", path, Body::Json(body)).await }
    };
    assert_eq!(code(put(deployer.clone(), calendar.clone()).await, 403).await, "role-lacks-permission");
    let wrong = json!({ "calendar": { "week": { "mon-fri": ["9-5"] } } });
    assert_eq!(code(put(desk.admin.clone(), wrong).await, 400).await, "invalid-request");
    assert_eq!(code(desk.get(&deployer, path).await, 404).await, "unknown-calendar");
    assert_eq!(put(desk.admin.clone(), calendar.clone()).await.status(), 200);
    let shown: Value = desk.get(&deployer, path).await.json().await.unwrap();
    assert_eq!((&shown["timezone"], &shown["calendar"]), (&json!("Europe/Berlin"), &calendar["calendar"]));
    let list: Value = desk.get(&deployer, "/api/v1/calendars").await.json().await.unwrap();
    assert_eq!(list["calendars"].as_array().unwrap().len(), 1);
    assert_eq!(desk.send(1, &desk.admin, "delete", path, Body::None).await.status(), 200);
    assert_eq!(code(desk.get(&deployer, path).await, 404).await, "unknown-calendar");
    assert_eq!((desk.audited("calendar.set").len(), desk.audited("calendar.remove").len()), (1, 1));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_imports_holidays_of_an_icalendar_file() {
    let desk = Desk::start().await;
    let deployer = desk.token("dora", Role::Deployer, Scope::Host);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let import = async |token: &str, query: &str, kind: &str, file: String| {
        let url = format!("{}/api/v1/calendars/desk/holidays{query}", desk.address);
        client.post(url).bearer_auth(token).header("content-type", kind).body(file).send().await.unwrap()
    };
    let file = |event: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n{event}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let christmas = file("DTSTART;VALUE=DATE:20201225\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Christmas Day");
    let ics = "text/calendar; charset=utf-8";
    assert_eq!(code(import(&desk.admin, "", ics, christmas.clone()).await, 404).await, "unknown-calendar");
    let calendar =
        json!({ "calendar": { "week": { "mon-fri": ["09:00-17:00"] }, "holidays": ["2020-01-01"] } });
    let path = "/api/v1/calendars/desk";
    assert_eq!(desk.send(1, &desk.admin, "put", path, Body::Json(calendar)).await.status(), 200);
    let holidays = async || {
        let shown: Value = desk.get(&desk.admin, path).await.json().await.unwrap();
        shown["calendar"]["holidays"].as_array().unwrap().len()
    };
    assert_eq!(code(import(&deployer, "", ics, christmas.clone()).await, 403).await, "role-lacks-permission");
    assert_eq!(
        code(import(&desk.admin, "", "text/plain", christmas.clone()).await, 415).await,
        "unsupported-media-type"
    );
    let tried: Value =
        import(&desk.admin, "?years=1&dry_run=true", ics, christmas.clone()).await.json().await.unwrap();
    assert_eq!((tried["added"].as_object().unwrap().len(), &tried["dry_run"]), (2, &json!(true)), "{tried}");
    assert_eq!(holidays().await, 1, "nothing was done");
    let done: Value = import(&desk.admin, "?years=2", ics, christmas.clone()).await.json().await.unwrap();
    let year = done["from"].as_i64().unwrap();
    assert_eq!(done["added"][format!("{}-12-25", year + 2)], "Christmas Day", "{done}");
    assert_eq!(holidays().await, 4);
    let again: Value = import(&desk.admin, "?years=2", ics, christmas.clone()).await.json().await.unwrap();
    assert_eq!((&again["added"], &again["known"]), (&json!({}), &json!(3)));
    let replaced: Value =
        import(&desk.admin, "?replace=true&years=0", ics, christmas).await.json().await.unwrap();
    assert_eq!(replaced["removed"].as_array().unwrap().len(), 3, "{replaced}");
    assert_eq!(holidays().await, 1);

    let wrong = import(&desk.admin, "", ics, file("DTSTART;VALUE=DATE:20261399")).await;
    assert_eq!(wrong.status(), 400);
    let wrong: Value = wrong.json().await.unwrap();
    assert!(wrong["detail"].as_str().unwrap().contains("the file, line 5: DTSTART"), "{wrong}");
    let wrong = client
        .post(format!("{}/api/v1/calendars/desk/holidays", desk.address))
        .bearer_auth(&desk.admin)
        .header("content-type", ics)
        .body(b"BEGIN:VCALENDAR\nSUMMARY:\xff".to_vec());
    let wrong: Value = wrong.send().await.unwrap().json().await.unwrap();
    assert!(wrong["detail"].as_str().unwrap().contains("line 2: this is no UTF-8"), "{wrong}");
    assert_eq!(code(import(&desk.admin, "?years=21", ics, file("")).await, 400).await, "invalid-request");
    let large = "X:1\r\n".repeat(300_000);
    assert_eq!(code(import(&desk.admin, "", ics, large).await, 413).await, "input-too-large");
    assert_eq!(desk.audited("calendar.import").len(), 2, "only what changed something");
    desk.stop().await;
}
