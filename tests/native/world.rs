//! The world in memory: a clock set by hand, dice that count, a replica that lags when told to, objects on maps, and
//! every single operation open to be counted, failed or dropped.

use edgemint::{
    context::config::Vars,
    error::Fault,
    host::{Host, Object, Place, Row, Seconds, Store, Timestamp},
    model::place::Region,
    objects::{
        self,
        protocol::{account_shard::AccountShard, grant_shard::GrantShard, registry::Registry},
    },
    server::Server,
    wire::{Request, Response, encode},
};
use http::Method;
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
};

pub const ISSUER: &str = "http://localhost:8787";
pub const ADMIN_TOKEN: &str = "an-administrators-token-of-forty-characters";
pub const KEY_A: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
pub const KEY_B: &str = "b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Run a future that never waits.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the world in memory never waits"),
    }
}

/// Rows by owner and key.
type Rows = BTreeMap<(String, String), String>;

/// The disk of one object.
#[derive(Default)]
pub struct Disk(RefCell<BTreeMap<String, Rows>>);

impl Store for Disk {
    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault> {
        let tables = self.0.borrow();
        Ok(tables.get(table).and_then(|rows| rows.get(&(owner.to_owned(), key.to_owned()))).cloned())
    }

    fn put(&self, table: &str, owner: &str, key: &str, row: &str) -> Result<(), Fault> {
        let mut tables = self.0.borrow_mut();
        tables
            .entry(table.to_owned())
            .or_default()
            .insert((owner.to_owned(), key.to_owned()), row.to_owned());
        Ok(())
    }

    fn delete(&self, table: &str, owner: &str, key: &str) -> Result<(), Fault> {
        if let Some(rows) = self.0.borrow_mut().get_mut(table) {
            rows.remove(&(owner.to_owned(), key.to_owned()));
        }
        Ok(())
    }

    fn scan(
        &self,
        table: &str,
        owner: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let tables = self.0.borrow();
        let Some(rows) = tables.get(table) else { return Ok(Vec::new()) };
        let rows = rows.iter().filter(|((o, k), _)| {
            owner.is_none_or(|owner| o == owner) && after.is_none_or(|after| (o.as_str(), k.as_str()) > after)
        });
        Ok(rows.take(limit).map(|((o, k), row)| (o.clone(), k.clone(), row.clone())).collect())
    }

    fn tables(&self) -> Result<Vec<String>, Fault> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    fn drop_table(&self, table: &str) -> Result<(), Fault> {
        self.0.borrow_mut().remove(table);
        Ok(())
    }
}

/// What happens to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and its answer comes back.
    Answered,
    /// It never arrives.
    Lost,
    /// It arrives, and its answer is lost.
    Unanswered,
}

/// Everything outside the protocol. Clones are the same world.
#[derive(Clone, Default)]
pub struct World(Rc<Inner>);

#[derive(Default)]
struct Inner {
    clock: Cell<u64>,
    skew: Cell<i64>,
    dice: Cell<u64>,
    replica: RefCell<BTreeMap<String, String>>,
    frozen: Cell<bool>,
    failing_puts: Cell<u32>,
    puts: RefCell<Vec<String>>,
    disks: RefCell<BTreeMap<(&'static str, String), Rc<Disk>>>,
    fates: RefCell<BTreeMap<&'static str, Vec<Fate>>>,
    operations: RefCell<Vec<String>>,
    log: RefCell<Vec<String>>,
}

impl World {
    /// A world at some instant, with nothing in it.
    pub fn new() -> Self {
        let world = Self::default();
        world.0.clock.set(1_800_000_000_000);
        world
    }

    /// Lets time pass.
    pub fn pass(&self, length: Seconds) {
        self.0.clock.set(self.0.clock.get() + length.0 * 1000);
    }

    /// The objects' clocks go this many milliseconds before (or behind) the edge's.
    pub fn skew(&self, milliseconds: i64) {
        self.0.skew.set(milliseconds);
    }

    /// Whether the replica stays as it is, whatever is written.
    pub fn freeze_replica(&self, frozen: bool) {
        self.0.frozen.set(frozen);
    }

    /// The next so many writes to the replica fail.
    pub fn fail_puts(&self, count: u32) {
        self.0.failing_puts.set(count);
    }

    /// Keys of the writes to the replica that were tried, in order.
    pub fn puts(&self) -> Vec<String> {
        self.0.puts.borrow().clone()
    }

    /// A record of the replica.
    pub fn copy(&self, key: &str) -> Option<String> {
        self.0.replica.borrow().get(key).cloned()
    }

    /// What happens to the next deliveries to objects of one binding; afterwards all are answered.
    pub fn fate(&self, binding: &'static str, fates: &[Fate]) {
        let fates = fates.iter().rev().copied().collect();
        self.0.fates.borrow_mut().insert(binding, fates);
    }

    /// Operations that the edge asked of storage since the last call: `GRANTS`, `ACCOUNTS`, `REGISTRY`, `replica`.
    /// What objects ask of each other is not among them.
    pub fn operations(&self) -> Vec<String> {
        std::mem::take(&mut self.0.operations.borrow_mut())
    }

    /// Events of the log since the last call.
    pub fn events(&self) -> Vec<Value> {
        let lines = std::mem::take(&mut *self.0.log.borrow_mut());
        lines.iter().map(|line| serde_json::from_str(line).expect("the log is JSON")).collect()
    }

    /// The disks of one binding.
    pub fn disks(&self, binding: &'static str) -> Vec<(String, Rc<Disk>)> {
        let disks = self.0.disks.borrow();
        disks
            .iter()
            .filter(|((of, _), _)| *of == binding)
            .map(|((_, name), disk)| (name.clone(), disk.clone()))
            .collect()
    }

    /// Everything that is kept anywhere, as one text.
    pub fn dump(&self) -> String {
        let disks = self.0.disks.borrow();
        let disks =
            disks.iter().map(|((binding, name), disk)| format!("{binding} {name} {:?}", disk.0.borrow()));
        format!("{:?}\n{}", self.0.replica.borrow(), disks.collect::<Vec<_>>().join("\n"))
    }

    /// Rings every alarm that is due, once each. Gives how many rang.
    pub fn ring(&self) -> usize {
        let disks: Vec<_> = self.0.disks.borrow().keys().cloned().collect();
        disks
            .into_iter()
            .filter(|(binding, name)| match *binding {
                "GRANTS" => self.ring_one::<GrantShard>(name),
                "ACCOUNTS" => self.ring_one::<AccountShard>(name),
                _ => self.ring_one::<Registry>(name),
            })
            .count()
    }

    fn ring_one<O: Object>(&self, name: &str) -> bool {
        let disk = self.disk(O::BINDING, name);
        let inside = Inside(self.clone());
        let due = O::wake(&*disk, inside.now()).expect("a disk in memory does not fail");
        if due.is_none_or(|due| due > inside.now()) {
            return false;
        }
        now(objects::alarm::<O, _, _>(&inside, &*disk));
        true
    }

    /// Delivers one message to an object as it stands, and gives its answer: for the same message twice.
    pub fn deliver_raw<O: Object>(&self, name: &str, message: &str) -> String {
        let disk = self.disk(O::BINDING, name);
        now(objects::serve::<O, _, _>(&Inside(self.clone()), &*disk, name, message))
    }

    /// The disk of an object.
    pub fn disk(&self, binding: &'static str, name: &str) -> Rc<Disk> {
        self.0.disks.borrow_mut().entry((binding, name.to_owned())).or_default().clone()
    }
}

impl Host for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.clock.get())
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0.dice.set(self.0.dice.get() + 1);
            // Not random, but all different in every byte: Knuth's multiplicative hash of a counter.
            let number = self.0.dice.get().wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    fn log(&self, line: &str) {
        self.0.log.borrow_mut().push(line.to_owned());
    }

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        self.0.operations.borrow_mut().push(to.binding.to_owned());
        Inside(self.clone()).deliver(to, message).await
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        self.0.operations.borrow_mut().push("replica".to_owned());
        Ok(self.copy(key))
    }

    async fn write_copy(&self, _: &str, _: &str) -> Result<(), Fault> {
        panic!("the edge never writes the replica: the registry does")
    }
}

/// The same world, seen by an object.
#[derive(Clone)]
struct Inside(World);

impl Host for Inside {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.0.clock.get().saturating_add_signed(self.0.0.skew.get()))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn log(&self, line: &str) {
        self.0.log(line);
    }

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        let world = &self.0;
        let fate =
            world.0.fates.borrow_mut().get_mut(to.binding).and_then(Vec::pop).unwrap_or(Fate::Answered);
        if fate == Fate::Lost {
            return Err(Fault::new("lost on the way"));
        }
        let disk = world.disk(to.binding, &to.name);
        let (inside, name) = (self.clone(), to.name.clone());
        let serve: Pin<Box<dyn Future<Output = String>>> =
            match to.binding {
                "GRANTS" => Box::pin(async move {
                    objects::serve::<GrantShard, _, _>(&inside, &*disk, &name, &message).await
                }),
                "ACCOUNTS" => Box::pin(async move {
                    objects::serve::<AccountShard, _, _>(&inside, &*disk, &name, &message).await
                }),
                _ => Box::pin(async move {
                    objects::serve::<Registry, _, _>(&inside, &*disk, &name, &message).await
                }),
            };
        let answer = serve.await;
        if fate == Fate::Unanswered { Err(Fault::new("the answer was lost")) } else { Ok(answer) }
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.0.copy(key))
    }

    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault> {
        let inner = &self.0.0;
        inner.puts.borrow_mut().push(key.to_owned());
        if inner.failing_puts.get() > 0 {
            inner.failing_puts.set(inner.failing_puts.get() - 1);
            return Err(Fault::new("429 from the replica"));
        }
        if !inner.frozen.get() {
            inner.replica.borrow_mut().insert(key.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

/// A deployment in a world, with the browser of one person before it.
pub struct Site {
    pub world: World,
    pub server: Server,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Site {
    /// Development, with its data, in a new world.
    pub fn new() -> Self {
        let site = Self::with(&World::new(), &development());
        assert_eq!(site.get("/healthz").status, 200);
        site.world.operations();
        site.world.events();
        site
    }

    /// A new isolate with these variables in this world.
    pub fn with(world: &World, vars: &Vars) -> Self {
        Self { world: world.clone(), server: Server::new(vars), cookies: RefCell::default() }
    }

    /// Another isolate of the same deployment: it remembers nothing. Its browser is another one.
    pub fn beside(&self) -> Self {
        Self::with(&self.world, &development())
    }

    /// Answers one request.
    pub fn send(&self, request: &Request) -> Response {
        now(self.server.respond(&self.world, request, Region::default()))
    }

    /// A request as a browser makes it: with its cookies, which it keeps.
    pub fn browse(&self, mut request: Request) -> Response {
        let cookies =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        if !cookies.is_empty() {
            request.headers.push(("cookie".to_owned(), cookies.join("; ")));
        }
        let response = self.send(&request);
        for (_, set) in response.headers.iter().filter(|(name, _)| *name == "set-cookie") {
            let (pair, _) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
        response
    }

    /// The browser forgets a cookie.
    pub fn forget_cookie(&self, name: &str) {
        self.cookies.borrow_mut().remove(name);
    }

    /// The value of one of the browser's cookies.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    /// GET in the browser.
    pub fn get(&self, target: &str) -> Response {
        self.browse(request(Method::GET, target, &[], ""))
    }

    /// A form posted in the browser.
    pub fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.browse(request(Method::POST, path, &[("content-type", FORM)], &form(fields)))
    }

    /// A form posted by a client: `(status, JSON)`. `client` is `id:secret` for Basic, or `id` for a public client.
    pub fn post(&self, path: &str, client: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let response = self.send(&post(path, client, fields));
        let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        (response.status.as_u16(), body)
    }

    /// The token endpoint: `(status, JSON)`.
    pub fn token(&self, client: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.post("/token", client, fields)
    }

    /// Introspection by `demo-api`.
    pub fn inspect(&self, token: &str) -> Value {
        let (status, body) = self.post("/introspect", "demo-api:demo-api-secret", &[("token", token)]);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// A request to the administration API: `(status, JSON)`.
    pub fn admin(&self, method: Method, target: &str, body: &Value) -> (u16, Value) {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(&request(method, target, &headers, &body));
        (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    /// The authorization request of a demo client with its defaults; `more` replaces or adds, an empty value removes.
    pub fn authorize(&self, client_id: &str, more: &[(&str, &str)]) -> Response {
        self.get(&format!("/authorize?{}", form(&authorization(client_id, more))))
    }

    /// Signs in on the page that is shown.
    pub fn sign_in(&self, page: &Response, username: &str, password: &str) -> Response {
        let pending = field(page, "pending");
        self.submit("/login", &[("pending", &pending), ("username", username), ("password", password)])
    }

    /// Decides on the page that is shown.
    pub fn decide(&self, page: &Response, decision: &str, scopes: &[&str]) -> Response {
        let pending = field(page, "pending");
        let mut fields = vec![("pending", pending.as_str()), ("decision", decision)];
        fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
        self.submit("/consent", &fields)
    }

    /// A code for `client_id`, from alice, with all it asks for.
    pub fn code(&self, client_id: &str, more: &[(&str, &str)]) -> String {
        let page = self.authorize(client_id, more);
        let page = if text(&page).contains("id=\"login-submit\"") {
            self.sign_in(&page, "alice", "wonderland")
        } else {
            page
        };
        let answer = self.decide(&page, "all", &[]);
        parameter(&answer, "code").unwrap_or_else(|| panic!("no code: {} {}", answer.status, text(&answer)))
    }

    /// Redeems a code of `demo-web`.
    pub fn redeem(&self, code: &str) -> (u16, Value) {
        self.token("demo-web:demo-web-secret", &redemption(code))
    }

    /// The tokens of a new grant of `demo-web`.
    pub fn tokens(&self) -> Value {
        let (status, body) = self.redeem(&self.code("demo-web", &[]));
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Refreshes for `demo-web`.
    pub fn refresh(&self, token: &str) -> (u16, Value) {
        self.token("demo-web:demo-web-secret", &[("grant_type", "refresh_token"), ("refresh_token", token)])
    }
}

/// The variables of development.
pub fn development() -> Vars {
    Vars {
        mode: Some("development".into()),
        issuer: Some(ISSUER.into()),
        master_key: Some(KEY_A.into()),
        admin_token: Some(ADMIN_TOKEN.into()),
    }
}

pub const FORM: &str = "application/x-www-form-urlencoded";
pub const CALLBACK: &str = "http://127.0.0.1:9999/callback";

/// A request to the issuer's host.
pub fn request(method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method,
        host: "localhost:8787".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: Some(body.as_bytes().to_vec()),
    }
}

/// A client's form, authenticated as in [`Site::post`].
pub fn post(path: &str, client: &str, fields: &[(&str, &str)]) -> Request {
    use base64ct::{Base64, Encoding};
    let mut headers = vec![("content-type", FORM.to_owned())];
    let mut fields = fields.to_vec();
    match client.split_once(':') {
        Some(_) => {
            headers.push(("authorization", format!("Basic {}", Base64::encode_string(client.as_bytes()))));
        }
        None if !client.is_empty() => fields.push(("client_id", client)),
        None => {}
    }
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    request(Method::POST, path, &headers, &form(&fields))
}

/// The parameters of an authorization request.
pub fn authorization<'a>(client_id: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let redirect_uri = match client_id {
        "demo-spa" => "http://127.0.0.1:9999/spa",
        "demo-legacy" => "http://127.0.0.1:9999/legacy",
        _ => CALLBACK,
    };
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("state", "a state"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

/// The parameters of a redemption by `demo-web`.
pub fn redemption(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

/// A form's text.
pub fn form(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The body as text.
pub fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("UTF-8")
}

/// The value of a hidden field.
pub fn field(page: &Response, name: &str) -> String {
    let html = text(page);
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) =
        html.split_once(&start).unwrap_or_else(|| panic!("no field {name}: {} {html}", page.status));
    rest.split_once('"').unwrap().0.to_owned()
}

/// A parameter of the redirect's query.
pub fn parameter(response: &Response, name: &str) -> Option<String> {
    let (_, query) = response.header("location")?.split_once('?')?;
    let params = edgemint::wire::Params::parse(query.as_bytes(), &[]).ok()?;
    params.optional(name).map(str::to_owned)
}
