//! What the developer of a client copies: addresses, a request, a program, with everything filled in but the secret.

use super::Answer;
use crate::{context::Context, host::Host};
use serde_json::Value;

/// Titles and texts for one client.
pub(super) fn of<H: Host>(cx: &Context<'_, H>, client: &Answer) -> Vec<(&'static str, String)> {
    let (issuer, id, scope) = (&cx.config.issuer, client.text("client_id"), client.text("scope"));
    let list = |name: &str| client.body.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let may = |grant: &str| list("grant_types").iter().any(|own| own == grant);
    // As a text of JavaScript: what is quoted may be a stranger's.
    let quoted = |text: &str| Value::from(text).to_string();
    let public = client.text("token_endpoint_auth_method") == "none";
    let mut snippets = vec![(
        "Addresses",
        format!(
            "issuer                  {issuer}\n\
             client_id               {id}\n\
             metadata                {issuer}/.well-known/oauth-authorization-server\n\
             authorization_endpoint  {issuer}/authorize\n\
             token_endpoint          {issuer}/token\n\
             revocation_endpoint     {issuer}/revoke\n\
             introspection_endpoint  {issuer}/introspect"
        ),
    )];
    if may("client_credentials") {
        let curl = format!(
            "curl -s {issuer}/token -u '{id}:'\"$CLIENT_SECRET\" \\\n  -d grant_type=client_credentials --data-urlencode 'scope={}'",
            scope.replace('\'', "'\\''")
        );
        snippets.push(("A token of its own, with curl", curl));
    }
    let secret = if public { "undefined, client.None()" } else { "process.env.CLIENT_SECRET, undefined" };
    let head = format!(
        "import * as client from 'openid-client';\n\n\
         const server = new URL('{issuer}');\n\
         const config = await client.discovery(server, {}, {secret}, {{ algorithm: 'oauth2' }});\n",
        quoted(id)
    );
    if may("authorization_code") {
        let uris = list("redirect_uris");
        let redirect = quoted(uris.first().and_then(Value::as_str).unwrap_or_default());
        let scope = quoted(scope);
        let program = format!(
            "{head}const code_verifier = client.randomPKCECodeVerifier();\n\
             const state = client.randomState();\n\
             const url = client.buildAuthorizationUrl(config, {{\n\
             \x20 redirect_uri: {redirect},\n\
             \x20 scope: {scope},\n\
             \x20 code_challenge: await client.calculatePKCECodeChallenge(code_verifier),\n\
             \x20 code_challenge_method: 'S256',\n\
             \x20 state,\n\
             }});\n\
             // Send the browser to url. When it comes back, currentUrl is where it came back to:\n\
             const tokens = await client.authorizationCodeGrant(config, currentUrl, {{\n\
             \x20 pkceCodeVerifier: code_verifier,\n\
             \x20 expectedState: state,\n\
             }});"
        );
        snippets.push(("A person’s token, with openid-client", program));
    } else if may("client_credentials") {
        let program = format!(
            "{head}const tokens = await client.clientCredentialsGrant(config, {{ scope: {} }});",
            quoted(scope)
        );
        snippets.push(("A token of its own, with openid-client", program));
    }
    snippets
}
