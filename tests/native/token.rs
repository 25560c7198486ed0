//! The token endpoint.

use crate::world::*;

#[test]
fn a_code_gives_tokens() {
    let site = Site::new();
    let tokens = site.tokens();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(site.inspect(tokens["access_token"].as_str().unwrap())["active"], true);
}
