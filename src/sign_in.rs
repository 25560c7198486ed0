//! A name and a password, tried. Two requests to the account: one charges the throttle and gives the salted hash, one
//! makes the session or notes the grant; a wrong password never sends the second. Argon2id runs here, never in the object.

use crate::{
    context::{Context, Entry, Limited, Undecided},
    crypto,
    error::{Error, Fault},
    farewell,
    host::{Host, Seconds, Timestamp},
    model::{account, grant::Person, policy::Policy, throttle::Limit},
    objects::protocol::{
        Told,
        account_shard::{AccountShard, Command, Recall, Reply, SessionRef, Who},
    },
    session,
    wire::{Request, Response},
};
use http::StatusCode;
use serde_json::Map;

/// The hash of no password, checked for names that nobody has: the answer takes as long.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$ZWRnZW1pbnQgZHVtbXkuLg$5EThG5V9bvJ8wJFQG5r9Z1o4nW7X4z2bq0eJ8rD2xkI";

/// How long failures at one name are remembered.
const WINDOW: Seconds = Seconds(300);

/// How many tries at one name may fail.
pub fn limit(policy: &Policy) -> Limit {
    let most = u32::try_from(policy.settings.login_per_user).unwrap_or(u32::MAX);
    Limit { most, window: WINDOW }
}

/// What follows a right password.
pub enum Then<'a> {
    /// A session; and of who has this subject id and allowed this before, a grant.
    Enter(&'a dyn Fn(&str) -> Option<Recall>),
    /// By a client that was told the password: a grant in this shard, and no session.
    Give(String),
    /// Another password, and a session: what there was of both ends.
    Change(&'a str),
}

/// What a right password gave.
pub struct Admitted {
    session: Option<SessionRef>,
    /// Whose it is.
    pub person: Person,
    /// What is asked was allowed before.
    pub remembered: bool,
    /// How far the new password got.
    pub told: Told,
}

impl Admitted {
    /// The session, where there is to be one.
    pub fn session(&self) -> Result<&SessionRef, Fault> {
        self.session.as_ref().ok_or_else(|| Fault::new("an account made no session"))
    }
}

/// How a try to sign in ends.
enum Outcome {
    Admitted(Box<Admitted>),
    Wrong,
    Throttled(Timestamp),
}

/// A try that gave no session.
pub struct Denied {
    /// 400, or 429.
    pub status: StatusCode,
    /// What the person is told.
    pub problem: String,
    /// In how many seconds to come again, where that is not at once.
    pub wait: Option<u64>,
}

impl Denied {
    /// The page that says so.
    pub fn with_wait(&self, page: Response) -> Response {
        match self.wait {
            Some(wait) => page.with("retry-after", wait.to_string()),
            None => page,
        }
    }
}

/// One try, counted and noted.
pub async fn attempt<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    policy: &Policy,
    credentials: (&str, &str),
    then: Then<'_>,
) -> Result<Result<Admitted, Denied>, Error> {
    cx.note(|event| event.important = true);
    let outcome = match enter(cx, request, policy).await {
        Ok(undecided) => {
            let outcome = sign_in(cx, request, policy, credentials, then).await;
            undecided.decide();
            outcome?
        }
        Err(until) => Outcome::Throttled(until),
    };
    Ok(Err(match outcome {
        Outcome::Admitted(admitted) => return Ok(Ok(*admitted)),
        Outcome::Wrong => {
            cx.note(|event| event.event = "login.failed");
            let problem = "That user name and password do not belong together.".to_owned();
            Denied { status: StatusCode::BAD_REQUEST, problem, wait: None }
        }
        Outcome::Throttled(until) => {
            cx.note(|event| event.event = "login.throttled");
            let wait = until.wait(cx.host.now());
            let problem = match wait.div_ceil(60) {
                1 => "Too many failed tries. Wait a minute, then try again.".to_owned(),
                minutes => format!("Too many failed tries. Wait {minutes} minutes, then try again."),
            };
            Denied { status: StatusCode::TOO_MANY_REQUESTS, problem, wait: Some(wait) }
        }
    }))
}

/// One try: where it is counted, and as what.
struct Try {
    shard: String,
    who: Who,
    /// Under what it is counted where nobody has the name.
    stranger: String,
    id: String,
    limit: Limit,
}

/// How long a try waits, time after time, while others hold all places: in milliseconds, ten seconds in all.
const MOMENTS: &[u64] = &[200, 400, 800, 1600, 2000, 2500, 2500];

/// Begins a try from this address; waits while as many are under way as may fail. `Err`: too many have, until then.
async fn enter<'a, H: Host>(
    cx: &'a Context<'_, H>,
    request: &Request,
    policy: &Policy,
) -> Result<Undecided<'a>, Timestamp> {
    let mut moments = MOMENTS.iter();
    loop {
        match cx.enter(Limited::Login, policy, request, "") {
            Entry::Open(undecided) => return Ok(undecided),
            Entry::Closed(until) => return Err(until),
            Entry::Full => match moments.next() {
                Some(moment) => cx.host.pause(*moment).await,
                None => return Err(cx.now),
            },
        }
    }
}

async fn sign_in<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    policy: &Policy,
    (username, password): (&str, &str),
    then: Then<'_>,
) -> Result<Outcome, Error> {
    // Longer than any that can be set: not worth the hashing.
    if username.is_empty() || username.len() > 200 || password.is_empty() || password.len() > 1000 {
        cx.strike(Limited::Login, policy, request, "").await;
        return Ok(Outcome::Wrong);
    }
    let mut tried = Try {
        shard: account::shard_of_name(username).to_string(),
        who: Who::Name(username.to_owned()),
        stranger: crypto::text(&cx.config.keys.blind(&[b"stranger", username.as_bytes()]).0),
        id: crypto::text(&cx.host.random::<12>()),
        limit: limit(policy),
    };
    let known = match begin(cx, &mut tried).await? {
        Reply::Hash { sub, hash, version } => Some((sub, hash, version)),
        Reply::Throttled(until) => return Ok(Outcome::Throttled(until)),
        Reply::Busy => return Ok(Outcome::Throttled(cx.now)),
        _ => None,
    };
    cx.note(|event| event.sub = known.as_ref().map(|(sub, ..)| sub.clone()));
    // Others of this address may have failed meanwhile. From here until it is counted nothing waits.
    let closed = cx.closed(Limited::Login, policy, request, "");
    // Nobody has that name: as slow as if somebody had.
    let hash = known.as_ref().map_or(DUMMY, |(_, hash, _)| hash);
    let looked = closed.is_none();
    let right = looked && crypto::is_password(password, hash);
    if let (true, Some((sub, _, mut version))) = (right, known) {
        let lifetime = policy.seconds(|settings| settings.session_lifetime);
        let (mut shard, mut recall, mut told) = (None, None, Told::default());
        match then {
            Then::Enter(asked) => recall = asked(&sub),
            Then::Give(to) => shard = Some(to),
            Then::Change(new) => {
                let password = Some(crypto::hash_password(new, cx.host.random())?);
                let (sub, expected) = (sub.clone(), Some(version));
                let change = Command::Change { sub, patch: Map::new(), whole: false, password, expected };
                if let Reply::Account(account, so_far) = *farewell::ask(cx, &tried.shard, change).await? {
                    (version, told) = (account.version, so_far);
                }
            }
        }
        let (id, agent) = (tried.id.clone(), agent(request));
        let before = session::all(cx, request).find(|own| own.sub == sub);
        let admit = Command::Admit { sub, version, id, lifetime, shard, recall, agent, before };
        let (session, person, remembered) = match *cx.ask::<AccountShard>(&tried.shard, admit).await? {
            Reply::Admitted(session, person) => (Some(session), Some(person), false),
            Reply::Remembered(session, person) => (session, Some(person), true),
            Reply::Person(person) => (None, Some(person), false),
            _ => (None, None, false),
        };
        if let Some(person) = person {
            let admitted = Admitted { session, person, remembered, told };
            return Ok(Outcome::Admitted(Box::new(admitted)));
        }
        // Disabled, or changed in between: to whoever asks that is a wrong password.
    }
    if looked {
        cx.strike(Limited::Login, policy, request, "").await;
    }
    let Try { shard, who, stranger, id, limit } = tried;
    // Where this does not arrive the place is held until it counts as failed by itself.
    let _ = cx.ask::<AccountShard>(&shard, Command::Failed { who, id, limit, looked, stranger }).await;
    Ok(closed.map_or(Outcome::Wrong, Outcome::Throttled))
}

/// What a browser says that it is, as people call it: enough to tell one's own apart.
fn agent(request: &Request) -> String {
    let text = request.header("user-agent").unwrap_or_default();
    let named = |names: &[&'static str]| names.iter().copied().find(|name| text.contains(name));
    // Each says that it is those behind it, too.
    let browser = named(&["Edg", "OPR", "Firefox", "Chrome", "Safari"]).unwrap_or("Another browser");
    let system =
        named(&["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"]).unwrap_or("another system");
    let browser = match browser {
        "Edg" => "Edge",
        "OPR" => "Opera",
        browser => browser,
    };
    format!("{browser} on {system}")
}

/// Takes a place among the tries at this login, in the shard where the account is.
async fn begin<H: Host>(cx: &Context<'_, H>, tried: &mut Try) -> Result<Reply, Error> {
    let mut moments = MOMENTS.iter();
    loop {
        let Try { who, id, limit, stranger, .. } = tried;
        let (who, id, stranger) = (who.clone(), id.clone(), stranger.clone());
        let attempt = Command::Attempt { who, id, limit: *limit, stranger };
        match *cx.ask::<AccountShard>(&tried.shard, attempt).await? {
            Reply::Elsewhere(sub) if matches!(tried.who, Who::Name(_)) => {
                let shard = account::shard_of_sub(&sub);
                tried.shard = shard.ok_or_else(|| Fault::new("a name leads to no subject"))?;
                tried.who = Who::Sub(sub);
            }
            Reply::Busy => match moments.next() {
                Some(moment) => cx.host.pause(*moment).await,
                None => return Ok(Reply::Busy),
            },
            reply => return Ok(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_dummy_hash_costs_as_much_as_a_real_one() {
        let real = crate::crypto::hash_password("x", [1; 16]).unwrap();
        let cost = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(super::DUMMY), cost(&real));
        assert_eq!(super::DUMMY.len(), real.len());
        assert!(!crate::crypto::is_password("x", super::DUMMY));
    }
}
