//! How the runtime comes in: what `worker/entry.js` asks, and the server that answers it.

use super::{Edge, at_once, message, passage};
use crate::{context::config::Vars, list::List as _, server::Server, wire};
use js_sys::Promise;
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Env, web_sys};

thread_local! {
    /// One server an isolate, the variables it was made of, and where they were read.
    static SERVER: RefCell<Option<(JsValue, Vars, Rc<Server>)>> = const { RefCell::new(None) };
}

fn server(env: &Env) -> Rc<Server> {
    // Reading them costs calls to the runtime: not again where they lie in the same place.
    let known = SERVER.with_borrow(|kept| {
        let known = kept.as_ref().filter(|(place, ..)| place == AsRef::<JsValue>::as_ref(env));
        known.map(|(.., server)| Rc::clone(server))
    });
    if let Some(server) = known {
        return server;
    }
    let text = |name: &str| env.var(name).ok().map(|value| value.to_string());
    let vars = Vars {
        mode: text("MODE"),
        issuer: text("ISSUER"),
        master_key: text("MASTER_KEY"),
        admin_token: text("ADMIN_TOKEN"),
    };
    SERVER.with_borrow_mut(|kept| {
        let server = match kept.take() {
            Some((_, known, server)) if known == vars => server,
            _ => Rc::new(Server::new(&vars)),
        };
        *kept = Some((AsRef::<JsValue>::as_ref(env).clone(), vars, Rc::clone(&server)));
        server
    })
}

#[wasm_bindgen]
extern "C" {
    /// What ends when a request has been answered.
    pub type Life;

    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    fn wait_until(this: &Life, promise: &Promise) -> Result<(), JsValue>;
}

/// What `worker/entry.js` asks.
#[wasm_bindgen]
pub struct Entrance;

#[wasm_bindgen]
impl Entrance {
    /// The names of the headers that `head` has to bring.
    pub fn headers() -> Vec<String> {
        message::HEADERS.iter().map(|name| (*name).to_owned()).list()
    }

    /// Answers a request: with a `Response` or a promise of one. `undefined` where it is to be asked again with the `body`, which
    /// is awaited by then, or `null` where it broke off. It never throws.
    pub fn fetch(request: web_sys::Request, env: Env, life: &Life, head: &str, body: &JsValue) -> JsValue {
        let server = server(&env);
        let edge = Edge { env, request: Some(Clone::clone(&request)) };
        let head = match message::head(&request, head, |host| server.may_pass(host)) {
            Ok(head) => head,
            Err(why) => return message::write(&server.refuse_unread(&edge, why)),
        };
        if server.may_pass(&head.host) {
            return lasting(life, pass(server, edge, request, head));
        }
        match (message::is_whole(&head), body.is_undefined()) {
            (true, true) => JsValue::UNDEFINED,
            (true, false) => lasting(life, finish(server, edge, head, message::bytes(body))),
            (false, _) => lasting(life, read(server, edge, request, head)),
        }
    }
}

/// Answers a request whose body has come, or never will.
async fn finish(server: Rc<Server>, edge: Edge, head: wire::Request, body: message::Body) -> JsValue {
    message::write(&match body {
        Ok(body) => server.respond(&edge, &wire::Request { body, ..head }).await,
        Err(why) => server.refuse_unread(&edge, why),
    })
}

/// Answers a request whose body comes in pieces, or not at all.
async fn read(server: Rc<Server>, edge: Edge, request: web_sys::Request, head: wire::Request) -> JsValue {
    let body = message::body(&request, &head).await;
    finish(server, edge, head, body).await
}

/// Passes a request on, before its body is read: what is passed on streams. Or answers it.
async fn pass(server: Rc<Server>, edge: Edge, request: web_sys::Request, head: wire::Request) -> JsValue {
    match server.pass(&edge, &head, async |passage| passage::forward(&request, passage).await).await {
        Some(Ok(answer)) => answer.into(),
        Some(Err(refused)) => message::write(&refused),
        None => read(server, edge, request, head).await,
    }
}

/// What comes of it, where it waits for nobody; else a promise, which is kept though the caller hangs up: the runtime would
/// drop with the request what it was about to count.
fn lasting(life: &Life, future: impl Future<Output = JsValue> + 'static) -> JsValue {
    at_once(Box::pin(future), |promise| {
        // Where the runtime does not keep it, it is a request like any other's.
        let _ = life.wait_until(promise);
    })
}
