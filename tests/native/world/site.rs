//! One deployment in the world, and what is sent to it: by a person's browser, by clients, by an administrator.

use super::{World, now};
use edgemint::{
    context::config::Vars,
    server::Server,
    wire::{Request, Response, encode},
};
use http::Method;
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeMap};

pub const ISSUER: &str = "http://localhost:8787";
pub const ADMIN_TOKEN: &str = "an-administrators-token-of-forty-characters";
pub const KEY_A: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
pub const KEY_B: &str = "b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const FORM: &str = "application/x-www-form-urlencoded";
pub const CALLBACK: &str = "http://127.0.0.1:9999/callback";
pub const WEB: &str = "demo-web:demo-web-secret";
pub const MACHINE: &str = "demo-machine:demo-machine-secret";
pub const LEGACY: &str = "demo-legacy:demo-legacy-secret";
/// A client's wish for a token of its own.
pub const OWN: [(&str, &str); 1] = [("grant_type", "client_credentials")];

/// A deployment in a world, with the browser of one person before it.
pub struct Site {
    pub world: World,
    pub server: Server,
    /// All requests come over https, as they do where it is no laptop.
    secure: bool,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Site {
    /// Development, with its data, in a new world.
    pub fn new() -> Self {
        let site = Self::with(&World::new(), &development());
        assert_eq!(site.get("/healthz").status, 200);
        site.world.operations();
        site.world.events();
        site
    }

    /// A new isolate with these variables in this world.
    pub fn with(world: &World, vars: &Vars) -> Self {
        let secure = vars.issuer.as_ref().is_some_and(|issuer| issuer.starts_with("https"));
        Self { world: world.clone(), server: Server::new(vars), secure, cookies: RefCell::default() }
    }

    /// Another isolate of the same deployment: it remembers nothing. Its browser is another one.
    pub fn beside(&self) -> Self {
        Self::with(&self.world, &development())
    }

    /// The same deployment in another world that is as this one is now, before the same browser.
    pub fn fork(&self) -> Self {
        Self { cookies: self.cookies.clone(), ..Self::with(&self.world.fork(), &development()) }
    }

    /// Answers one request.
    pub fn send(&self, request: &Request) -> Response {
        let secure = request.secure || self.secure;
        self.as_it_is(&Request { secure, ..request.clone() })
    }

    /// Answers one request that says itself whether it came over https.
    pub fn as_it_is(&self, request: &Request) -> Response {
        now(self.server.respond(&self.world, request))
    }

    /// A request as a browser makes it: with its cookies, which it keeps.
    pub fn browse(&self, mut request: Request) -> Response {
        let cookies =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        if !cookies.is_empty() {
            request.headers.push(("cookie".to_owned(), cookies.join("; ")));
        }
        let response = self.send(&request);
        for (_, set) in response.headers.iter().filter(|(name, _)| *name == "set-cookie") {
            let (pair, _) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
        response
    }

    /// The browser forgets a cookie.
    pub fn forget_cookie(&self, name: &str) {
        self.cookies.borrow_mut().remove(name);
    }

    /// The value of one of the browser's cookies.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    /// GET in the browser.
    pub fn get(&self, target: &str) -> Response {
        self.browse(request(Method::GET, target, &[], ""))
    }

    /// A form posted in the browser.
    pub fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.browse(request(Method::POST, path, &[("content-type", FORM)], &form(fields)))
    }

    /// A form posted by a client: `(status, JSON)`. `client` is `id:secret` for Basic, or `id` for a public client.
    pub fn post(&self, path: &str, client: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let response = self.send(&post(path, client, fields));
        let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        (response.status.as_u16(), body)
    }

    /// The token endpoint: `(status, JSON)`.
    pub fn token(&self, client: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.post("/token", client, fields)
    }

    /// Introspection by `demo-api`.
    pub fn inspect(&self, token: &str) -> Value {
        let (status, body) = self.post("/introspect", "demo-api:demo-api-secret", &[("token", token)]);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// A request to the administration API: `(status, JSON)`.
    pub fn admin(&self, method: Method, target: &str, body: &Value) -> (u16, Value) {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(&request(method, target, &headers, &body));
        (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    /// A change by the administrator that is done.
    pub fn patch(&self, target: &str, body: &Value) {
        let (status, answer) = self.admin(Method::PATCH, target, body);
        assert_eq!(status, 200, "{answer}");
    }

    /// The authorization request of a demo client with its defaults; `more` replaces or adds, an empty value removes.
    pub fn authorize(&self, client_id: &str, more: &[(&str, &str)]) -> Response {
        self.get(&format!("/authorize?{}", form(&authorization(client_id, more))))
    }

    /// Signs in on the page that is shown.
    pub fn sign_in(&self, page: &Response, username: &str, password: &str) -> Response {
        let pending = field(page, "pending");
        self.submit("/login", &[("pending", &pending), ("username", username), ("password", password)])
    }

    /// Decides on the page that is shown.
    pub fn decide(&self, page: &Response, decision: &str, scopes: &[&str]) -> Response {
        let pending = field(page, "pending");
        let mut fields = vec![("pending", pending.as_str()), ("decision", decision)];
        fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
        self.submit("/consent", &fields)
    }

    /// A code for `client_id`, from alice, with all it asks for.
    pub fn code(&self, client_id: &str, more: &[(&str, &str)]) -> String {
        let page = self.authorize(client_id, more);
        let page = if text(&page).contains("id=\"login-submit\"") {
            self.sign_in(&page, "alice", "wonderland")
        } else {
            page
        };
        // What was allowed before is answered at once.
        let answer = if page.status == 303 { page } else { self.decide(&page, "all", &[]) };
        parameter(&answer, "code").unwrap_or_else(|| panic!("no code: {} {}", answer.status, text(&answer)))
    }

    /// Redeems a code of `demo-web`.
    pub fn redeem(&self, code: &str) -> (u16, Value) {
        self.token("demo-web:demo-web-secret", &redemption(code))
    }

    /// The tokens of a new grant of `demo-web`.
    pub fn tokens(&self) -> Value {
        let (status, body) = self.redeem(&self.code("demo-web", &[]));
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The tokens of a new grant of `demo-legacy`: its family has no end, and three refreshes.
    pub fn legacy_tokens(&self) -> Value {
        let code = self.code("demo-legacy", &[]);
        let fields = authorization("demo-legacy", &[]);
        let (_, redirect_uri) = fields.iter().find(|(name, _)| *name == "redirect_uri").unwrap();
        let mut fields = redemption(&code);
        fields[2].1 = redirect_uri;
        let (status, body) = self.token(LEGACY, &fields);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Refreshes for `demo-web`.
    pub fn refresh(&self, token: &str) -> (u16, Value) {
        self.token("demo-web:demo-web-secret", &[("grant_type", "refresh_token"), ("refresh_token", token)])
    }
}

/// A member of an answer that must be a text.
pub fn string(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned()
}

/// What introspection says of a token that is good for nothing.
pub fn dead() -> Value {
    json!({ "active": false })
}

/// The variables of development.
pub fn development() -> Vars {
    Vars {
        mode: Some("development".into()),
        issuer: Some(ISSUER.into()),
        master_key: Some(KEY_A.into()),
        admin_token: Some(ADMIN_TOKEN.into()),
    }
}

/// A request to the issuer's host.
pub fn request(method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method,
        secure: false,
        host: "localhost:8787".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: Some(body.as_bytes().to_vec()),
    }
}

/// A client's form, authenticated as in [`Site::post`].
pub fn post(path: &str, client: &str, fields: &[(&str, &str)]) -> Request {
    use base64ct::{Base64, Encoding};
    let mut headers = vec![("content-type", FORM.to_owned())];
    let mut fields = fields.to_vec();
    match client.split_once(':') {
        Some(_) => {
            headers.push(("authorization", format!("Basic {}", Base64::encode_string(client.as_bytes()))));
        }
        None if !client.is_empty() => fields.push(("client_id", client)),
        None => {}
    }
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    request(Method::POST, path, &headers, &form(&fields))
}

/// The parameters of an authorization request.
pub fn authorization<'a>(client_id: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let redirect_uri = match client_id {
        "demo-spa" => "http://127.0.0.1:9999/spa",
        "demo-legacy" => "http://127.0.0.1:9999/legacy",
        _ => CALLBACK,
    };
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("state", "a state"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

/// The parameters of a redemption by `demo-web`.
pub fn redemption(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

/// A form's text.
pub fn form(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The body as text.
pub fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("UTF-8")
}

/// The value of a hidden field.
pub fn field(page: &Response, name: &str) -> String {
    let html = text(page);
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) =
        html.split_once(&start).unwrap_or_else(|| panic!("no field {name}: {} {html}", page.status));
    rest.split_once('"').unwrap().0.to_owned()
}

/// A parameter of the redirect's query.
pub fn parameter(response: &Response, name: &str) -> Option<String> {
    let location = response.header("location")?;
    // Of an access token it is in the fragment (RFC 6749 §4.2.2).
    let (_, query) = location.split_once('#').or_else(|| location.split_once('?'))?;
    let params = edgemint::wire::Params::parse(query.as_bytes(), &[]).ok()?;
    params.optional(name).map(str::to_owned)
}
