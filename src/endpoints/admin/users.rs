//! `/admin/users`: people. A password is written and never read; its hash leaves the account for a login alone.

use super::{
    Page, addressable, expected, invalid, keeps, lost, members, page, precondition_failed, roster, settled,
    shown, strange, unknown,
};
use crate::{
    context::Context,
    crypto,
    error::{Code, Error, Fault},
    farewell,
    host::{Attempts, FORMAT, Host, Timestamp},
    model::{
        account::{self, Account},
        patch::Invalid,
    },
    objects::protocol::{
        Told,
        account_shard::{AccountShard, Command, Reply, Who},
        registry::{self, Registry},
    },
    sign_in,
    sorted::Set,
    wire::{self, Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// Shards that one request may ask, one after the other. What is left is behind `next`.
const TURNS: usize = 40;
/// The longest name, in bytes.
const NAME: usize = 200;

/// `GET`: a page of people. `POST`: a new account.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    match request.method {
        Method::POST => create(cx, members(request)?).await,
        _ => list(cx, &Page::of(&Params::of_query(request, &[])?)?).await,
    }
}

/// `GET`: one account. `PATCH`: a change to it (RFC 7396). `PUT`: all that it is from now on, but for its password.
/// `DELETE`: its end, and that of every session and grant.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    username: &str,
) -> Result<Response, Error> {
    match request.method {
        Method::PATCH => {
            let expected = expected(request)?;
            return change(cx, username, members(request)?, false, expected).await;
        }
        Method::PUT => {
            let expected = expected(request)?;
            let mut body = members(request)?;
            keeps(&mut body, "username", username).map_err(refused)?;
            return change(cx, username, body, true, expected).await;
        }
        Method::DELETE => return delete(cx, username, expected(request)?).await,
        _ => {}
    }
    let account = find(cx, username).await?.ok_or_else(|| unknown("user"))?;
    let mut members = account.members();
    members.insert(LOCK.to_owned(), locked(cx, account.sub, false).await?.into());
    Ok(shown(StatusCode::OK, account.version, members))
}

/// Until when failed logins keep the account closed, as a NumericDate; `null` opens it.
const LOCK: &str = "locked_until";

/// Until when an account is closed. `open`: it is not any more.
async fn locked<H: Host>(cx: &Context<'_, H>, sub: String, open: bool) -> Result<Option<u64>, Error> {
    let shard = shard_of(&sub)?;
    let command = Command::Lock { sub, limit: sign_in::limit(&*cx.policy().await?), open };
    match *cx.ask::<AccountShard>(&shard, command).await? {
        Reply::Locked(until) => Ok(until.map(Timestamp::seconds)),
        _ => Err(strange()),
    }
}

/// The account of a name: in the shard of the name, or, if it has been renamed, in the shard of its subject id.
pub(in crate::endpoints) async fn find<H: Host>(
    cx: &Context<'_, H>,
    username: &str,
) -> Result<Option<Box<Account>>, Error> {
    let shard = account::shard_of_name(username).to_string();
    let named = Command::Read(Who::Name(username.to_owned()));
    let reply = match *cx.ask::<AccountShard>(&shard, named).await? {
        Reply::Elsewhere(sub) => {
            let shard = shard_of(&sub)?;
            *cx.ask::<AccountShard>(&shard, Command::Read(Who::Sub(sub))).await?
        }
        reply => reply,
    };
    match reply {
        Reply::Account(account, _) => Ok(Some(account)),
        Reply::Unknown => Ok(None),
        _ => Err(strange()),
    }
}

/// The cursor is the shard and the name of the last item, since names are in order within a shard only.
async fn list<H: Host>(cx: &Context<'_, H>, asked: &Page) -> Result<Response, Error> {
    let (_, shards) = roster(cx).await?;
    let (mut at, mut after) = (0, None);
    if let Some(cursor) = &asked.after {
        let (shard, name) = cursor.split_once('.').ok_or_else(lost)?;
        at = shards.iter().position(|known| known == shard).ok_or_else(lost)?;
        after = Some(name.to_owned()).filter(|name| !name.is_empty());
    }
    let mut items = Vec::new();
    let mut next = None;
    let end = at + TURNS;
    while let Some(shard) = shards.get(at) {
        if at == end {
            next = Some(format!("{shard}."));
            break;
        }
        let command =
            Command::List { after: after.take(), q: asked.q.clone(), limit: asked.limit - items.len() };
        let Reply::Accounts(accounts, more) = *cx.ask::<AccountShard>(shard, command).await? else {
            return Err(strange());
        };
        at += 1;
        let last = accounts.last().map(|account| format!("{shard}.{}", account.username));
        items.extend(accounts.iter().map(|account| {
            let mut members = account.members();
            if asked.hashes {
                members.insert(HASH.to_owned(), account.password.clone().into());
            }
            Value::Object(members)
        }));
        if items.len() >= asked.limit {
            next = last.filter(|_| more || at < shards.len());
            break;
        }
    }
    Ok(page(&items, next.as_deref()))
}

async fn create<H: Host>(cx: &Context<'_, H>, mut body: Map<String, Value>) -> Result<Response, Error> {
    let username = name(body.remove("username")).map_err(refused)?;
    // What `GET` gave may come back.
    if body.get(LOCK).is_some_and(Value::is_null) {
        body.remove(LOCK);
    }
    let password = Password::take(&mut body).map_err(refused)?;
    let sub = match body.remove("sub") {
        Some(given) => read_sub(&given, &username).map_err(refused)?,
        None => account::draw_sub(&username, cx.host.random()),
    };
    let empty = Account {
        format: FORMAT,
        sub,
        username,
        password: String::new(),
        // The shard's, as are the time of the change and the attempt.
        version: 0,
        min_version: 0,
        min_grants: 0,
        not_before: Timestamp::default(),
        changed: Timestamp::default(),
        enabled: true,
        groups: Set::new(),
        roles: Set::new(),
        claims: Map::new(),
        shards: Set::new(),
        attempts: Attempts::default(),
        acts: Attempts::default(),
        withdrawn: Timestamp::default(),
        withdrawals: 0,
    };
    // The rest of the body is refused or taken before the slow hash is made, and that here: an object would stand still.
    let account = empty.amend(body, cx.now).map_err(refused)?;
    let password = match password {
        Password::Plain(password) => crypto::hash_password(&password, cx.host.random())?,
        Password::Hashed(hash) => hash,
    };
    let account = Account { password, ..account };
    let shard = account::shard_of_name(&account.username).to_string();
    // First the roster, then the account: an account in a shard that is not on it would be in no list.
    let join = registry::Command::JoinAccounts { shard: shard.clone() };
    cx.ask::<Registry>(registry::NAME, join).await?;
    let reply = cx.ask::<AccountShard>(&shard, Command::Create(Box::new(account))).await?;
    let account = changed(cx, "admin.user.created", *reply)?;
    let location = cx.url(&format!("/admin/users/{}", wire::encode(&account.username)));
    let mut members = account.members();
    members.insert(LOCK.to_owned(), Value::Null);
    Ok(shown(StatusCode::CREATED, account.version, members).with("location", location))
}

async fn change<H: Host>(
    cx: &Context<'_, H>,
    username: &str,
    mut patch: Map<String, Value>,
    whole: bool,
    expected: Option<u64>,
) -> Result<Response, Error> {
    let password =
        patch.remove("password").map(|given| read_password(&given)).transpose().map_err(refused)?;
    let open = match patch.remove(LOCK) {
        None => false,
        // What `GET` gave may come back.
        Some(given) if whole && (given.is_u64() || given.is_null()) => false,
        Some(Value::Null) => true,
        Some(_) => {
            return Err(refused(Invalid::new(LOCK, "can only be set to null, which opens the account")));
        }
    };
    let Account { sub, .. } = *find(cx, username).await?.ok_or_else(|| unknown("user"))?;
    if whole {
        keeps(&mut patch, "sub", &sub).map_err(refused)?;
    }
    let password = password.map(|password| crypto::hash_password(&password, cx.host.random())).transpose()?;
    let shard = shard_of(&sub)?;
    let command = Command::Change { sub: sub.clone(), patch, whole, password, expected };
    let reply = farewell::ask(cx, &shard, command).await?;
    let (account, told) = written(cx, "admin.user.changed", *reply)?;
    // Before it is asked whether every shard has heard: to be opened an account needs none of them.
    let until = locked(cx, sub, open).await;
    settled(told)?;
    let mut members = account.members();
    members.insert(LOCK.to_owned(), until?.into());
    Ok(shown(StatusCode::OK, account.version, members))
}

async fn delete<H: Host>(
    cx: &Context<'_, H>,
    username: &str,
    expected: Option<u64>,
) -> Result<Response, Error> {
    let Account { sub, .. } = *find(cx, username).await?.ok_or_else(|| unknown("user"))?;
    let shard = shard_of(&sub)?;
    match *farewell::ask(cx, &shard, Command::Delete { sub, expected }).await? {
        Reply::Deleted { sub, told, .. } => {
            cx.note(|e| {
                e.event = "admin.user.deleted";
                e.important = true;
                e.sub = Some(sub);
            });
            settled(told)?;
            Ok(Response::no_content())
        }
        Reply::Unknown => Err(unknown("user")),
        Reply::Outdated => Err(precondition_failed()),
        _ => Err(strange()),
    }
}

/// Ends every grant that a person gave until now, and, if that is wished, every session.
pub(super) async fn cut<H: Host>(
    cx: &Context<'_, H>,
    username: &str,
    sessions: bool,
) -> Result<Response, Error> {
    let Account { sub, .. } = *find(cx, username).await?.ok_or_else(|| unknown("user"))?;
    let shard = shard_of(&sub)?;
    let reply = farewell::ask(cx, &shard, Command::Cut { sub, sessions }).await?;
    changed(cx, "admin.user.cut", *reply)?;
    Ok(Response::no_content())
}

/// The account as it is after a change that every shard holds.
fn changed<H: Host>(cx: &Context<'_, H>, event: &'static str, reply: Reply) -> Result<Box<Account>, Error> {
    let (account, told) = written(cx, event, reply)?;
    settled(told)?;
    Ok(account)
}

/// The account as it is after a change, and how far that has got.
fn written<H: Host>(
    cx: &Context<'_, H>,
    event: &'static str,
    reply: Reply,
) -> Result<(Box<Account>, Told), Error> {
    match reply {
        Reply::Account(account, told) => {
            cx.note(|e| {
                e.event = event;
                e.important = true;
                e.sub = Some(account.sub.clone());
            });
            Ok((account, told))
        }
        Reply::Taken => Err(Error::new(Code::Conflict, "there is a user of that name").in_field("username")),
        Reply::Unknown => Err(unknown("user")),
        Reply::Outdated => Err(precondition_failed()),
        Reply::Invalid(why) => Err(refused(why)),
        _ => Err(strange()),
    }
}

fn shard_of(sub: &str) -> Result<String, Error> {
    account::shard_of_sub(sub)
        .ok_or_else(|| Fault::new("an account has a subject id that is none of ours").into())
}

fn refused(why: Invalid) -> Error {
    invalid(Code::InvalidRequest, why)
}

/// A name that can be typed, and be a segment of a path.
fn name(given: Option<Value>) -> Result<String, Invalid> {
    let refused = |why: &str| Invalid::new("username", why);
    let name = match given {
        None => return Err(refused("is missing")),
        Some(Value::String(name)) => name,
        Some(_) => return Err(refused("must be a string")),
    };
    if name.is_empty() || name.len() > NAME {
        return Err(refused("must have from 1 to 200 bytes"));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Err(refused("must have no control characters, and no space before or behind it"));
    }
    addressable("username", &name)?;
    Ok(name)
}

/// What an export has, and only an export.
const HASH: &str = "password_hash";

/// What a new account is to be opened by.
enum Password {
    Plain(String),
    /// Taken over from another server.
    Hashed(String),
}

impl Password {
    fn take(body: &mut Map<String, Value>) -> Result<Self, Invalid> {
        match (body.remove("password"), body.remove(HASH)) {
            (Some(given), None) => read_password(&given).map(Self::Plain),
            (None, Some(given)) => {
                let hash = given.as_str().filter(|text| crypto::is_hash(text));
                let why = "is not what an export has: Argon2id with 19456 KiB, 2 passes and 1 lane";
                hash.map(|hash| Self::Hashed(hash.to_owned())).ok_or_else(|| Invalid::new(HASH, why))
            }
            (Some(_), Some(_)) => Err(Invalid::new(HASH, "stands beside a password")),
            (None, None) => Err(Invalid::new("password", "is missing")),
        }
    }
}

/// A subject id of another server of this kind: one that leads to where the name leads.
fn read_sub(given: &Value, username: &str) -> Result<String, Invalid> {
    let home = account::shard_of_name(username).to_string();
    let sub = given.as_str().filter(|sub| account::shard_of_sub(sub).as_deref() == Some(home.as_str()));
    sub.map(str::to_owned).ok_or_else(|| Invalid::new("sub", "is not one that this name can have"))
}

fn read_password(given: &Value) -> Result<String, Invalid> {
    let fits = given.as_str().filter(|password| (8..=1000).contains(&password.len()));
    fits.map(str::to_owned).ok_or_else(|| Invalid::new("password", "must be a string of 8 to 1000 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_can_be_typed_and_addressed() {
        for given in ["a", "Ada Lovelace", "ada@example.com", "zoë", "a/b", &"x".repeat(200)] {
            assert_eq!(name(Some(json!(given))), Ok(given.to_owned()));
        }
        let long = "x".repeat(201);
        for given in ["", " a", "a ", "a\u{0}", "a\nb", "\u{a0}a", "a\u{85}b", ".", "..", &long] {
            assert_eq!(name(Some(json!(given))).unwrap_err().field, "username", "{given:?}");
        }
        assert!(name(None).is_err() && name(Some(json!(7))).is_err() && name(Some(Value::Null)).is_err());
    }

    #[test]
    fn a_password_is_a_string_of_8_to_1000_bytes() {
        assert!(read_password(&json!("12345678")).is_ok() && read_password(&json!("x".repeat(1000))).is_ok());
        for given in [json!("1234567"), json!("x".repeat(1001)), Value::Null, json!(12_345_678), json!([])] {
            assert_eq!(read_password(&given).unwrap_err().field, "password");
        }
    }
}
