//! `/console`: administration by pages. It is a client of the administration API that lives beside it: a page shows what a
//! `GET` answers, a form sends what a program would send, and what is refused is shown next to the field that it names.
//!
//! Who may use it is whoever is signed in and holds a role. Each form carries a seal of ours for this session, and is
//! taken from no other site.

mod acts;
pub(super) mod entrance;
mod form;
mod home;
mod questions;
mod records;
mod snippets;

use super::admin::{self, Resource};
use crate::{
    context::Context,
    crypto::Kind,
    error::{Code, Error, Fault},
    host::{Author, Host, Seconds, Timestamp},
    json,
    model::{
        account::{self, Account},
        ticket::Ticket,
    },
    objects::protocol::account_shard::{AccountShard, Command, Reply, SessionRef},
    pages::console::Head,
    session,
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The pages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// How everything is.
    Home,
    /// A form for a new record.
    New(Resource),
    /// A list, a record, and what is done to it.
    Of(Resource),
    /// Signing in.
    SignIn,
    /// Signing out.
    SignOut,
    /// An account by the administrator's token.
    Administrator,
}

/// A sign-in that is older does not administer: whoever finds the browser open the next day must prove themself.
const FRESH: Seconds = Seconds(12 * 3600);

/// Answers a browser.
pub async fn respond<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    page: Page,
    segment: &str,
) -> Result<Response, Error> {
    match page {
        Page::SignIn if request.method == Method::POST => {
            return entrance::sign_in(cx, request, &entrance::CONSOLE).await;
        }
        Page::SignIn => return entrance::ask(cx, request, &entrance::CONSOLE),
        Page::SignOut => return entrance::sign_out(cx, request).await,
        Page::Administrator => return entrance::administrator(cx, request).await,
        Page::Home | Page::New(_) | Page::Of(_) => {}
    }
    let Some(visit) = Visit::of(cx, request).await? else {
        return entrance::ask(cx, request, &entrance::CONSOLE);
    };
    if !visit.reads {
        return entrance::stranger(&visit);
    }
    let writes = request.method == Method::POST;
    if writes {
        // Before anything of the form is looked at.
        let form = Params::of_form(request, form::REPEATABLE)?;
        visit.check(cx, request, &form)?;
        if !visit.writes {
            return Err(Error::new(
                Code::AccessDenied,
                "an auditor may look at everything and change nothing",
            ));
        }
        visit.sign(cx, request);
        return acts::post(cx, &visit, request, page, segment, &form).await;
    }
    visit.sign(cx, request);
    match page {
        Page::New(resource) => records::new(cx, &visit, resource).await,
        Page::Of(resource) => records::get(cx, &visit, request, resource, segment).await,
        _ => home::get(cx, &visit, request).await,
    }
}

/// What a form of the console proves: that this server made it for this session.
#[derive(Serialize, Deserialize)]
pub(super) struct Seal {
    /// The browser, where nobody is signed in; else the session.
    pub(super) of: String,
    pub(super) made: Timestamp,
    /// Where to go on after signing in, or out.
    pub(super) back: String,
}

impl Ticket for Seal {
    const KIND: Kind = Kind::Console;
}

impl Seal {
    /// Opens what a form sent back: only for whom it was made, in time, and from no other site.
    pub(super) fn check<H: Host>(
        cx: &Context<'_, H>,
        request: &Request,
        form: &Params,
        of: Option<&str>,
    ) -> Result<Self, Error> {
        let refused = |why: &'static str| Err(Error::new(Code::InvalidRequest, why));
        if request.is_cross_site(cx.config.origin()) {
            return refused("the form was sent by another site");
        }
        match Self::open(&cx.config.keys, form.required("seal")?) {
            Some(seal) if Some(seal.of.as_str()) == of && cx.now < seal.made.plus(FRESH) => Ok(seal),
            _ => refused("the form is not one that this server made for you: open the page again"),
        }
    }
}

/// A signed-in browser, and what its person may do here.
struct Visit {
    session: SessionRef,
    account: Account,
    reads: bool,
    writes: bool,
    seal: String,
}

impl Visit {
    /// Asks the account: whoever lost a role, or was signed out, has no more than that from now on.
    async fn of<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Option<Self>, Error> {
        let Some(session) = session::named(cx, request) else { return Ok(None) };
        let Some(shard) = account::shard_of_sub(&session.sub) else { return Ok(None) };
        let reply = cx.ask::<AccountShard>(&shard, Command::Holder(session.clone())).await?;
        let Reply::Holder(account, since) = *reply else { return Ok(None) };
        if cx.now >= since.plus(FRESH) {
            return Ok(None);
        }
        cx.note(|event| event.sub = Some(account.sub.clone()));
        let writes = account.roles.contains("administrator");
        let reads = writes || account.roles.contains("auditor");
        let seal =
            Seal { of: session.id.clone(), made: cx.now, back: String::new() }.seal(&cx.config.keys)?;
        Ok(Some(Self { session, account: *account, reads, writes, seal }))
    }

    fn check<H: Host>(&self, cx: &Context<'_, H>, request: &Request, form: &Params) -> Result<(), Error> {
        Seal::check(cx, request, form, Some(&self.session.id)).map(|_| ())
    }

    /// From here on every object is told who it is.
    fn sign<H: Host>(&self, cx: &Context<'_, H>, request: &Request) {
        let address = request.header("cf-connecting-ip").map(str::to_owned);
        let name = self.account.username.clone();
        cx.sign(Author { kind: "user".to_owned(), name, address, trace: cx.trace.clone() });
    }

    fn head<'a>(&'a self, here: &'a str, title: &'a str) -> Head<'a> {
        let Self { account, writes, seal, .. } = self;
        Head { here, title, username: &account.username, writes: *writes, seal, ..Head::default() }
    }
}

/// What the administration answered.
struct Answer {
    body: Map<String, Value>,
    /// The version of the item, where it is one.
    tag: String,
    /// Done, and not heard of by every shard yet.
    owed: bool,
}

impl Answer {
    /// A member as text; empty where there is none.
    fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The items of a page.
    fn items(&self) -> &[Value] {
        self.body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A wish to the administration.
struct Wish<'a> {
    method: Method,
    resource: Resource,
    segment: &'a str,
    query: String,
    tag: &'a str,
    body: Option<Map<String, Value>>,
}

impl<'a> Wish<'a> {
    fn get(resource: Resource, segment: &'a str, query: String) -> Self {
        Self { method: Method::GET, resource, segment, query, tag: "", body: None }
    }

    fn change(
        method: Method,
        resource: Resource,
        segment: &'a str,
        tag: &'a str,
        body: Map<String, Value>,
    ) -> Self {
        Self { method, resource, segment, query: String::new(), tag, body: Some(body) }
    }

    fn delete(resource: Resource, segment: &'a str, tag: &'a str, query: String) -> Self {
        Self { method: Method::DELETE, resource, segment, query, tag, body: None }
    }

    /// Asks it, as a program would over HTTP.
    async fn ask<H: Host>(self, cx: &Context<'_, H>) -> Result<Answer, Error> {
        let Self { method, resource, segment, query, tag, body } = self;
        let mut headers = Vec::new();
        if !tag.is_empty() {
            headers.push(("if-match".to_owned(), tag.to_owned()));
        }
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(|body| json::write(&body).into_bytes()).unwrap_or_default();
        let request = Request {
            method,
            secure: true,
            host: cx.config.host().to_owned(),
            path: String::new(),
            query,
            headers,
            body: Some(body),
        };
        let response = admin::perform(cx, &request, resource, segment).await?;
        let tag = response.header("etag").unwrap_or_default().to_owned();
        if response.status == StatusCode::NO_CONTENT {
            return Ok(Answer { body: Map::new(), tag, owed: false });
        }
        match json::read(&String::from_utf8_lossy(&response.body)) {
            Ok(Value::Object(body)) => {
                Ok(Answer { body, tag, owed: response.status == StatusCode::ACCEPTED })
            }
            _ => Err(Fault::new("the administration gave no object").into()),
        }
    }
}
