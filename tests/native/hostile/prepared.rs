//! A deployment in use, made once, and of it a new one for every input: the same rows, another world. So no input can
//! change what the next one meets, and nobody hashes a password for each.

use crate::world::*;
use base64ct::{Base64, Encoding as _};
use edgemint::{
    crypto::Keys,
    host::{Fetched, Host as _, Store as _},
    model::ticket::{Refresh, Ticket as _},
};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everything that objects keep, by binding, name, table, owner and key. An object that keeps nothing is not in it.
pub type Rows = BTreeMap<(&'static str, String, String, String, String), String>;

/// What is kept in a world.
pub fn rows(world: &World) -> Rows {
    let mut rows = Rows::new();
    for binding in ["GRANTS", "ACCOUNTS", "REGISTRY", "CONNECTIONS"] {
        for (name, disk) in world.disks(binding) {
            for table in disk.tables().unwrap() {
                for (owner, key, row) in disk.scan(&table, None, None, usize::MAX).unwrap() {
                    rows.insert((binding, name.clone(), table.clone(), owner, key), row);
                }
            }
        }
    }
    rows
}

struct Prepared {
    rows: Rows,
    /// What an input may name as `{{word}}`: nobody could invent it.
    words: Vec<(&'static str, String)>,
}

thread_local! {
    static PREPARED: Prepared = prepare();
}

/// A deployment that is in use.
pub fn site() -> Site {
    let world = World::new();
    PREPARED.with(|prepared| {
        for ((binding, name, table, owner, key), row) in &prepared.rows {
            world.disk(binding, name).put(table, owner, key, row).unwrap();
        }
    });
    // Other dice than those by which these rows were made.
    world.fill(&mut vec![0; 100_000]);
    Site::with(&world, &development())
}

/// The input with its words filled in.
pub fn filled(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = input;
    PREPARED.with(|prepared| {
        while let Some(at) = rest.windows(2).position(|pair| pair == b"{{") {
            let (front, behind) = rest.split_at(at);
            out.extend_from_slice(front);
            let word = prepared.words.iter().find(|(name, _)| {
                behind[2..].strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"}}"))
            });
            rest = match word {
                Some((name, value)) => {
                    out.extend_from_slice(value.as_bytes());
                    &behind[name.len() + 4..]
                }
                None => {
                    out.push(b'{');
                    &behind[1..]
                }
            };
        }
    });
    out.extend_from_slice(rest);
    out
}

/// Makes a connection that holds tokens, and gives the name of its object.
fn connect(site: &Site) -> String {
    let connection = json!({
        "name": "mail", "issuer": "https://as.example", "token_endpoint": "https://as.example/token",
        "authorization_endpoint": "https://as.example/authorize", "client_id": "we", "client_secret": "hush",
        "allowed_origins": ["https://api.example"],
    });
    assert_eq!(site.admin(Method::POST, "/admin/connections", &connection).0, 201);
    let (_, going) = site.admin(Method::POST, "/admin/connections/mail/authorize", &Value::Null);
    let url = string(&going, "authorization_url");
    let state = url.split_once("state=").and_then(|(_, rest)| rest.split('&').next()).expect("a state");
    let body =
        json!({ "access_token": "theirs", "refresh_token": "theirs, too", "expires_in": 3600 }).to_string();
    let tokens = Fetched { status: 200, body: Some(body.into_bytes()), ..Fetched::default() };
    site.world.put_elsewhere("https://as.example/token", tokens);
    assert_eq!(site.get(&format!("/external/callback?state={state}&code=x")).status, 200);
    site.world.disks("CONNECTIONS")[0].0.clone()
}

fn prepare() -> Prepared {
    let site = Site::new();
    let tokens = site.tokens();
    let spare = site.legacy_tokens();
    let (_, own) = site.token(MACHINE, &OWN);
    let code = site.code("demo-web", &[]);
    let consent =
        field(&site.authorize("demo-web", &[("scope", "reports"), ("prompt", "consent")]), "pending");
    let cookie =
        |name: &str| format!("{name}={}", site.cookie(name).expect("a cookie of a signed-in browser"));
    let cookies = format!("{}; {}", cookie("edgemint-browser"), cookie("edgemint-session"));
    let walk = text(&site.get("/"));
    let (_, state) = walk.split_once("state=").expect("the walk has a state");
    let state = state.split('&').next().unwrap_or_default().to_owned();
    site.forget_cookie("edgemint-session");
    let login = field(&site.authorize("demo-spa", &[]), "pending");
    let (_, grants) = site.admin(Method::GET, "/admin/grants?client_id=demo-legacy", &Value::Null);
    let keys = Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    let refresh = Refresh::open(&keys, &string(&tokens, "refresh_token")).expect("ours");
    let (_, alice) = site.admin(Method::GET, "/admin/users/alice", &Value::Null);
    let client: Value =
        serde_json::from_str(&site.world.copy("client:demo-web").expect("a copy")).expect("JSON");
    let basic = |client: &str| format!("Basic {}", Base64::encode_string(client.as_bytes()));
    let sub = string(&alice, "sub");
    let connection = connect(&site);
    let words = vec![
        ("connection", connection),
        ("access", string(&tokens, "access_token")),
        ("refresh", string(&tokens, "refresh_token")),
        ("spare", string(&spare, "refresh_token")),
        ("own", string(&own, "access_token")),
        ("code", code),
        ("login", login),
        ("consent", consent),
        ("cookies", cookies),
        ("state", state),
        ("grant", string(&grants["items"][0], "id")),
        ("web", basic(WEB)),
        ("machine", basic(MACHINE)),
        ("legacy", basic(LEGACY)),
        ("api", basic("demo-api:demo-api-secret")),
        ("admin", format!("Bearer {ADMIN_TOKEN}")),
        ("verifier", VERIFIER.to_owned()),
        ("challenge", CHALLENGE.to_owned()),
        ("home", edgemint::model::account::shard_of_sub(&sub).expect("a shard")),
        ("sub", sub),
        ("shard", refresh.address.shard.to_string()),
        ("table", edgemint::json::write(&refresh.address.table)),
        ("owner", refresh.address.owner),
        ("key", refresh.address.key),
        ("proof", edgemint::json::write(&refresh.proof)),
        ("incarnation", string(&client, "incarnation")),
    ];
    Prepared { rows: rows(&site.world), words }
}
