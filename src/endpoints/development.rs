//! Development: data that everybody knows, made once and on loopback only, and a walk through a flow. In production the
//! same data is a reason not to serve.

use crate::{
    context::{Config, Context},
    crypto::{self, Kind},
    error::{Code, Error, Fault},
    host::{Attempts, FORMAT, Host, Timestamp},
    json,
    list::List as _,
    model::{
        account::{self, Account},
        client::{Client, Hashed},
        metadata::{AuthMethod, Metadata},
        openid,
        pkce::Challenge,
        policy::{Policy, ScopeEntry},
        profile::Profile,
        scope::Scope,
        settings::Lifetime,
        ticket::Ticket,
    },
    objects::protocol::{
        account_shard::{self, AccountShard},
        registry::{self, Registry},
    },
    pages,
    session::Browser,
    sorted::{ByName, Set},
    wire::{Params, Request, Response, with_params},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The format of the data below. Raise it with any change: older data is brought up to it at the next request.
const FORMAT_OF_DATA: u8 = 4;

/// Makes the data in development; refuses to serve it in production.
pub async fn check<H: Host>(cx: &Context<'_, H>) -> Result<(), Error> {
    let policy = cx.policy().await?;
    let current = policy.development >= FORMAT_OF_DATA;
    match (cx.config.development, policy.development) {
        (true, _) if current && policy.development_issuer == cx.config.issuer => Ok(()),
        (false, _) => refuse_in_production(cx.config, &policy),
        (true, _) => {
            seed(cx, current).await?;
            cx.memory().forget();
            Ok(())
        }
    }
}

/// Refuses to serve data of development in production.
pub fn refuse_in_production(config: &Config, policy: &Policy) -> Result<(), Error> {
    if config.development || (policy.development == 0 && policy.development_issuer.is_empty()) {
        return Ok(());
    }
    let detail = "this server is not configured to serve; its log says why";
    Err(Error::new(Code::ServerError, detail).because("development data in a production registry"))
}

struct DemoClient {
    id: &'static str,
    secret: Option<&'static str>,
    profile: Profile,
    grant_types: &'static [&'static str],
    redirect_uris: &'static [&'static str],
    name: &'static str,
}

const CODE: &str = "authorization_code";
const REFRESH: &str = "refresh_token";
const OWN: &str = "client_credentials";
/// Under the issuer, whatever its port.
const OWN_CALLBACK: &str = "/dev/callback";
const API_SCOPES: &str = "orders.read orders.write reports";

#[rustfmt::skip]
const CLIENTS: &[DemoClient] = &[
    DemoClient { id: "demo-web",     secret: Some("demo-web-secret"),     profile: Profile::Oauth21, grant_types: &[CODE, REFRESH],                              redirect_uris: &["http://127.0.0.1:9999/callback", "http://localhost:9999/callback"], name: "Demo web application" },
    DemoClient { id: "demo-spa",     secret: None,                        profile: Profile::Oauth21, grant_types: &[CODE, REFRESH],                              redirect_uris: &["http://127.0.0.1:9999/spa"],      name: "Demo single-page application" },
    DemoClient { id: "demo-machine", secret: Some("demo-machine-secret"), profile: Profile::Oauth21, grant_types: &[OWN],                                        redirect_uris: &[],                                 name: "Demo machine" },
    DemoClient { id: "demo-legacy",  secret: Some("demo-legacy-secret"),  profile: Profile::Legacy,  grant_types: &[CODE, "implicit", "password", OWN, REFRESH], redirect_uris: &["http://127.0.0.1:9999/legacy"],   name: "Demo legacy application" },
    DemoClient { id: "demo-short",   secret: Some("demo-short-secret"),   profile: Profile::Oauth21, grant_types: &[CODE, REFRESH, OWN],                         redirect_uris: &["http://127.0.0.1:9999/callback"], name: "Demo of short lifetimes" },
    DemoClient { id: "demo-api",     secret: Some("demo-api-secret"),     profile: Profile::Oauth21, grant_types: &[],                                           redirect_uris: &[],                                 name: "Demo resource server" },
    DemoClient { id: "demo-landing", secret: None,                        profile: Profile::Oauth21, grant_types: &[CODE, REFRESH],                              redirect_uris: &[OWN_CALLBACK],                     name: "Walk through a flow" },
];

/// Everything at once, however many isolates do it at the same time: names are inserted once, the registry seeds once.
///
/// Data that is current, but for the issuer of another port, needs no more than the client whose redirect URI is ours.
async fn seed<H: Host>(cx: &Context<'_, H>, current: bool) -> Result<(), Error> {
    let needed = CLIENTS.iter().filter(|demo| !current || demo.redirect_uris.contains(&OWN_CALLBACK));
    let clients = needed.map(|demo| client(cx, demo)).list_or_error::<_, Fault>()?;
    if !current {
        // First of all the registry learns what it holds: were this to end half-way, production would still refuse it.
        let issuer = cx.config.issuer.clone();
        let begin =
            registry::Command::Seed { development: 0, issuer, clients: Vec::new(), scopes: ByName::new() };
        cx.ask::<Registry>(registry::NAME, begin).await?;
        people(cx).await?;
    }
    let issuer = cx.config.issuer.clone();
    let scopes = if current { ByName::new() } else { scopes() };
    let seed = registry::Command::Seed { development: FORMAT_OF_DATA, issuer, clients, scopes };
    cx.ask::<Registry>(registry::NAME, seed).await?;
    Ok(())
}

async fn people<H: Host>(cx: &Context<'_, H>) -> Result<(), Error> {
    let people =
        [("alice", "wonderland", &["orders-staff"][..], alice()), ("bob", "builder", &[][..], Map::new())];
    for (username, password, groups, claims) in people {
        let shard = account::shard_of_name(username).to_string();
        cx.ask::<Registry>(registry::NAME, registry::Command::JoinAccounts { shard: shard.clone() }).await?;
        let account = Account {
            format: FORMAT,
            sub: account::draw_sub(username, cx.host.random()),
            username: username.to_owned(),
            password: crypto::hash_password(password, cx.host.random())?,
            version: 1,
            min_version: 0,
            min_grants: 0,
            not_before: Timestamp::default(),
            changed: cx.now,
            enabled: true,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            roles: Set::new(),
            claims,
            shards: Set::new(),
            attempts: Attempts::default(),
            acts: Attempts::default(),
            withdrawn: Timestamp::default(),
            withdrawals: 0,
        };
        cx.ask::<AccountShard>(&shard, account_shard::Command::Create(Box::new(account))).await?;
    }
    Ok(())
}

fn client<H: Host>(cx: &Context<'_, H>, demo: &DemoClient) -> Result<Client, Fault> {
    let redirect = |text: &&str| if text.starts_with('/') { cx.url(text) } else { (*text).to_owned() };
    let resource_server = demo.grant_types.is_empty();
    let by_code = demo.grant_types.contains(&CODE);
    let short = demo.id == "demo-short";
    let openid = openid::SCOPES.iter().map(|(name, ..)| *name);
    let mut scope =
        if resource_server { Scope::default() } else { Scope::parse(API_SCOPES).map_err(Fault::new)? };
    if matches!(demo.id, "demo-web" | "demo-spa") {
        scope = Scope::of(scope.names().chain(openid));
    }
    let metadata = Metadata {
        client_name: Some(demo.name.to_owned()),
        redirect_uris: demo.redirect_uris.iter().map(redirect).list(),
        grant_types: demo.grant_types.iter().map(|name| (*name).to_owned()).list(),
        response_types: match (by_code, demo.grant_types.contains(&"implicit")) {
            (_, true) => vec!["code".to_owned(), "token".to_owned()],
            (true, false) => vec!["code".to_owned()],
            (false, false) => Vec::new(),
        },
        scope,
        token_endpoint_auth_method: match demo.secret {
            Some(_) => AuthMethod::ClientSecretBasic,
            None => AuthMethod::None,
        },
        resource_server,
        access_token_lifetime: short.then_some(Lifetime(2)),
        code_lifetime: short.then_some(2),
        refresh_count: (demo.profile == Profile::Legacy).then_some(3),
        ..Metadata::template(demo.profile)
    };
    let incarnation = cx.host.random();
    let secret = demo.secret.map(|secret| Hashed::of(secret, cx.host.random()));
    Ok(Client::new(demo.id.to_owned(), incarnation, metadata, secret))
}

fn scopes() -> ByName<ScopeEntry> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).list();
    let staff = || texts(&["orders-staff"]);
    let entry = |description: &str, folders: &[&str], urls: &[&str], groups: Vec<String>| ScopeEntry {
        version: 0,
        description: description.to_owned(),
        folders: texts(folders),
        urls: texts(urls),
        groups,
        ..ScopeEntry::default()
    };
    let mut scopes = ByName::new();
    for (name, entry) in [
        ("orders.read", entry("See orders", &[], &["GET /orders", "GET /orders/{id}"], staff())),
        ("orders.write", entry("Place orders", &[], &["POST /orders"], staff())),
        ("reports", entry("Read reports", &["reports"], &[], Vec::new())),
    ] {
        scopes.insert(name.to_owned(), entry);
    }
    scopes
}

/// As text: read, it is a tenth of the code that would build it.
const ALICE: &str = r#"{
    "name": "Alice Liddell",
    "given_name": "Alice",
    "family_name": "Liddell",
    "middle_name": "Pleasance",
    "nickname": "Al",
    "preferred_username": "alice",
    "profile": "https://looking-glass.example/alice",
    "picture": "https://looking-glass.example/alice.png",
    "website": "https://looking-glass.example",
    "email": "alice@looking-glass.example",
    "email_verified": true,
    "gender": "female",
    "birthdate": "1852-05-04",
    "zoneinfo": "Europe/London",
    "locale": "en-GB",
    "phone_number": "+44 20 7946 0000",
    "phone_number_verified": true,
    "address": { "street_address": "Christ Church", "locality": "Oxford", "region": "Oxfordshire",
                 "postal_code": "OX1 1DP", "country": "United Kingdom",
                 "formatted": "Christ Church\nOxford\nOX1 1DP\nUnited Kingdom" },
    "updated_at": 1767225600
}"#;

/// The full set of OpenID Connect Core §5.1.
fn alice() -> Map<String, Value> {
    json::read(ALICE).unwrap_or_default()
}

/// The walk's own state: the verifier, sealed and bound to the browser, so that nothing is stored.
#[derive(Serialize, Deserialize)]
struct Walk {
    verifier: String,
    browser: String,
}

impl Ticket for Walk {
    const KIND: Kind = Kind::Demo;
}

#[rustfmt::skip]
const ENDPOINTS: &[(&str, &str)] = &[
    ("/.well-known/oauth-authorization-server", "metadata (RFC 8414)"),
    ("/authorize",  "authorization endpoint: code with PKCE (RFC 6749, RFC 7636, RFC 9207)"),
    ("/token",      "token endpoint: authorization_code, refresh_token, client_credentials (RFC 6749)"),
    ("/revoke",     "revocation (RFC 7009)"),
    ("/introspect", "introspection (RFC 7662)"),
    ("/healthz",    "whether this deployment is ready"),
];

/// `GET /`: what this is and, in development, where to start.
pub fn landing<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let issuer = &cx.config.issuer;
    if !cx.config.development {
        let page = pages::Landing { issuer, walk: None, endpoints: ENDPOINTS };
        return pages::show(StatusCode::OK, &page, None);
    }
    let browser = Browser::of(cx, request);
    let verifier = crypto::text(&cx.host.random::<32>());
    let challenge = Challenge::of(&verifier).to_string();
    let state = Walk { verifier, browser: browser.mark }.seal(&cx.config.keys)?;
    let redirect_uri = cx.url(OWN_CALLBACK);
    let params = [
        ("response_type", "code"),
        ("client_id", "demo-landing"),
        ("redirect_uri", &redirect_uri),
        ("scope", API_SCOPES),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let walk = with_params(&cx.url("/authorize"), &params);
    let page = pages::Landing { issuer, walk: Some(&walk), endpoints: ENDPOINTS };
    let response = pages::show(StatusCode::OK, &page, None)?;
    Ok(match browser.cookie {
        Some(cookie) => response.with("set-cookie", cookie),
        None => response,
    })
}

/// `GET /dev/callback`: what the client would do now. Development only.
pub fn callback<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    if !cx.config.development {
        return Err(Error::new(Code::NotFound, "there is no such address"));
    }
    let params = Params::of_query(request, &[])?;
    let state = params.optional("state").and_then(|state| Walk::open(&cx.config.keys, state));
    let state = state.filter(|walk| Browser::known(cx, request).as_ref() == Some(&walk.browser));
    let walk =
        state.ok_or_else(|| Error::new(Code::InvalidRequest, "the walk did not begin in this browser"))?;
    // RFC 9207 §2.4: an answer that names another issuer is not for this flow.
    if params.optional("iss") != Some(&cx.config.issuer) {
        return Err(Error::new(Code::InvalidRequest, "the answer does not name this issuer"));
    }
    let error = params.optional("error");
    let code = params.optional("code").unwrap_or_default();
    let redirect_uri = cx.url(OWN_CALLBACK);
    let page = pages::Walked {
        issuer: &cx.config.issuer,
        code,
        verifier: &walk.verifier,
        redirect_uri: &redirect_uri,
        error,
    };
    pages::show(StatusCode::OK, &page, None)
}
