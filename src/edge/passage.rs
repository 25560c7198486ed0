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
use worker::{Headers, Request, Result, wasm_bindgen_futures::JsFuture, web_sys};

/// How long the headers of an answer are waited for.
const WAIT: Seconds = Seconds(30);
/// The same where the request has a body, which its caller may be slow to send.
const WAIT_WITH_BODY: Seconds = Seconds(300);

/// Asks the server that a request is passed on to.
pub async fn forward(
    request: &Request,
    passage: Passage,
) -> std::result::Result<(StatusCode, web_sys::Response), Away> {
    let body = request.inner().body();
    let wait = if body.is_some() { WAIT_WITH_BODY } else { WAIT };
    let answer = async {
        let init = web_sys::RequestInit::new();
        init.set_method(&request.inner().method());
        let mut came = Vec::new();
        for listed in Array::from(&request.inner().headers()) {
            let text = |at| Array::from(&listed).get(at).as_string().unwrap_or_default();
            came.push((text(0), text(1)));
        }
        let headers = Array::new();
        for (name, value) in passage.headers(came) {
            headers.push(&Array::of2(&name.into(), &value.into()));
        }
        init.set_headers(&headers);
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
    let cookies = Headers(answer.headers()).get_all("set-cookie")?;
    if !cookies.iter().any(|set| session::is_own_cookie(set)) {
        return Ok(answer);
    }
    // The headers of an answer can't be changed, those of a copy can.
    let init: &web_sys::ResponseInit = answer.unchecked_ref();
    let copy = web_sys::Response::new_with_opt_readable_stream_and_init(answer.body().as_ref(), init)?;
    let headers = Headers(copy.headers());
    headers.delete("set-cookie")?;
    for set in cookies.iter().filter(|set| !session::is_own_cookie(set)) {
        headers.append("set-cookie", set)?;
    }
    Ok(copy)
}
