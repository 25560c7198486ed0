//! `/admin/registration-tokens`: initial access tokens (RFC 7591 §1.2), which let somebody register clients where not
//! everybody may.

use super::{Page, invalid, members_if_any, object, page, strange, tell, unknown};
use crate::{
    context::Context,
    crypto,
    error::{Code, Error, quotable},
    host::{FORMAT, Host, Seconds},
    json::json,
    list::List as _,
    model::{
        patch::Invalid,
        registration::InitialToken,
        ticket::{Initial, Registration, Ticket as _},
    },
    objects::protocol::registry::{self, Command, Registry, Reply},
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// How long one is good where nothing is said: a week. At most a year.
const LIFETIME: u64 = 604_800;
const LONGEST: u64 = 31_536_000;
/// The most clients that may register with one.
const MOST: u64 = 10_000;

/// `GET`: a page of them. `POST`: a new one, shown once.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    if request.method == Method::POST {
        return create(cx, members_if_any(request)?).await;
    }
    let Page { limit, after, q, .. } = Page::of(&Params::of_query(request, &[])?)?;
    let command = Command::InitialTokens { after, q, limit };
    let Reply::InitialTokens(tokens, more) = *cx.ask::<Registry>(registry::NAME, command).await? else {
        return Err(strange());
    };
    let next = tokens.last().filter(|_| more).map(|token| token.id.as_str());
    let items: Vec<Value> = tokens.iter().map(|token| Value::Object(display(token))).list();
    Ok(page(&items, next))
}

/// `GET`: one. `DELETE`: its end; the clients that registered with it stay.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    id: &str,
) -> Result<Response, Error> {
    if request.method == Method::DELETE {
        return match *tell(cx, Command::DeleteInitialToken(id.to_owned())).await? {
            Reply::Done => {
                note(cx, "admin.registration.token.deleted");
                Ok(Response::no_content())
            }
            _ => Err(unknown("registration token")),
        };
    }
    match *cx.ask::<Registry>(registry::NAME, Command::InitialToken(id.to_owned())).await? {
        Reply::InitialTokens(tokens, _) => match tokens.first() {
            Some(token) => Ok(Response::json(StatusCode::OK, &Value::Object(display(token)))),
            None => Err(unknown("registration token")),
        },
        _ => Err(strange()),
    }
}

async fn create<H: Host>(cx: &Context<'_, H>, mut body: Map<String, Value>) -> Result<Response, Error> {
    let refused = |why: Invalid| invalid(Code::InvalidRequest, why);
    let mut number = |name: &str, default: u64, most: u64| match body.remove(name) {
        None | Some(Value::Null) => Ok(default),
        Some(given) => given
            .as_u64()
            .filter(|given| (1..=most).contains(given))
            .ok_or_else(|| refused(Invalid::new(name, format!("must be a whole number from 1 to {most}")))),
    };
    let lifetime = number("expires_in", LIFETIME, LONGEST)?;
    let uses = number("uses", 1, MOST)?;
    let description = match body.remove("description") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.len() <= 500 => text,
        Some(_) => {
            return Err(refused(Invalid::new("description", "must be a string of at most 500 bytes")));
        }
    };
    if let Some(name) = body.keys().next() {
        return Err(refused(Invalid::new(&quotable(name), "is not a member that this request has")));
    }
    let token = InitialToken {
        format: FORMAT,
        id: crypto::name(&cx.host.random::<12>()),
        description,
        // Until the registry reads its own clock; the secret is its own, too.
        issued: cx.now,
        expires: cx.now.plus(Seconds(lifetime)),
        uses: u32::try_from(uses).unwrap_or(1),
        secret: crypto::Secret::default(),
        ended: None,
    };
    let Reply::InitialTokens(tokens, _) = *tell(cx, Command::CreateInitialToken(Box::new(token))).await?
    else {
        return Err(strange());
    };
    let token = tokens.first().ok_or_else(strange)?;
    note(cx, "admin.registration.token.created");
    let ticket = Initial(Registration { id: token.id.clone(), generation: 0, proof: token.proof() });
    let mut shown = display(token);
    shown.insert("token".to_owned(), json!(ticket.seal(&cx.config.keys)?));
    let location = cx.url(&format!("/admin/registration-tokens/{}", token.id));
    Ok(Response::json(StatusCode::CREATED, &Value::Object(shown)).with("location", location))
}

fn note<H: Host>(cx: &Context<'_, H>, name: &'static str) {
    cx.note(|event| (event.event, event.important) = (name, true));
}

fn display(token: &InitialToken) -> Map<String, Value> {
    object([
        ("id", json!(token.id)),
        ("description", json!(token.description)),
        ("created_at", json!(token.issued.seconds())),
        ("expires_at", json!(token.expires.seconds())),
        ("uses", json!(token.uses)),
    ])
}
