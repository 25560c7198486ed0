//! A request that is passed on, and its answer: streams, of which nothing is read here.

use super::within;
use crate::{
    endpoints::gateway::Passage,
    host::{Away, Seconds},
    session,
};
use http::StatusCode;
use js_sys::{Array, Reflect};
use wasm_bindgen::JsCast as _;
use worker::{Result, wasm_bindgen_futures::JsFuture, web_sys};

/// How long the headers of an answer are waited for.
const WAIT: Seconds = Seconds(30);
/// The same where the request has a body, which its caller may be slow to send.
const WAIT_WITH_BODY: Seconds = Seconds(300);

/// Asks the server that a request is passed on to.
pub async fn forward(
    request: &web_sys::Request,
    passage: Passage,
) -> std::result::Result<(StatusCode, web_sys::Response), Away> {
    let body = request.body();
    let wait = if body.is_some() { WAIT_WITH_BODY } else { WAIT };
    let answer = async {
        let init = web_sys::RequestInit::new();
        init.set_method(&request.method());
        init.set_headers(&array(passage.headers(list(&request.headers()))));
        if let Some(body) = &body {
            init.set_body(body);
        }
        // Its redirects are answers to the caller. Cloudflare's cache does not know who is calling, and would give to one
        // what another one got.
        for (name, value) in [("redirect", "manual"), ("cache", "no-store")] {
            Reflect::set(&init, &name.into(), &value.into())?;
        }
        let world: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
        let answer = JsFuture::from(world.fetch_with_str_and_init(&passage.address, &init)).await?;
        without_own_cookies(answer.dyn_into()?)
    };
    let answer = within(answer, wait).await.ok_or(Away::Late)?;
    let answer = answer.map_err(|error: worker::Error| Away::Lost(error.to_string()))?;
    let status = StatusCode::from_u16(answer.status()).map_err(|why| Away::Lost(why.to_string()))?;
    Ok((status, answer))
}

/// An answer that sets none of this server's cookies. As it is where it does not try.
fn without_own_cookies(answer: web_sys::Response) -> Result<web_sys::Response> {
    let mut headers = list(&answer.headers());
    let before = headers.len();
    headers.retain(|(name, value)| name != "set-cookie" || !session::is_own_cookie(value));
    if headers.len() == before {
        return Ok(answer);
    }
    // The headers of an answer can't be changed: a copy.
    let init = web_sys::ResponseInit::new();
    init.set_status(answer.status());
    init.set_headers(&array(headers));
    Ok(web_sys::Response::new_with_opt_readable_stream_and_init(answer.body().as_ref(), &init)?)
}

/// Names in lower case, and values; every `Set-Cookie` by itself.
fn list(headers: &web_sys::Headers) -> Vec<(String, String)> {
    let mut list = Vec::new();
    for pair in Array::from(headers) {
        let text = |at| Array::from(&pair).get(at).as_string().unwrap_or_default();
        list.push((text(0), text(1)));
    }
    list
}

/// The same for the runtime.
fn array(headers: Vec<(String, String)>) -> Array {
    let array = Array::new();
    for (name, value) in headers {
        array.push(&Array::of2(&name.into(), &value.into()));
    }
    array
}
