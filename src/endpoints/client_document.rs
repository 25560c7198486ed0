//! Clients that are a document, where a person is asked (draft-ietf-oauth-client-id-metadata-document §5): what the
//! registry knows of one, with what its document says now.
//!
//! Only here is something fetched. The token endpoint goes by the record that the registry made of the document when a
//! person allowed it something: so such a client has a version, marks and an end like any other, and an administrator sees
//! it, disables it, and ends what it got.

use super::admin::body;
use crate::{
    context::{Context, Limited, Words},
    error::{Code, Error, Fault},
    host::{Asked, Host, Timestamp},
    model::{client::Client, client_document, metadata::Metadata, policy::Policy, profile::Profile},
    wire::Request,
};
use http::StatusCode;
use std::rc::Rc;

/// The largest document that is read, in bytes.
const LARGEST: usize = 5 * 1024;

/// A client by its id, of whichever kind. One whose document the registry does not know as it is has no version yet.
pub async fn find<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    id: &str,
) -> Result<Option<Rc<Client>>, Error> {
    let policy = cx.policy().await?;
    if !policy.settings.documents || !client_document::is_address(id) {
        return cx.client(id).await;
    }
    let host = client_document::host_of(id)
        .map_err(|why| refused(format!("the client id is no address of a document: {why}")))?;
    if host == cx.config.host().split(':').next().unwrap_or_default() {
        return Err(refused("the client id is an address of this server"));
    }
    // Whom this server was made to ask is for the operator to see, also where nothing came of it.
    cx.note(|event| event.client = Some(id.to_owned()));
    let kept = cx.document(id);
    if kept.is_none()
        && let Some(until) = cx.closed(Limited::Document, &policy, request, "")
    {
        return Err(too_many().after(until.wait(cx.now)));
    }
    let row = cx.client(id).await?;
    // What an administrator registered needs no document, and what one disabled gets none.
    if row.as_ref().is_some_and(|row| !row.registered_itself() || !row.metadata.enabled) {
        return Ok(row);
    }
    let row = row.filter(|row| !row.has_expired(cx.now));
    let (words, until) = match kept {
        Some(words) => (words, None),
        None => fetch(cx, request, &policy, id, host).await.map(|(words, until)| (words, Some(until)))?,
    };
    let before =
        row.as_ref().map_or_else(|| Metadata::template(Profile::default()), |row| row.metadata.clone());
    let metadata = before.of_document((*words).clone(), &policy, cx.now);
    let metadata =
        metadata.map_err(|why| refused(format!("the document of the client: {} {}", why.field, why.why)))?;
    // §5.2: what is not as it must be is not kept.
    if let Some(until) = until {
        cx.keep_document(id, &words, until);
    }
    if row.as_ref().is_some_and(|row| row.metadata == metadata) {
        return Ok(row);
    }
    let new = Client::new(id.to_owned(), [0; 8], metadata, None);
    let expires = Some(client_document::end(&policy.settings, cx.now));
    Ok(Some(Rc::new(Client { expires, unused: true, ..new })))
}

/// Asks for the document. Each asking counts, for who made us ask and for whom we ask.
async fn fetch<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    policy: &Policy,
    id: &str,
    host: &str,
) -> Result<(Words, Timestamp), Error> {
    let closed = match cx.strike(Limited::Document, policy, request, "").await {
        None => cx.strike_host(policy, host).await,
        closed => closed,
    };
    if let Some(until) = closed {
        return Err(too_many().after(until.wait(cx.now)));
    }
    let away = |why: String| {
        let detail = "the document of the client could not be had: repeat the request";
        Error::new(Code::TemporarilyUnavailable, detail).because(why)
    };
    let fetched = cx.host.fetch(&Asked::document(id, LARGEST)).await;
    let fetched = fetched.map_err(|lost| away(Fault::from(lost).into_cause()))?;
    let status = fetched.status;
    match StatusCode::from_u16(status) {
        Ok(StatusCode::OK) => {}
        Ok(code) if code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS => {
            return Err(away(format!("status {status}")));
        }
        _ => {
            return Err(refused(format!(
                "the address of the client answered with the status {status}, not 200"
            )));
        }
    }
    let media_type =
        fetched.header("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type != "application/json" {
        return Err(refused("the document of the client is not application/json"));
    }
    let lifetime = client_document::lifetime(fetched.header("cache-control"), fetched.header("age"));
    let body = fetched.body.ok_or_else(|| refused("the document of the client is larger than 5 KiB"))?;
    let document = body::parse(&body).map_err(|error| {
        let field = error.field.as_deref().unwrap_or_default();
        refused(format!("the document of the client: {field} {}", error.detail))
    })?;
    let words = client_document::words(id, document);
    let words =
        words.map_err(|why| refused(format!("the document of the client: {} {}", why.field, why.why)))?;
    Ok((Rc::new(words), cx.now.plus(lifetime)))
}

fn refused(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Code::RefusedDocument, why).because("document refused")
}

fn too_many() -> Error {
    Error::new(Code::TooManyRequests, "too many documents of clients were asked for: wait")
        .because("documents of clients")
}
