//! The world outside the protocol: one port to it, and the small things it hands in.
//!
//! [`Host`] is what a request may ask of the world, [`Store`] what a Durable Object may ask of its disk. Nothing else
//! in `src` but `edge` touches either's other side, so a test can count, fail or drop every single operation.

use crate::{
    error::Fault,
    json::{self, Json},
};
use base64ct::Encoding as _;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An instant: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Json)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// A length of time in whole seconds, the unit of every setting and of `expires_in`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Json)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl Timestamp {
    /// No instant: what ends then has no end.
    pub const NEVER: Self = Self(u64::MAX);

    /// The later instant. Saturates.
    #[must_use]
    pub const fn plus(self, length: Seconds) -> Self {
        Self(self.0.saturating_add(length.0.saturating_mul(1000)))
    }

    /// The time from `earlier` to this; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0) / 1000)
    }

    /// How long to wait from `now` until this, in whole seconds that are not too few; at least one.
    pub const fn wait(self, now: Self) -> u64 {
        let seconds = self.0.saturating_sub(now.0).div_ceil(1000);
        if seconds == 0 { 1 } else { seconds }
    }

    /// The NumericDate of RFC 7519 §2.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// Who asks the world for a durable change, drawn anew for every wish and repeated with every repetition of it.
///
/// The row that the wish changed keeps the last one, so a repetition gets the same reply and no second effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Attempt(pub String);

/// The wishes that last changed a row, newest last.
///
/// A delivery that was believed lost can still arrive, even after another wish had its turn. The newest gets its answer
/// again; an older one is told that it is late, and changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Attempts(Vec<Attempt>);

impl Attempts {
    /// How many are remembered: more than are made of one row while one of them is still accepted.
    const KEPT: usize = 16;

    /// One wish, the first.
    pub fn of(attempt: &Attempt) -> Self {
        Self(vec![attempt.clone()])
    }

    /// Remembers one more.
    pub fn push(&mut self, attempt: &Attempt) {
        self.0.push(attempt.clone());
        if self.0.len() > Self::KEPT {
            self.0.remove(0);
        }
    }

    /// True where this wish is one of them.
    pub fn contain(&self, attempt: &Attempt) -> bool {
        self.0.contains(attempt)
    }

    /// True where this wish made the row what it is.
    pub fn is_newest(&self, attempt: &Attempt) -> bool {
        self.0.last() == Some(attempt)
    }

    /// A fault where this wish had its effect before others had theirs.
    pub fn refuse_late(&self, attempt: &Attempt) -> Result<(), Fault> {
        let late = !self.is_newest(attempt) && self.0.contains(attempt);
        if late { Err(Fault::new("a message arrived again after others")) } else { Ok(()) }
    }
}

/// How long a delivery is waited for.
pub const PATIENCE: Seconds = Seconds(5);

/// Clocks of different machines differ by at most so much.
pub const SKEW: Seconds = Seconds(5);

impl<C> Envelope<C> {
    /// A fault where its sender has given up: it was delivered twice, waited for twice, and the caller was told that nobody
    /// knows. A caller that repeated its request may have been answered since.
    pub fn refuse_late(&self, now: Timestamp, patience: Seconds) -> Result<(), Fault> {
        let given_up = |sent: Timestamp| sent.plus(patience).plus(patience).plus(SKEW);
        let late = self.sent.is_some_and(|sent| now > given_up(sent));
        if late { Err(Fault::new("a message arrived after its sender had given up")) } else { Ok(()) }
    }
}

/// The format of commands, replies and rows. They change by addition; an unknown number is a [`Fault`], so a 503.
pub const FORMAT: u8 = 1;

/// What travels to an object.
#[derive(Debug, Json)]
pub struct Envelope<C> {
    /// [`FORMAT`].
    pub format: u8,
    /// The wish this is a delivery of.
    pub attempt: Attempt,
    /// When it was wished, by the asker's clock.
    #[json(omit)]
    pub sent: Option<Timestamp>,
    /// Who is behind it, where that is to be known later.
    #[json(omit)]
    pub by: Option<Author>,
    /// What is wished.
    pub command: C,
}

/// Who administers, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Author {
    /// `token` (the administrator's), `user` or `client`.
    pub kind: String,
    /// `username` or `client_id`; empty for the token.
    pub name: String,
    /// The address that the request came from, as the platform says.
    pub address: Option<String>,
    /// The trace id of the request: the log has more.
    pub trace: String,
}

/// Which Durable Object, and near whom it is to live if this is the first time anyone touches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The binding in `wrangler.toml`.
    pub binding: &'static str,
    /// Its name.
    pub name: String,
    /// A location hint of the platform, the same for every caller: an object stays where it was first touched.
    pub near: Option<&'static str>,
    /// How long it is waited for.
    pub patience: Seconds,
}

/// A kind of Durable Object, as others know it: where it is, what it can be told, what it answers.
pub trait Protocol {
    /// The binding in `wrangler.toml`.
    const BINDING: &'static str;
    /// How long one is waited for.
    const PATIENCE: Seconds = PATIENCE;
    /// What it can be told.
    type Command: Json;
    /// What it answers.
    type Reply: Json;

    /// Near whom the object of this name lives.
    fn near(_name: &str) -> Option<&'static str> {
        None
    }
}

/// What a kind of Durable Object does: a lock around a pure function.
///
/// [`Object::handle`] is synchronous: it reads rows, decides, writes rows. No other request can come between.
pub trait Object: Protocol {
    /// One turn.
    fn handle<S: Store>(turn: &Turn<'_, S>, command: Self::Command) -> Result<Self::Reply, Fault>;

    /// What must be true before this command's turn, and can't be found out within it.
    #[allow(async_fn_in_trait)] // One thread per isolate: these futures are not Send and need not be.
    async fn prepare<H: Host, S: Store>(
        _host: &H,
        _store: &S,
        _name: &str,
        _command: &Self::Command,
    ) -> Result<(), Fault> {
        Ok(())
    }

    /// What follows a turn outside the object: copies to write, others to tell. Gives the reply as it stands then.
    #[allow(async_fn_in_trait)]
    async fn follow<H: Host, S: Store>(
        _host: &H,
        _store: &S,
        reply: Self::Reply,
    ) -> Result<Self::Reply, Fault> {
        Ok(reply)
    }

    /// The instant at which [`Object::sweep`] has something to do.
    fn wake<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault>;

    /// The alarm.
    #[allow(async_fn_in_trait)]
    async fn sweep<H: Host, S: Store>(host: &H, store: &S, now: Timestamp) -> Result<(), Fault>;
}

/// Everything one turn of an object may know beside its rows: time and chance are arguments.
pub struct Turn<'a, S> {
    /// The rows.
    pub store: &'a S,
    /// The object's own clock, read once.
    pub now: Timestamp,
    /// Drawn for this turn alone.
    pub dice: [u8; 32],
    /// The wish that this is a delivery of.
    pub attempt: Attempt,
    /// Who is behind it, where that is to be known later.
    pub by: Option<Author>,
}

/// A row, its owner and its key.
pub type Row = (String, String, String);

/// The disk of one Durable Object: tables of rows by owner and key, in that order. Synchronous.
pub trait Store {
    /// The row's text, or `None`, also where the table does not exist.
    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault>;
    /// Writes one row; makes the table if there is none.
    fn put(&self, table: &str, owner: &str, key: &str, row: &str) -> Result<(), Fault>;
    /// Deletes one row.
    fn delete(&self, table: &str, owner: &str, key: &str) -> Result<(), Fault>;
    /// Rows in order, those of `owner` or all, behind `after`, at most `limit`.
    fn scan(
        &self,
        table: &str,
        owner: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault>;
    /// As [`Store::scan`] of all owners, but only of rows whose text contains this.
    fn search(
        &self,
        table: &str,
        text: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let mut rows = self.scan(table, None, after, usize::MAX)?;
        rows.retain(|(.., row)| row.contains(text));
        rows.truncate(limit);
        Ok(rows)
    }
    /// The tables there are, in order of their names.
    fn tables(&self) -> Result<Vec<String>, Fault>;
    /// Drops a table: no row is written, however many it holds.
    fn drop_table(&self, table: &str) -> Result<(), Fault>;
    /// Which life of the object this is: what was under way in another one is over.
    fn life(&self) -> &str;
    /// How large it is, in bytes.
    fn size(&self) -> Result<u64, Fault>;
}

/// What is asked of a server elsewhere.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How.
    pub method: Method,
    /// Where. Whoever asks has looked at it.
    pub address: String,
    /// With these headers.
    pub headers: Vec<(String, String)>,
    /// With this body; nothing is none.
    pub body: Vec<u8>,
    /// How much of an answer is read, in bytes.
    pub most: usize,
    /// How long it is waited for.
    pub patience: Seconds,
}

impl Asked {
    /// For a JSON document of at most so many bytes.
    pub fn document(address: &str, most: usize) -> Self {
        let headers = vec![("accept".to_owned(), "application/json".to_owned())];
        let (method, address) = (Method::GET, address.to_owned());
        Self { method, address, headers, body: Vec::new(), most, patience: PATIENCE }
    }

    /// With a form, where the status is all that is of interest.
    pub fn form(address: &str, form: String) -> Self {
        let headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let (method, address, body) = (Method::POST, address.to_owned(), form.into_bytes());
        Self { method, address, headers, body, most: 1024, patience: PATIENCE }
    }
}

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// By their names.
    pub const NAMES: &'static [&'static str] = &["ES256", "RS256", "PS256", "EdDSA"];

    /// `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of a name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Es256, Self::Rs256, Self::Ps256, Self::EdDsa];
        all.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Members of a JWK (RFC 7517 §4).
pub type Jwk = Map<String, Value>;

/// Why a server elsewhere gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Away {
    /// It took too long.
    Late,
    /// It could not be reached, or broke off.
    Lost(String),
}

impl From<Away> for Fault {
    fn from(away: Away) -> Self {
        match away {
            Away::Late => Self::new("a server elsewhere did not answer in time"),
            Away::Lost(why) => Self::new(why),
        }
    }
}

/// What a server elsewhere answered. A redirect is an answer like any other: nobody follows it.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// As much as was to be read; `None` where there was more.
    pub body: Option<Vec<u8>>,
}

impl Fetched {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }
}

/// Everything a request asks of the world.
#[allow(async_fn_in_trait)]
pub trait Host {
    /// The clock.
    fn now(&self) -> Timestamp;
    /// The caller's continent and longitude, where they are known.
    fn whereabouts(&self) -> (String, f64) {
        Default::default()
    }
    /// The dice.
    fn fill(&self, bytes: &mut [u8]);
    /// One line of the log, JSON.
    fn log(&self, line: &str);
    /// Lets a moment pass.
    async fn pause(&self, milliseconds: u64);
    /// Delivers a message to an object, once, and waits for its answer a bounded time.
    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault>;
    /// Reads the replica (KV). What is read may be a minute old.
    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault>;
    /// Writes the replica.
    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault>;
    /// Takes a key from the replica. An empty value is no record, either.
    async fn drop_copy(&self, key: &str) -> Result<(), Fault> {
        self.write_copy(key, "").await
    }

    /// Asks a server elsewhere, once, without following redirects, and waits a bounded time.
    async fn fetch(&self, _asked: &Asked) -> Result<Fetched, Away> {
        Err(Away::Lost("nothing is fetched here".to_owned()))
    }

    /// A new key pair, as a private JWK (RFC 7517 §4).
    async fn generate_key(&self, _algorithm: Algorithm) -> Result<Jwk, Fault> {
        Err(Fault::new("no keys are made here"))
    }

    /// A signature (RFC 7515 §5.1). The private key of a `kid` is opened only where this isolate has not had it yet.
    async fn sign(
        &self,
        _key: (Algorithm, &str),
        _open: impl FnOnce() -> Option<Jwk>,
        _message: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        Err(Fault::new("nothing is signed here"))
    }

    /// Whether a signature is one (RFC 7515 §5.2), by a public key.
    async fn verify(
        &self,
        _key: (Algorithm, &Jwk),
        _message: &[u8],
        _signature: &[u8],
    ) -> Result<bool, Fault> {
        Err(Fault::new("nothing is verified here"))
    }

    /// `N` random bytes.
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

/// A regular answer of an object, or that it could not give one.
#[derive(Debug, Json)]
pub struct Answer<R> {
    /// [`FORMAT`].
    pub format: u8,
    /// The reply, or the fault's text.
    pub reply: Result<R, String>,
}

/// Asks an object, exactly once: a delivery that fails is repeated once under the same attempt id.
///
/// A [`Fault`] means *unknown*, never *undone*. The command is written before anything is waited for: whoever waits holds
/// its text, not the command.
pub fn ask<'a, O: Protocol, H: Host>(
    host: &'a H,
    name: &str,
    command: O::Command,
    by: Option<Author>,
) -> impl Future<Output = Result<Box<O::Reply>, Fault>> + use<'a, O, H> {
    let attempt = Attempt(base64ct::Base64UrlUnpadded::encode_string(&host.random::<12>()));
    let sent = Some(host.now());
    let message = json::write(&Envelope { format: FORMAT, attempt, sent, by, command });
    let to = Place { binding: O::BINDING, name: name.to_owned(), near: O::near(name), patience: O::PATIENCE };
    async move { Ok(json::take(exchange(host, to, message).await?)?) }
}

/// What an object replies. One function for all protocols: as little as can be of asking is there once for each.
async fn exchange<H: Host>(host: &H, to: Place, message: String) -> Result<Value, Fault> {
    let text = match host.deliver(&to, message.clone()).await {
        Ok(text) => text,
        Err(_) => host.deliver(&to, message).await?,
    };
    let answer: Answer<Value> = json::read(&text)?;
    if answer.format != FORMAT {
        return Err(Fault::new("an object answered in an unknown format"));
    }
    answer.reply.map_err(Fault::new)
}
