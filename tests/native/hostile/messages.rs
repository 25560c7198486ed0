//! Messages to objects. They come from this Worker alone, but from every version of it that is being rolled out: an
//! object answers whatever it is told, and never panics.

use super::{
    choose, first_line, lossy,
    prepared::{self, rows},
};
use crate::world::World;
use edgemint::objects::protocol::{
    account_shard::AccountShard, connection::Connection, grant_shard::GrantShard, registry::Registry,
};
use serde_json::Value;

/// Which object: one that is in use, and one of each kind that has not been.
#[rustfmt::skip]
const OBJECTS: &[(&str, &str)] = &[
    ("GRANTS",   "{{shard}}"),
    ("ACCOUNTS", "{{home}}"),
    ("REGISTRY", "registry"),
    ("GRANTS",   "apac-7"),
    ("ACCOUNTS", "7"),
    ("CONNECTIONS", "{{connection}}"),
    ("CONNECTIONS", "another"),
];

fn tell(world: &World, binding: &str, name: &str, message: &str) -> Value {
    let answer = match binding {
        "GRANTS" => world.deliver_raw::<GrantShard>(name, message),
        "ACCOUNTS" => world.deliver_raw::<AccountShard>(name, message),
        "CONNECTIONS" => world.deliver_raw::<Connection>(name, message),
        _ => world.deliver_raw::<Registry>(name, message),
    };
    let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
    assert_eq!(answer["format"], 1);
    let reply = answer["reply"].as_object().expect("a reply");
    assert!(reply.len() == 1 && (reply.contains_key("Ok") || reply.contains_key("Err")), "{answer}");
    answer
}

/// An object, and a message: an answer comes, a fault leaves nothing behind, and the same message again has no effect.
pub fn messages(input: &[u8]) {
    let site = prepared::site();
    let (first, message) = first_line(input);
    let (binding, name) = choose(OBJECTS, first, |(binding, name)| format!("{binding} {name}"));
    let name = lossy(&prepared::filled(name.as_bytes()));
    let message = lossy(&prepared::filled(message));
    let before = rows(&site.world);
    let answer = tell(&site.world, binding, &name, &message);
    let after = rows(&site.world);
    if answer["reply"].get("Err").is_some() {
        let kept = |rows: &prepared::Rows| {
            let mut rows = rows.clone();
            // A shard that has not been in use joins the roster before it looks at what it was told.
            rows.retain(|(_, _, table, ..), _| !["meta", "roster", "marks"].contains(&table.as_str()));
            rows
        };
        assert_eq!(kept(&after), kept(&before), "{answer}");
    }
    tell(&site.world, binding, &name, &message);
    assert_eq!(rows(&site.world), after, "the same message had another effect");
}
