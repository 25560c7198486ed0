//! The sector of a client (OpenID Connect Dynamic Client Registration §5): the document that names all of its redirect URIs.

use crate::{
    context::Context,
    host::{Asked, Host},
    json,
    model::{metadata::Metadata, outside, patch::Invalid, policy::Policy},
    upstream,
};

/// The largest document that is read, in bytes.
const LARGEST: usize = 16 * 1024;

/// Refuses a client whose redirect URIs are not all in the document that it names, or whose document cannot be had.
pub async fn check<H: Host>(
    cx: &Context<'_, H>,
    policy: &Policy,
    metadata: &Metadata,
) -> Result<(), Invalid> {
    let Some(address) = &metadata.sector_identifier_uri else { return Ok(()) };
    let refused = |why: &str| Invalid::new("sector_identifier_uri", why);
    upstream::check(cx.config, address).map_err(refused)?;
    if cx.strike_host(policy, outside::name_of(address)).await.is_some() {
        return Err(refused("lies at a host that was asked for too many documents: wait"));
    }
    let fetched = cx.host.fetch(&Asked::document(address, LARGEST)).await;
    let body = fetched.ok().filter(|fetched| fetched.status == 200).and_then(|fetched| fetched.body);
    let text = body.and_then(|body| String::from_utf8(body).ok());
    let listed: Option<Vec<String>> = text.and_then(|text| json::read(&text).ok());
    let listed = listed.ok_or_else(|| refused("gave no JSON array of strings, of at most 16 KiB"))?;
    if metadata.redirect_uris.iter().all(|uri| listed.contains(uri)) {
        return Ok(());
    }
    Err(refused("names other redirect URIs than the client"))
}
