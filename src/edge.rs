//! The Cloudflare side: the only file that knows what a Worker is. The fetch event, the [`Host`] over `Env`, and the
//! Durable Object classes, each a lock and a disk around an [`Object`].

mod disk;
mod entrance;
mod message;
mod passage;
mod subtle;

use crate::{
    crypto,
    error::Fault,
    host::{Algorithm, Asked, Away, Fetched, Host, Jwk, Object, PATIENCE, Place, Seconds, Timestamp},
    objects::{
        self,
        protocol::{account_shard, connection, grant_shard, registry},
        remembered::Remembered,
    },
    waiting,
};
use disk::Disk;
use futures_util::future::{Either, select};
use js_sys::{Array, Function, Promise, Reflect};
use std::{
    cell::{Cell, RefCell},
    pin::{Pin, pin},
    rc::Rc,
    time::Duration,
};
use wasm_bindgen::{JsCast as _, JsValue, prelude::wasm_bindgen};
use worker::{
    Delay, DurableObject, Env, Fetch, Request, Response, Result, State, console_error, durable_object, event,
    wasm_bindgen_futures::{JsFuture, future_to_promise},
    web_sys,
};

#[wasm_bindgen]
extern "C" {
    /// An object, from afar: its methods are called as if it were here, which is less than a request.
    type Stub;

    #[wasm_bindgen(method, catch)]
    fn turn(this: &Stub, name: &str, message: &str) -> std::result::Result<Promise, JsValue>;
}

/// Whoever comes within this is taken for near: an isolate stands in one place, and to say where somebody is costs the runtime
/// a document of everything it knows of them.
const NEARBY: Seconds = Seconds(10);
/// And within this, where the platform has not told of anybody yet.
const UNTOLD: Seconds = Seconds(1);

thread_local! {
    /// Where somebody was who came a moment ago, and until when it is theirs who come.
    static NEAR: RefCell<Option<(Timestamp, (String, f64))>> = const { RefCell::new(None) };
}

/// After this long nobody is still telling others by itself.
const RESCUE: Seconds = Seconds(30);

impl From<worker::Error> for Fault {
    fn from(error: worker::Error) -> Self {
        Self::new(error)
    }
}

/// The world, as Workers has it.
struct Edge {
    env: Env,
    /// The request that is answered: not in an object.
    request: Option<web_sys::Request>,
}

impl Host for Edge {
    fn now(&self) -> Timestamp {
        Timestamp(worker::Date::now().as_millis())
    }

    fn whereabouts(&self) -> (String, f64) {
        let Some(request) = &self.request else { return Default::default() };
        let now = self.now();
        NEAR.with_borrow_mut(|near| match near {
            Some((until, known)) if now < *until => known.clone(),
            _ => {
                let place = message::whereabouts(request);
                let nowhere = place.0.is_empty();
                // Nowhere is nobody's neighbour, unless nobody was anywhere so far: a platform that does not tell is not
                // asked each time.
                if !nowhere || near.as_ref().is_none_or(|(_, (continent, _))| continent.is_empty()) {
                    let lasts = if nowhere { UNTOLD } else { NEARBY };
                    *near = Some((now.plus(lasts), place.clone()));
                }
                place
            }
        })
    }

    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            // Without dice nothing here is safe: end this request, and say why.
            console_error!("crypto.getRandomValues failed");
            wasm_bindgen::throw_str("crypto.getRandomValues failed");
        }
    }

    fn log(&self, line: &str) {
        web_sys::console::log_1(&JsValue::from_str(line));
    }

    async fn pause(&self, milliseconds: u64) {
        Delay::from(Duration::from_millis(milliseconds)).await;
    }

    async fn deliver(&self, to: &Place, text: String) -> std::result::Result<String, Fault> {
        // A new stub each time: one that failed once stays broken.
        let namespace = self.env.durable_object(to.binding)?;
        let stub = match to.near {
            Some(hint) => namespace.get_by_name_with_location_hint(&to.name, hint)?,
            None => namespace.get_by_name(&to.name)?,
        };
        let stub: Stub = stub.into_rpc();
        let answer = async { JsFuture::from(stub.turn(&to.name, &text)?).await };
        let answer = within(answer, to.patience).await;
        let answer = answer.ok_or_else(|| Fault::new("an object did not answer in time"))?;
        let answer = answer.map_err(worker::Error::from)?;
        answer.as_string().ok_or_else(|| Fault::new("an object answered with no text"))
    }

    async fn read_copy(&self, key: &str) -> std::result::Result<Option<String>, Fault> {
        Ok(self.replica("get", &[key]).await?.as_string())
    }

    async fn write_copy(&self, key: &str, value: &str) -> std::result::Result<(), Fault> {
        self.replica("put", &[key, value]).await.map(|_| ())
    }

    async fn fetch(&self, asked: &Asked) -> std::result::Result<Fetched, Away> {
        let answer = async {
            let request = message::outgoing(asked)?;
            let mut response = Fetch::Request(request.into()).send().await?;
            let status = response.status_code();
            let headers = message::headers(response.headers());
            let body = match response.stream() {
                Ok(stream) => message::collect(stream, asked.most).await.map_err(worker::Error::from)?,
                // It has none.
                Err(_) => Some(Vec::new()),
            };
            Ok(Fetched { status, headers, body })
        };
        match within(answer, asked.patience).await {
            Some(answer) => answer.map_err(|error: worker::Error| Away::Lost(error.to_string())),
            None => Err(Away::Late),
        }
    }

    async fn generate_key(&self, algorithm: Algorithm) -> std::result::Result<Jwk, Fault> {
        subtle::generate(algorithm).await
    }

    async fn sign(
        &self,
        key: (Algorithm, &str),
        open: impl FnOnce() -> Option<Jwk>,
        message: &[u8],
    ) -> std::result::Result<Vec<u8>, Fault> {
        subtle::sign(key, open, message).await
    }

    async fn verify(
        &self,
        key: (Algorithm, &Jwk),
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<bool, Fault> {
        subtle::verify(key, message, signature).await
    }

    async fn drop_copy(&self, key: &str) -> std::result::Result<(), Fault> {
        self.replica("delete", &[key]).await.map(|_| ())
    }
}

impl Edge {
    /// Calls a method of the KV namespace with texts. Not through `worker`: its options are serialized, and bring the code
    /// to write any number as text.
    async fn replica(&self, method: &str, texts: &[&str]) -> std::result::Result<JsValue, Fault> {
        let call = || {
            let kv = Reflect::get(self.env.as_ref(), &"REPLICA".into())?;
            let function: Function = Reflect::get(&kv, &method.into())?.dyn_into()?;
            let texts: Array = texts.iter().map(|text| JsValue::from_str(text)).collect();
            function.apply(&kv, &texts)?.dyn_into::<Promise>()
        };
        let promise = call().map_err(worker::Error::from)?;
        in_time(JsFuture::from(promise)).await?.map_err(|error| worker::Error::from(error).into())
    }
}

/// What comes of it, if it comes in time.
async fn in_time<F: Future>(wanted: F) -> std::result::Result<F::Output, Fault> {
    within(wanted, PATIENCE).await.ok_or_else(|| Fault::new("storage did not answer in time"))
}

async fn within<F: Future>(wanted: F, patience: Seconds) -> Option<F::Output> {
    match select(pin!(wanted), pin!(Delay::from(Duration::from_secs(patience.0)))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// A panic is a line in the log, never silence.
#[event(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// What comes of it, where it waits for nobody: a promise of it is another turn of the loop. Else the promise, which is told of.
fn at_once(future: Pin<Box<dyn Future<Output = JsValue>>>, promised: impl FnOnce(&Promise)) -> JsValue {
    waiting::begin(future).unwrap_or_else(|rest| {
        let promise = future_to_promise(async { Ok(rest.await) });
        promised(&promise);
        promise.into()
    })
}

/// What every class does: one message is one turn, and the alarm is set for what comes next.
struct Shell {
    state: State,
    edge: Edge,
    disk: Remembered<Disk>,
    alarm: Cell<Alarm>,
    /// When it has something to do next.
    due: Cell<Option<Timestamp>>,
}

/// What is known of an object's alarm.
#[derive(Clone, Copy)]
enum Alarm {
    /// Nothing yet: the storage knows.
    Unknown,
    /// It is not set.
    Off,
    /// It rings then, in milliseconds since 1970.
    At(u64),
}

impl Shell {
    fn new(state: State, env: Env) -> Self {
        let edge = Edge { env, request: None };
        let disk = Disk::open(state.storage().sql(), crypto::text(&edge.random::<12>()));
        let disk = Remembered::new(disk);
        Self { state, edge, disk, alarm: Cell::new(Alarm::Unknown), due: Cell::new(None) }
    }

    async fn turn<O: Object>(&self, name: &str, text: &str) -> String {
        let reply = objects::turn::<O, _, _>(&self.edge, &self.disk, name, text).await;
        // Should the object die while it tells others what changed, the alarm goes on. Not at once: they would meet.
        let rescue = self.edge.now().plus(RESCUE);
        self.set_alarm(self.wake::<O>().map(|due| due.max(rescue))).await;
        let answer = objects::finish::<O, _, _>(&self.edge, &self.disk, reply).await;
        self.set_alarm(self.wake::<O>()).await;
        answer
    }

    /// Looked for only where something was written that it can depend on.
    fn wake<O: Object>(&self) -> Option<Timestamp> {
        if self.disk.store().is_touched() {
            match O::wake(&self.disk) {
                Ok(due) => {
                    self.disk.store().settle();
                    self.due.set(due);
                }
                Err(_) => return None,
            }
        }
        self.due.get()
    }

    async fn ring<O: Object>(&self) -> Result<Response> {
        self.alarm.set(Alarm::Off);
        let next = objects::alarm::<O, _, _>(&self.edge, &self.disk).await;
        self.set_alarm(next).await;
        Response::empty()
    }

    /// Sets the alarm, unless one rings earlier. One that can't be set is set by the next message.
    async fn set_alarm(&self, at: Option<Timestamp>) {
        let Some(Timestamp(at)) = at else { return };
        let storage = self.state.storage();
        if let Alarm::Unknown = self.alarm.get() {
            let armed = storage.get_alarm().await.ok().flatten().and_then(|armed| u64::try_from(armed).ok());
            self.alarm.set(armed.map_or(Alarm::Off, Alarm::At));
        }
        if matches!(self.alarm.get(), Alarm::At(armed) if armed <= at) {
            return;
        }
        let wait = Duration::from_millis(at.saturating_sub(self.edge.now().0));
        match storage.set_alarm(wait).await {
            Ok(()) => self.alarm.set(Alarm::At(at)),
            Err(error) => console_error!("the alarm could not be set: {error}"),
        }
    }
}

macro_rules! durable_objects {
    ($($class:ident is $object:ty;)*) => {
        $(
            #[doc = concat!("The class `", stringify!($class), "` of `wrangler.toml`.")]
            #[durable_object(alarm)]
            pub struct $class(Rc<Shell>);

            #[wasm_bindgen]
            impl $class {
                /// One message to the object of this name.
                pub fn turn(&self, name: String, message: String) -> JsValue {
                    let shell = Rc::clone(&self.0);
                    let turn = async move { shell.turn::<$object>(&name, &message).await.into() };
                    at_once(Box::pin(turn), |_| ())
                }
            }

            impl DurableObject for $class {
                fn new(state: State, env: Env) -> Self {
                    Self(Rc::new(Shell::new(state, env)))
                }

                async fn fetch(&self, _: Request) -> Result<Response> {
                    Response::error("objects are asked by turn", 404)
                }

                async fn alarm(&self) -> Result<Response> {
                    self.0.ring::<$object>().await
                }
            }
        )*
    };
}

durable_objects! {
    RegistryObject is registry::Registry;
    AccountShard is account_shard::AccountShard;
    GrantShard is grant_shard::GrantShard;
    ConnectionObject is connection::Connection;
}
