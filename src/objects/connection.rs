//! One connection: it calls the provider itself, once, and all who ask meanwhile wait for that call.

use super::{
    protocol::connection::{Command, Connection, Reply, Terms, Wish},
    read, write,
};
use crate::{
    crypto::Secret,
    error::Fault,
    host::{Asked, FORMAT, Host, Object, Store, Timestamp, Turn},
    json::json,
    model::{
        held::{Back, Failure, Held, LISTEN, Sent, Step},
        provider::{self, Answer},
    },
};

const TABLE: &str = "held";
/// How long somebody who waits pauses between looks, in milliseconds: at first, and at most.
const LOOK: u64 = 40;
const LONGEST: u64 = 400;
/// How often somebody looks at most: for longer than anybody waits.
const LOOKS: u64 = 200;

impl Object for Connection {
    fn handle<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        let (store, mut held) = (turn.store, load(turn.store)?);
        if held.ended {
            return Ok(if matches!(command, Command::End) { Reply::Done } else { Reply::Ended });
        }
        match command {
            Command::Expect { terms, nonce, verifier, lifetime } => {
                if !held.hears(terms.version, &terms.of) {
                    return Ok(Reply::Outdated);
                }
                let until = turn.now.plus(lifetime);
                held.expect(&terms.vault, nonce, &utf8(&verifier)?, until)?;
                save(store, &held)?;
                Ok(Reply::Done)
            }
            Command::Token(wish) => step(store, turn.now, wish),
            Command::Status(of) if held.of == of => Ok(Reply::Status(held.status().to_owned(), held.broken)),
            // Of another server than the connection is to now.
            Command::Status(_) => Ok(Reply::Status(Held::default().status().to_owned(), None)),
            Command::End => {
                store.drop_table(TABLE)?;
                // What was sent before, and arrives now, brings nothing back.
                save(store, &Held { format: FORMAT, ended: true, ..Held::default() })?;
                Ok(Reply::Done)
            }
        }
    }

    async fn follow<H: Host, S: Store>(host: &H, store: &S, mut reply: Reply) -> Result<Reply, Fault> {
        for look in 0..LOOKS {
            let (mut wish, number) = match reply {
                Reply::Call(wish, number) => {
                    call(host, store, &wish.terms, number).await?;
                    (wish, number)
                }
                Reply::Wait(wish, number) => {
                    host.pause((LOOK + LOOK / 4 * look).min(LONGEST)).await;
                    (wish, number)
                }
                other => return Ok(other),
            };
            wish.waited = Some(number);
            reply = step(store, host.now(), wish)?;
        }
        Err(Fault::new("the provider was waited for too long"))
    }

    fn wake<S: Store>(_: &S) -> Result<Option<Timestamp>, Fault> {
        Ok(None)
    }

    async fn sweep<H: Host, S: Store>(_: &H, _: &S, _: Timestamp) -> Result<(), Fault> {
        Ok(())
    }
}

fn load<S: Store>(store: &S) -> Result<Held, Fault> {
    let held: Option<Held> = read(store, TABLE, "", "")?;
    Ok(held.unwrap_or(Held { format: FORMAT, ..Held::default() }))
}

fn save<S: Store>(store: &S, held: &Held) -> Result<(), Fault> {
    write(store, TABLE, "", "", held)
}

fn utf8(secret: &Secret) -> Result<String, Fault> {
    String::from_utf8(secret.0.clone()).map_err(|_| Fault::new("a secret is not text"))
}

/// One look, with no `await` between reading and writing: a good token, or what is to be done.
fn step<S: Store>(store: &S, now: Timestamp, wish: Box<Wish>) -> Result<Reply, Fault> {
    let mut held = load(store)?;
    if held.ended {
        return Ok(Reply::Ended);
    }
    let before = held.clone();
    let Wish { terms, back, refused, waited } = &*wish;
    if !held.hears(terms.version, &terms.of) {
        return Ok(Reply::Outdated);
    }
    let (vault, life) = (&terms.vault, store.life());
    let step = match back {
        Some((nonce, code, named)) => {
            held.come_back(vault, Back { nonce, code: &utf8(code)?, named: *named }, now, life)?
        }
        None => {
            let refused = refused.as_ref().map(utf8).transpose()?;
            held.ask(vault, (refused.as_deref(), *waited), now, life)
        }
    };
    if held != before {
        save(store, &held)?;
    }
    Ok(match step {
        Step::Call(number) => Reply::Call(wish, number),
        // It is listened to, and nobody waits for it any longer.
        Step::Wait(number) if held.called(number).is_some_and(|since| now >= since.plus(provider::WAIT)) => {
            Reply::Failed(Failure::late(number, now))
        }
        Step::Wait(number) => Reply::Wait(wish, number),
        Step::Sealed => Reply::Sealed,
        Step::New => Reply::New,
        Step::Unexpected => Reply::Unexpected,
        Step::Failed => held.failure.map_or(Reply::New, Reply::Failed),
        Step::Broken => held.broken.map_or(Reply::New, Reply::Broken),
        Step::Give => match (held.access(&terms.vault), held.tokens) {
            (Some(access), Some(tokens)) => Reply::Token {
                access: Secret(access.into_bytes()),
                token_type: tokens.token_type,
                scope: tokens.scope,
                expires: tokens.expires,
            },
            _ => Reply::New,
        },
    })
}

/// Asks the provider, and notes what came of it before anybody is answered.
async fn call<H: Host, S: Store>(host: &H, store: &S, terms: &Terms, number: u64) -> Result<(), Fault> {
    let mut held = load(store)?;
    let Some(sent) = held.sends(&terms.vault, number) else {
        held.give_up(number);
        return save(store, &held);
    };
    let params = match &sent {
        Sent::Code(code, verifier) => vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", terms.redirect_uri.as_str()),
            ("code_verifier", verifier.as_str()),
        ],
        Sent::Refresh(token) => vec![("grant_type", "refresh_token"), ("refresh_token", token.as_str())],
    };
    let secret = terms.client_secret.as_ref().map(utf8).transpose()?;
    let (client_id, client_secret) = (terms.client_id.as_str(), secret.as_deref());
    let wish = provider::Wish { client_id, client_secret, in_body: terms.in_body, params };
    let asked = Asked { patience: LISTEN, ..wish.asked(&terms.token_endpoint) };
    let answer = Answer::read(host.fetch(&asked).await);
    // Others had their turns meanwhile.
    let mut held = load(store)?;
    let was = held.broken.is_some();
    let mut hidden = vec![client_secret.unwrap_or_default()];
    match &sent {
        Sent::Code(code, verifier) => hidden.extend([code.as_str(), verifier.as_str()]),
        Sent::Refresh(token) => hidden.push(token),
    }
    held.conclude((&terms.vault, &terms.scope), (number, host.now()), answer, &hidden)?;
    save(store, &held)?;
    let Some(broken) = held.broken.filter(|_| !was) else { return Ok(()) };
    // Here, since whoever asked may have hung up.
    let (time, name) = (host.now().seconds(), &terms.name);
    let event = json!({ "time": time, "event": "external.broken", "connection": name, "reason": broken.why });
    host.log(&event.to_string());
    Ok(())
}
