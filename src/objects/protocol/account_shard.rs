//! What a shard of accounts can be told, and what it answers.

use super::{Health, Told};
use crate::{
    crypto::Secret,
    host::{Protocol, Seconds, Timestamp},
    json::Json,
    model::{
        account::{Account, Consent, Listener, Wanted},
        grant::Person,
        patch::Invalid,
        place::Table,
        throttle::Limit,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// People, sessions and failed logins. 256, fixed for life.
pub struct AccountShard;

/// A session, as its cookie names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Json)]
pub struct SessionRef {
    /// Whose.
    pub sub: String,
    /// In which table.
    pub table: Table,
    /// Which.
    pub id: String,
    /// That the account made it.
    pub proof: Secret,
}

/// What a shard can be told.
#[derive(Debug, Json)]
pub enum Command {
    /// Somebody types a name and a password.
    Attempt {
        /// Whose.
        who: Who,
        /// Of this try, drawn by the asker; if the password is right, of the session.
        id: String,
        /// How many may fail.
        limit: Limit,
        /// Under what it is counted where nobody has the name. Under a secret: what is typed there may be one.
        stranger: String,
    },
    /// The try is over, and gave no session.
    Failed {
        /// Whose.
        who: Who,
        /// Of the try.
        id: String,
        /// How many may fail.
        limit: Limit,
        /// Whether the password was looked at; else the name has no failure more.
        looked: bool,
        /// Under what it is counted where nobody has the name.
        stranger: String,
    },
    /// The password was right.
    Admit {
        /// Whose.
        sub: String,
        /// The account's version when the hash was given out.
        version: u64,
        /// Of the try, and now of the session.
        id: String,
        /// How long the session lives.
        lifetime: Seconds,
        /// No session is to be made: a grant of theirs is, in this shard.
        #[json(default)]
        shard: Option<String>,
        /// What is asked of the person who signs in.
        #[json(default)]
        recall: Option<Recall>,
        /// In which browser.
        #[json(default)]
        agent: String,
        /// The session of this person that the browser had.
        #[json(default)]
        before: Option<SessionRef>,
    },
    /// Whose browser is this?
    Session(SessionRef),
    /// Whose browser is this, and what may they do here?
    Holder(SessionRef),
    /// The end of a session.
    SignOut(SessionRef),
    /// As a command says that ends sessions, and what is told of that.
    End {
        /// Which.
        command: Box<Command>,
        /// One for each client that is to hear of it.
        letters: Vec<Letter>,
        /// Also where somebody is to hear of it for whom there is none.
        #[json(default)]
        force: bool,
    },
    /// Until when failed tries keep an account closed.
    Lock {
        /// Whose.
        sub: String,
        /// How many may fail.
        limit: Limit,
        /// They are to be forgotten.
        open: bool,
    },
    /// How the shard is.
    Health,
    /// The person allows something: a grant of theirs is about to be made in this shard.
    Note {
        /// By whom.
        session: SessionRef,
        /// Where.
        shard: String,
        /// What, to be remembered.
        #[json(default)]
        wanted: Option<Wanted>,
    },
    /// Whose browser is this, and was this allowed before? Then a grant of theirs is about to be made.
    Recall {
        /// By whom.
        session: SessionRef,
        /// What, and where.
        recall: Recall,
        /// Only of who signed in no longer ago.
        #[json(default)]
        max_age: Option<Seconds>,
    },
    /// What the person does about their own account.
    Own {
        /// By whom.
        session: SessionRef,
        /// What.
        act: Act,
    },
    /// Requests failed that somebody tells from others by this key: an address, or a client at an address.
    Strike {
        /// Under a secret, so that storage knows no address.
        key: String,
        /// How many, since an isolate last told of them.
        count: u32,
        /// How many may fail.
        limit: Limit,
    },
    /// A new account.
    Create(Box<Account>),
    /// One account.
    Read(Who),
    /// RFC 7396 over what an administrator may change. The hash of a new password stands apart.
    Change {
        /// Whose.
        sub: String,
        /// The patch.
        patch: Map<String, Value>,
        /// The patch is all of it: what it leaves out is as in a new account.
        #[json(default)]
        whole: bool,
        /// A new password's hash.
        password: Option<String>,
        /// Only if the version is this one.
        expected: Option<u64>,
    },
    /// Every grant that the person gave until now is dead.
    Cut {
        /// Whose.
        sub: String,
        /// And every session.
        #[json(default)]
        sessions: bool,
    },
    /// The end of an account.
    Delete {
        /// Whose.
        sub: String,
        /// Only if the version is this one.
        expected: Option<u64>,
    },
    /// Accounts in order of their names.
    List {
        /// Behind this name.
        after: Option<String>,
        /// Whose name contains this.
        q: Option<String>,
        /// At most so many.
        limit: usize,
    },
}

/// What a client is told of the end of a session (OpenID Connect Back-Channel Logout 1.0 §2.5).
#[derive(Debug, Json)]
pub struct Letter {
    /// Which session.
    pub sid: String,
    /// Which client.
    pub client: String,
    /// Where it is told.
    pub to: String,
    /// Until when each is good, and a logout token; the first that is good is sent. None: there is nothing to tell.
    pub tokens: Vec<(Timestamp, String)>,
}

/// What may have been allowed before, and the shard in which a grant will be if it was.
#[derive(Clone, Debug, Json)]
pub struct Recall {
    /// What.
    pub wanted: Wanted,
    /// Where.
    pub shard: String,
}

/// What people do about their own accounts.
#[derive(Clone, Debug, Json)]
pub enum Act {
    /// Nothing.
    Look,
    /// The end of a session, or of all others.
    End(Option<String>),
    /// A client is to be asked for anew.
    Withdraw {
        /// Which.
        client: String,
        /// Every shard has ended what it had.
        done: bool,
        /// When, by the clock of the edge.
        at: Timestamp,
    },
}

/// What people see of their own accounts.
#[derive(Debug, Default, Json)]
pub struct Overview {
    /// What they type.
    pub username: String,
    /// How often they withdrew something.
    #[json(default)]
    pub withdrawals: u64,
    /// Where their grants may be.
    pub shards: Vec<String>,
    /// Sessions that stand, the one that asks first, then the newest.
    pub sessions: Vec<Seen>,
    /// What they allowed, by client, the last that asked first.
    pub consents: Vec<(String, Consent)>,
    /// And how many more.
    #[json(default)]
    pub more: usize,
}

/// A session, as its person sees it.
#[derive(Debug, Json)]
pub struct Seen {
    /// Which.
    pub id: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// In which browser.
    pub agent: String,
}

/// How an account is named.
#[derive(Clone, Debug, Json)]
pub enum Who {
    /// By what the person types.
    Name(String),
    /// By `sub`.
    Sub(String),
}

/// What a shard answers.
#[derive(Debug, Json)]
pub enum Reply {
    /// The hash to check the password against.
    Hash {
        /// Whose.
        sub: String,
        /// Argon2id.
        hash: String,
        /// The account's version.
        version: u64,
    },
    /// That name leads to an account in another shard.
    Elsewhere(String),
    /// There is no such account.
    Unknown,
    /// Other tries are under way, and were they all to fail, this would be one too many: soon.
    Busy,
    /// Too many failures: not before this instant.
    Throttled(Timestamp),
    /// Counted.
    Counted,
    /// So many failed in this window: if it is too many, not before this instant.
    Struck(Option<Timestamp>),
    /// The account may not sign in, or changed in between.
    Denied,
    /// Signed in.
    Admitted(SessionRef, Person),
    /// The person of the session.
    Person(Person),
    /// The person of the session, which is a new one if it is named: what was asked had been allowed.
    Remembered(Option<SessionRef>, Person),
    /// What the person sees.
    Own(Box<Overview>),
    /// The session is over.
    NoSession,
    /// Nothing was done: it ends sessions, and clients are to hear of it.
    Unheard {
        /// What was to be done.
        command: Box<Command>,
        /// Whose they are.
        sub: String,
        /// Who is to hear of it.
        listeners: Vec<Listener>,
    },
    /// The account of the session, and when it began.
    Holder(Box<Account>, Timestamp),
    /// Closed until then.
    Locked(Option<Timestamp>),
    /// How the shard is.
    Health(Health),
    /// One account, and how far its change got.
    Account(Box<Account>, Told),
    /// Ended, and told to so many.
    Deleted {
        /// Whose.
        sub: String,
        /// The version of its end.
        version: u64,
        /// How far it has got.
        told: Told,
    },
    /// That name is taken.
    Taken,
    /// It has another version.
    Outdated,
    /// No.
    Invalid(Invalid),
    /// Accounts, and whether there are more.
    Accounts(Vec<Account>, bool),
}

impl Protocol for AccountShard {
    const BINDING: &'static str = "ACCOUNTS";
    type Command = Command;
    type Reply = Reply;
}
