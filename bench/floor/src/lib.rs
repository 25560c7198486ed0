//! The floors: what an answer costs on this platform, in this language, before anything is decided. Each reads the whole
//! body, writes one line of the log and answers a constant. Floor A does nothing else; floor B reads, changes and writes one
//! row of a warm Durable Object in between; floor C reads one.
//!
//! | variable | |
//! |---|---|
//! | `FLOOR` | `a`, `b` or `c` |
//! | `ANSWER` | status, a line a header, an empty line, the body: as the scenario's real answer |

#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use worker::{
    Context, DurableObject, Env, Headers, Method, Request, RequestInit, Response, Result, SqlStorage, State,
    console_log, durable_object, event,
};

/// A line of 200 bytes.
const LINE: &str = concat!(
    "{\"event\":\"token.issued\",\"endpoint\":\"POST /token\",\"status\":200,\"time\":1800000000,",
    "\"trace\":\"0123456789abcdef\",\"client\":\"demo-machine\",\"sub\":\"a-person-of-this-server\",",
    "\"reason\":\"floor\",\"filling\":\".......\"}"
);
const _: () = assert!(LINE.len() == 200);

/// What is answered, taken apart once.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.parse().ok()).unwrap_or(200);
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { status, headers: lines.filter_map(header).collect(), body: body.as_bytes().to_vec() }
    }

    fn write(&self) -> Result<Response> {
        let headers = Headers::new();
        for (name, value) in &self.headers {
            headers.append(name, value)?;
        }
        let response =
            if self.body.is_empty() { Response::empty() } else { Response::from_bytes(self.body.clone()) };
        Ok(response?.with_status(self.status).with_headers(headers))
    }
}

thread_local! {
    static KEPT: RefCell<Option<(String, Answer)>> = const { RefCell::new(None) };
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _: Context) -> Result<Response> {
    let body = request.text().await?;
    let floor = KEPT.with_borrow_mut(|kept| {
        if kept.is_none() {
            let text = |name: &str| env.var(name).map(|value| value.to_string());
            *kept = Some((text("FLOOR")?, Answer::read(&text("ANSWER")?)));
        }
        Ok::<_, worker::Error>(kept.as_ref().map(|(floor, _)| floor.clone()).unwrap_or_default())
    })?;
    if floor != "a" {
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(body.into()));
        let object = env.durable_object("ROWS")?.get_by_name("one")?;
        let request = Request::new_with_init(&format!("https://object/{floor}"), &init)?;
        object.fetch_with_request(request).await?.text().await?;
    }
    console_log!("{LINE}");
    KEPT.with_borrow(|kept| kept.as_ref().map_or_else(Response::empty, |(_, answer)| answer.write()))
}

/// As long as the row of a grant.
const ROW: usize = 800;

/// The object that keeps one row.
#[durable_object]
pub struct Rows {
    sql: SqlStorage,
}

impl DurableObject for Rows {
    fn new(state: State, _: Env) -> Self {
        let sql = state.storage().sql();
        let create =
            "CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID";
        // What can't be made is missed by the first request.
        let _ = sql.exec(create, None);
        let _ = sql.exec("INSERT OR IGNORE INTO rows VALUES ('one', ?)", vec![format!("{:ROW$}", 0).into()]);
        Self { sql }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        request.text().await?;
        let cursor = self.sql.exec("SELECT row FROM rows WHERE key = ?", vec!["one".into()])?;
        let row = cursor.raw().next().ok_or("no row")??;
        let [worker::SqlStorageValue::String(row)] = row.as_slice() else { return Err("no text".into()) };
        if request.url()?.path() == "/b" {
            let next = row.trim().parse::<u64>().map_err(|error| error.to_string())? + 1;
            let values = vec![format!("{next:ROW$}").into(), "one".into()];
            self.sql.exec("UPDATE rows SET row = ? WHERE key = ?", values)?;
            return Response::ok(format!("{next:ROW$}"));
        }
        Response::ok(row.clone())
    }
}
