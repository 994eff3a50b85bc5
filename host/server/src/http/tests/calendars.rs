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
