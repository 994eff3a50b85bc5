//! `call: human-task`: what the host is asked, and that the answer goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{Outcome, duration, fits_form};
use serde_json::{Value, json};
use std::time::Duration;
use support::{Fake, parse, run};

const ASK: &str = "use:
  functions:
    approve:
      call: human-task
      with: { group: supervisors, title: unset, priority: high, due: { hours: 8 } }
do:
- a:
    call: approve
    with:
      title: '${ \"Refund \\(.id)?\" }'
      form: { type: object, properties: { approved: { type: boolean, title: 'costs ${' } }, required: [approved] }
      requester: '${ .agent }'
      remind: [ PT1H, '${ .later }' ]
      escalate: { after: PT8H, group: managers }
";

#[tokio::test]
async fn a_person_is_asked_and_the_answer_goes_on() {
    let fx = Fake::echo();
    let outcome = run(&parse(ASK), json!({"id": 7, "agent": "bob", "later": "PT2H"}), &fx).await;
    let Outcome::Completed(output) = outcome else { panic!("{outcome:?}") };
    assert_eq!((&output["answer"], &output["by"]), (&json!({"approved": true}), &json!("ann")));
    let asked: Value = serde_json::from_str(&fx.asked()[0].what).unwrap();
    assert_eq!(
        asked,
        json!({"title": "Refund 7?", "group": "supervisors", "priority": "high", "requester": "bob", "due": {"hours": 8},
            "form": {"type": "object", "properties": {"approved": {"type": "boolean", "title": "costs ${"}}, "required": ["approved"]},
            "remind": ["PT1H", "PT2H"], "escalate": {"after": "PT8H", "group": "managers"}})
    );
    assert_eq!(duration(&asked["due"]), Ok(Duration::from_secs(8 * 3600)));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_not_asked() {
    for (input, said) in [
        (json!({"id": 7, "agent": {"a": 1}, "later": "PT1H"}), "`requester` must be a text"),
        (json!({"id": 7, "agent": "bob", "later": "soon"}), "is not an ISO 8601 duration"),
    ] {
        let fx = Fake::echo();
        let Outcome::Faulted(error) = run(&parse(ASK), input, &fx).await else { panic!() };
        assert!(error.status == 400 && error.to_string().contains(said), "{error}");
        assert!(fx.keys("ask").is_empty());
    }
}

#[test]
fn an_answer_is_checked_against_the_form() {
    let form =
        json!({"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]});
    assert!(fits_form(&form, &json!({"approved": false})).is_ok());
    assert!(fits_form(&form, &json!({"approved": "yes"})).unwrap_err().to_string().contains("approved"));
    assert!(fits_form(&json!(5), &json!({})).is_err());
}
