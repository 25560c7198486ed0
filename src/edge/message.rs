//! Between the runtime's requests and ours: everything that is needed is read once, at the door.

use crate::{
    host::Asked,
    list::List as _,
    wire::{self, BODY_LIMIT},
};
use futures_util::StreamExt as _;
use http::StatusCode;
use js_sys::{Array, ArrayBuffer, Object, Reflect, Uint8Array};
use std::cell::RefCell;
use wasm_bindgen::{JsCast as _, JsValue, prelude::wasm_bindgen};
use worker::{ByteStream, Headers, Request, Result, console_error, web_sys};

/// The headers that the server reads.
pub const HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "cf-connecting-ip",
    "content-length",
    "content-type",
    "cookie",
    "if-match",
    "origin",
    "sec-fetch-site",
    "transfer-encoding",
];

/// Those that it reads of a proxy that asks about a request, and of a request that may have to be passed on. Each costs a
/// call to the runtime, so nobody else pays for them.
const MORE: &[&str] = &[
    "upgrade",
    "x-original-method",
    "x-original-origin",
    "x-original-uri",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-uri",
];

/// A body, or `None` where it was longer than is read; or why it can't be read.
pub type Body = std::result::Result<Option<Vec<u8>>, &'static str>;

/// Where somebody signs in: what the browser calls itself is kept with the session.
const ENTRANCES: &[&str] = &["/login", "/account", "/console/sign-in"];

/// What is read of a request but for its body, of which it says only whether there is one. `text`: method and address, and
/// below them those of [`HEADERS`] that it has. `passes`: whether one to that host may have to be passed on. The URL is taken
/// apart as text: the `url` crate would make this Worker larger.
pub fn head(
    request: &web_sys::Request,
    text: &str,
    passes: impl Fn(&str) -> bool,
) -> std::result::Result<wire::Request, &'static str> {
    let mut lines = text.split('\n');
    // The runtime's own word: `worker::Method` would make GET of what it does not know.
    let (method, url) = lines.next().unwrap_or_default().split_once(' ').unwrap_or_default();
    let method = http::Method::from_bytes(method.as_bytes()).map_err(|_| "no such method")?;
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = if path.is_empty() { "/" } else { path };
    let mut headers = lines.filter_map(|line| line.split_once(':')).map(pair).list();
    let more: &[&str] = if path == "/check" || passes(host) { MORE } else { &[] };
    let agent: &[&str] = if ENTRANCES.contains(&path) { &["user-agent"] } else { &[] };
    for name in more.iter().chain(agent) {
        if let Ok(Some(value)) = request.headers().get(name) {
            headers.push(pair((name, &value)));
        }
    }
    let mut head = wire::Request {
        method,
        secure: scheme == "https",
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: None,
    };
    if declared(&head).is_none() && request.body().is_none() {
        head.body = Some(Vec::new());
    }
    Ok(head)
}

fn pair((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// How long the body is, where that is known. A body in chunks has another length than the one declared.
fn declared(head: &wire::Request) -> Option<usize> {
    let length = head.header("content-length")?.parse().ok()?;
    (length > 0 && head.header("transfer-encoding").is_none()).then_some(length)
}

/// Whether the body is awaited as a whole: where it is known to be one that is read at all. Each piece of a stream costs calls
/// to the runtime.
pub fn is_whole(head: &wire::Request) -> bool {
    declared(head).is_some_and(|length| length <= BODY_LIMIT)
}

/// What such a body brought, or why it brought nothing.
pub fn bytes(whole: &JsValue) -> Body {
    let whole = whole.dyn_ref::<ArrayBuffer>().ok_or("the body broke off")?;
    let whole = Uint8Array::new(whole).to_vec();
    Ok(Some(whole).filter(|whole| whole.len() <= BODY_LIMIT))
}

/// The body: at most so much of it as is read at all, whatever `Content-Length` says.
pub async fn body(request: &web_sys::Request, head: &wire::Request) -> Body {
    if head.body.is_some() {
        return Ok(Some(Vec::new()));
    }
    if declared(head).is_some_and(|length| length > BODY_LIMIT) {
        return Ok(None);
    }
    let mut request = Request::from(Clone::clone(request));
    collect(request.stream().map_err(|_| "the body can't be read")?, BODY_LIMIT).await
}

/// What a stream brings; nothing, and no more of it is read, where that is more than `most` bytes.
pub async fn collect(mut stream: ByteStream, most: usize) -> Body {
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        body.extend_from_slice(&chunk.map_err(|_| "the body broke off")?);
        if body.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

/// All headers of an answer.
pub fn headers(headers: &Headers) -> Vec<(String, String)> {
    let pairs =
        Object::from_entries(headers.0.as_ref()).map(|plain| Object::entries(&plain)).unwrap_or_default();
    let pair = |pair: JsValue| {
        let pair: Array = pair.into();
        Some((pair.get(0).as_string()?, pair.get(1).as_string()?))
    };
    pairs.iter().filter_map(pair).list()
}

/// A request to a server elsewhere. Its redirects are answers to us.
pub fn outgoing(asked: &Asked) -> Result<web_sys::Request> {
    let init = web_sys::RequestInit::new();
    init.set_method(asked.method.as_str());
    // By hand: its types of redirects are not among those that `worker` brings.
    Reflect::set(&init, &"redirect".into(), &"manual".into())?;
    if !asked.body.is_empty() {
        init.set_body(&Uint8Array::from(asked.body.as_slice()).into());
    }
    let request = web_sys::Request::new_with_str_and_init(&asked.address, &init)?;
    for (name, value) in &asked.headers {
        request.headers().set(name, value)?;
    }
    Ok(request)
}

#[wasm_bindgen]
extern "C" {
    /// A request, as the platform brings it.
    type Incoming;

    #[wasm_bindgen(method, getter, catch)]
    fn cf(this: &Incoming) -> std::result::Result<JsValue, JsValue>;
}

/// Where the caller is, as the platform tells (`request.cf`); read by hand, because the typed getters panic.
pub fn whereabouts(request: &web_sys::Request) -> (String, f64) {
    let member = |of: &JsValue, name: &str| Reflect::get(of, &JsValue::from_str(name)).ok();
    let cf = request.unchecked_ref::<Incoming>().cf().ok().filter(JsValue::is_object);
    let text = |name: &str| cf.as_ref().and_then(|cf| member(cf, name)).and_then(|value| value.as_string());
    let longitude = text("longitude").map_or(0.0, |longitude| js_sys::Number::parse_float(&longitude));
    (text("continent").unwrap_or_default(), longitude)
}

thread_local! {
    /// How answers were begun: status and headers, as the runtime takes them. They are few, and much alike.
    static BEGUN: RefCell<Vec<(StatusCode, wire::Headers, web_sys::ResponseInit)>> = const { RefCell::new(Vec::new()) };
}

/// So many are kept.
const BEGINNINGS: usize = 16;

/// Whoever's answer has one of these, no other is begun like it.
const OWN: &[&str] = &["set-cookie", "location", "etag", "link", "retry-after", "x-auth-subject"];

/// Writes a response, a `Response` of JavaScript's. One that the runtime does not take is 500, and a line in its log.
pub fn write(outgoing: &wire::Response) -> JsValue {
    let written = begun(outgoing).and_then(|init| {
        let body = (!outgoing.body.is_empty()).then(|| Uint8Array::from(outgoing.body.as_slice()));
        let body = body.as_ref().map(AsRef::as_ref);
        web_sys::Response::new_with_opt_buffer_source_and_init(body, &init)
    });
    match written {
        Ok(response) => response.into(),
        Err(why) => {
            console_error!("an answer can't be written: {why:?}");
            let init = web_sys::ResponseInit::new();
            init.set_status(500);
            web_sys::Response::new_with_opt_str_and_init(None, &init).map_or(JsValue::NULL, Into::into)
        }
    }
}

/// How an answer begins.
fn begun(outgoing: &wire::Response) -> std::result::Result<web_sys::ResponseInit, JsValue> {
    let (status, headers) = (outgoing.status, &outgoing.headers);
    let known = BEGUN.with_borrow(|begun| {
        let fits = |(own, names, _): &&(StatusCode, wire::Headers, _)| *own == status && names == headers;
        begun.iter().find(fits).map(|(.., init)| init.clone())
    });
    known.map_or_else(|| begin(status, headers), Ok)
}

/// Each header is a call to the runtime.
fn begin(status: StatusCode, headers: &wire::Headers) -> std::result::Result<web_sys::ResponseInit, JsValue> {
    let written = web_sys::Headers::new()?;
    for (name, value) in headers {
        written.append(name, value)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_status(status.as_u16());
    init.set_headers(&written);
    if !headers.iter().any(|(name, _)| OWN.contains(name)) {
        BEGUN.with_borrow_mut(|begun| {
            if begun.len() >= BEGINNINGS {
                begun.clear();
            }
            begun.push((status, headers.clone(), init.clone()));
        });
    }
    Ok(init)
}
