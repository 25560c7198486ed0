//! Authorization responses on their way to the client: in the query, in the fragment, or in a form that the browser posts.

use super::{Response, params::with_params};
use crate::error::{Mode, Return};
use askama::Template;
use http::StatusCode;

/// A form that sends itself; by a button where scripts are off (OAuth 2.0 Form Post Response Mode §2).
#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    action: &'a str,
    params: &'a [(&'a str, &'a str)],
}

/// The digest of its only script.
const SCRIPT: &str = "sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE=";

/// The answer to an authorization request (RFC 6749 §4.1.2 and §4.2.2).
pub fn answer_to(back: &Return, params: &[(&str, &str)]) -> Response {
    match back.mode {
        Mode::Query => Response::see_other(with_params(&back.redirect_uri, params)),
        Mode::Fragment => {
            let fragment = with_params("", params);
            Response::see_other(format!("{}#{}", back.redirect_uri, fragment.trim_start_matches('?')))
        }
        Mode::FormPost => {
            let page = FormPost { action: &back.redirect_uri, params };
            let policy = format!(
                "default-src 'none'; script-src '{SCRIPT}'; style-src 'self'; form-action {}; \
                 frame-ancestors 'none'; base-uri 'none'",
                back.source
            );
            Response::new(StatusCode::OK, "text/html; charset=utf-8", page.render().unwrap_or_default())
                .with("content-security-policy", policy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_is_posted_has_every_parameter_as_text() {
        let (redirect_uri, source) = ("https://app.test/cb?x=1".to_owned(), "https://app.test".to_owned());
        let back = Return { redirect_uri, source, state: None, mode: Mode::FormPost };
        let response = answer_to(&back, &[("code", "a"), ("state", "\"><script>alert(1)</script>")]);
        let html = String::from_utf8(response.body.clone()).unwrap();
        assert!(html.contains(r#"action="https://app.test/cb?x=1""#), "{html}");
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(
            response.header("content-security-policy").unwrap().contains("form-action https://app.test;")
        );
    }
}
