//! The end of sessions, and what clients are told of it (OpenID Connect Back-Channel Logout 1.0). Every command that may end
//! a session goes through [`ask`]: the account says who is to hear, the letters are signed here, and are owed by the account in
//! the turn in which it ends the session. Its alarm sends them, until they are heard or not good any more.

use crate::{
    context::Context,
    crypto,
    error::{Error, Fault},
    host::{Host, Seconds, Timestamp},
    json::{self, json},
    jws,
    model::account::Listener,
    objects::{
        outbox,
        protocol::account_shard::{AccountShard, Command, Letter, Reply},
    },
    upstream,
    waiting::all,
};
use serde_json::Value;

/// `typ` of a logout token (§2.4).
pub const LOGOUT_TOKEN: &str = "logout+jwt";
/// What it says that happened.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How long the token lives that is sent at once (§2.4: at most two minutes), and the one for who cannot be reached then.
const LIVES: [Seconds; 2] = [Seconds(120), Seconds(7200)];
/// How often letters are written again because one more client listens. After that it ends without.
const ROUNDS: usize = 3;
/// How many letters are written for one wish. Whoever has more sessions and clients than that is to be signed out all the same:
/// the shard notes who is not told.
const MOST: usize = 100;

/// Asks a shard what may end sessions.
pub async fn ask<H: Host>(
    cx: &Context<'_, H>,
    shard: &str,
    mut command: Command,
) -> Result<Box<Reply>, Error> {
    for round in 1..=ROUNDS {
        match *cx.ask::<AccountShard>(shard, command).await? {
            Reply::Unheard { command: wish, sub, listeners } => {
                let letters = all(listeners.into_iter().take(MOST).map(|who| letter(cx, &sub, who))).await;
                let force = round + 1 == ROUNDS || letters.len() == MOST;
                command = Command::End { command: wish, letters, force };
            }
            reply => return Ok(Box::new(reply)),
        }
    }
    Err(Fault::new("one client after another signs in to a session that is to end").into())
}

/// What a client is told. Where that cannot be written the session ends all the same.
async fn letter<H: Host>(cx: &Context<'_, H>, sub: &str, who: Listener) -> Letter {
    let Listener { sid, client, incarnation } = who;
    let mut letter = Letter { sid, client, to: String::new(), tokens: Vec::new() };
    if let Err(error) = write(cx, sub, &incarnation, &mut letter).await {
        outbox::say_untold(cx.host, &letter.client, error.cause.as_deref().unwrap_or(&error.detail));
        letter.tokens.clear();
    }
    letter
}

/// Writes it, where the client still is to hear of it.
async fn write<H: Host>(
    cx: &Context<'_, H>,
    sub: &str,
    incarnation: &str,
    letter: &mut Letter,
) -> Result<(), Error> {
    let (policy, client) = (cx.policy().await?, cx.client_of_token(&letter.client).await?);
    let Some(client) = client.filter(|client| client.incarnation == incarnation) else { return Ok(()) };
    let Some(to) = &client.metadata.backchannel_logout_uri else { return Ok(()) };
    upstream::check(cx.config, to).map_err(Fault::new)?;
    to.clone_into(&mut letter.to);
    let jti = crypto::text(&cx.host.random::<12>());
    for life in LIVES {
        let until: Timestamp = cx.now.plus(life);
        let claims = json::object([
            ("iss", json!(cx.config.issuer)),
            ("sub", json!(client.subject(&policy, sub))),
            ("aud", json!(client.id)),
            ("iat", json!(cx.now.seconds())),
            ("exp", json!(until.seconds())),
            ("jti", json!(jti)),
            ("events", json!({ EVENT: Value::Object(json::object([])) })),
            ("sid", json!(client.sid(&policy, &letter.sid))),
        ]);
        letter.tokens.push((until, jws::sign(cx, client.id_token_algorithm(), LOGOUT_TOKEN, &claims).await?));
    }
    Ok(())
}
