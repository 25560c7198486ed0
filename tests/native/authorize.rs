//! `/authorize`, `/login`, `/consent`: what is asked, who decides, where the answer goes.

use crate::world::*;

#[test]
fn a_person_signs_in_allows_and_the_client_gets_a_code() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    assert_eq!(page.status, 200, "{}", text(&page));
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(text(&page).contains("consent-allow"), "{}", text(&page));
    let answer = site.decide(&page, "all", &[]);
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").unwrap().starts_with(CALLBACK));
    assert_eq!(parameter(&answer, "state").as_deref(), Some("a state"));
    assert_eq!(parameter(&answer, "iss").as_deref(), Some(ISSUER));
    assert!(parameter(&answer, "code").is_some());
}
