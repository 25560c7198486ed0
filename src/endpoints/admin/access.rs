//! Who may administer: the holder of the administrator's token; a person with a role, by an access token of theirs; a
//! client that an administrator marked.
//!
//! What is decided here is decided by the truth: the shard of the token, the account of the person, the registry.

use super::{strange, users};
use crate::{
    context::Context,
    endpoints::introspect::{self, Presented},
    error::{Code, Error},
    host::{Author, Host},
    model::{
        account::Account,
        client::Client,
        grant::{Active, Person},
        policy::{ADMIN, ADMIN_READ, EXTERNAL},
        scope::Scope,
    },
    objects::protocol::registry::{self, Registry},
    wire::{self, Params, Request},
};

/// Comes before a byte of the body or query is looked at (RFC 6750 §2.1), and signs every command that follows.
pub(super) async fn admit<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    changes: bool,
) -> Result<(), Error> {
    let query = if changes { None } else { in_query(cx, request).await? };
    if query.is_some() && wire::bearer(request).is_some() {
        return Err(Error::new(Code::InvalidRequest, "two access tokens at once (RFC 6750 section 2)"));
    }
    let token = wire::bearer(request)
        .or(query.as_deref())
        .ok_or_else(|| Error::new(Code::MissingToken, "the administrator's token is missing"))?;
    // What opens everything, and does not end by itself, is taken from no address.
    let (kind, name, right) = if query.as_deref() != Some(token) && cx.config.is_administrator(token) {
        ("token", String::new(), Right::Write)
    } else {
        by_access_token(cx, token).await?
    };
    // Who reads hashes can guess passwords in peace: that is not for an auditor.
    let hashes =
        !changes && Params::of_query(request, &[]).is_ok_and(|params| params.optional("hashes").is_some());
    if changes || hashes {
        right.demand_write()?;
    }
    if hashes {
        cx.note(|e| {
            e.event = "admin.exported";
            e.important = true;
        });
    }
    let address = request.header("cf-connecting-ip").map(str::to_owned);
    cx.sign(Author { kind: kind.to_owned(), name, address, trace: cx.trace.clone() });
    Ok(())
}

/// An access token in the query (RFC 6750 §2.3), where the setting lets it be there.
async fn in_query<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Option<String>, Error> {
    if !cx.policy().await?.settings.query_tokens {
        return Ok(None);
    }
    // One that does not read has none.
    let params = Params::of_query(request, &[]).unwrap_or_default();
    Ok(params.optional("access_token").map(str::to_owned))
}

/// What a token may do here.
enum Right {
    /// Everything.
    Write,
    /// It may read: its scope is not enough for more.
    Scope,
    /// It may read: its holder has no right to more.
    Role,
}

impl Right {
    fn of(scope: bool, role: bool) -> Self {
        match (scope, role) {
            (true, true) => Self::Write,
            (false, true) => Self::Scope,
            (_, false) => Self::Role,
        }
    }

    fn demand_write(&self) -> Result<(), Error> {
        let code = match self {
            Self::Write => return Ok(()),
            // RFC 6750 §3.1: another token would do, and the answer says which.
            Self::Scope => Code::InsufficientScope,
            Self::Role => Code::AccessDenied,
        };
        let error = Error::new(code, "this token may read, and not change anything");
        Err(error.needing(Some(ADMIN.to_owned())))
    }
}

/// The holder of an access token, as the truth knows them.
enum Holder {
    Person(Box<Account>),
    Client(Box<Client>),
}

/// Kind and name of the holder, and whether they may change something.
async fn by_access_token<H: Host>(
    cx: &Context<'_, H>,
    token: &str,
) -> Result<(&'static str, String, Right), Error> {
    let (scope, _, holder) = prove(cx, token, &[ADMIN, ADMIN_READ]).await?;
    let writes = scope.contains(ADMIN);
    match holder {
        Holder::Person(account) => {
            let role = |name: &str| account.roles.contains(name);
            if !role("administrator") && !role("auditor") {
                return Err(Error::new(Code::AccessDenied, "the token is of a person who has no role here"));
            }
            let right = Right::of(writes, role("administrator"));
            Ok(("user", account.username, right))
        }
        Holder::Client(client) if client.metadata.administrative => {
            Ok(("client", client.id, Right::of(writes, true)))
        }
        Holder::Client(_) => {
            Err(Error::new(Code::AccessDenied, "the client is not marked as administrative"))
        }
    }
}

/// Who may have this server ask others: the administrator by their token, or a token with the scope for it. Gives the client of
/// that one.
pub(in crate::endpoints) async fn admit_external<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
) -> Result<Option<String>, Error> {
    let token =
        wire::bearer(request).ok_or_else(|| Error::new(Code::MissingToken, "an access token is missing"))?;
    if cx.config.is_administrator(token) {
        return Ok(None);
    }
    let (_, client_id, holder) = prove(cx, token, &[EXTERNAL]).await?;
    cx.note(|event| {
        event.client = Some(client_id.clone());
        if let Holder::Person(account) = holder {
            event.sub = Some(account.sub.clone());
        }
    });
    Ok(Some(client_id))
}

/// What an access token is good for that has one of these scopes, and whose it is: by its shard, and by what shards may not
/// have heard of yet.
async fn prove<H: Host>(
    cx: &Context<'_, H>,
    token: &str,
    wanted: &[&'static str],
) -> Result<(Scope, String, Holder), Error> {
    let refused =
        || Error::new(Code::InvalidToken, "this is neither the administrator's token nor one that is good");
    let access = introspect::access(cx, token).await?.ok_or_else(refused)?;
    let active = introspect::look(cx, Presented::of(access.clone())).await?.ok_or_else(refused)?;
    let Active { scope, client_id, person, issued, .. } = active;
    if !wanted.iter().any(|name| scope.contains(name)) {
        let detail = format!("the token's scope has none of {}", wanted.join(", "));
        let first = wanted.first().map(|name| (*name).to_owned());
        return Err(Error::new(Code::InsufficientScope, detail).needing(first));
    }
    let policy = cx.policy().await?;
    if !policy.resources(&scope).is_empty() {
        // Whoever guards that resource holds it, too.
        let detail = "the token is for a resource as well: ask for one that is for this server alone";
        return Err(Error::new(Code::InsufficientScope, detail));
    }
    let holder = match person {
        Some(Person { username, sub, version, .. }) => {
            // The shard may not have heard yet of what the account says: that its person is disabled, or cut off.
            let spared = |account: &Account| account.sub == sub && account.mark().spares(version, issued);
            let account = users::find(cx, &username).await?;
            let account = account.filter(|account| spared(account)).ok_or_else(refused)?;
            Holder::Person(account)
        }
        None => {
            let command = registry::Command::Client(client_id.clone());
            let registry::Reply::Client(client) = *cx.ask::<Registry>(registry::NAME, command).await? else {
                return Err(strange());
            };
            // As above.
            let spared =
                |client: &Client| client.mark().spares_own(&access.claims) && client.demand(&scope).is_ok();
            let client = client.filter(|client| spared(client)).ok_or_else(refused)?;
            // The seal is all that proves other tokens of clients. Who holds a master key and nothing else makes no
            // administrator of himself.
            if !client.has_proved(&access)? {
                return Err(refused());
            }
            Holder::Client(client)
        }
    };
    Ok((scope, client_id, holder))
}
