//! What an object still has to tell the world: dirty keys, never values, so that what is sent is the truth of that
//! moment. A key is leased while it is being sent, and kept until it was sent as it stands; a failed one goes out again by
//! alarm. Of a copy one write is in flight per key. Marks may overtake each other: whoever gets one ignores the older.

use super::{
    protocol::{
        account_shard::Letter,
        connection::{self, Connection},
        grant_shard::{self, GrantShard},
        registry::{self, Registry},
    },
    read, write,
};
use crate::{
    error::Fault,
    host::{self, Asked, Host, PATIENCE, Seconds, Store, Timestamp},
    json::{self, Json},
    list::List as _,
    model::{audit::Change, mark::Mark, outside},
    waiting,
};

const TABLE: &str = "outbox";
const NOTES: &str = "notes";
const LETTERS: &str = "letters";
/// No delivery takes longer; if its sender died, somebody else takes over then.
const LEASE: Seconds = Seconds(30);
/// Keys sent in one go, and how often one request goes on: the platform bounds what one request may ask of others.
const BATCH: usize = 200;
const ROUNDS: usize = 4;
/// Letters that are under way at a time, and to one host: the platform has six connections for all that one request asks, and
/// a host that hangs must not hold all of them.
const ABREAST: usize = 5;
const ABREAST_OF_ONE: usize = 2;
/// Letters that one client is owed: of more the oldest goes. Whoever lets so many lie does not want them.
const OWED: usize = 100;
/// A write of the replica that was given up has landed by then, if it ever does.
const SETTLED: Seconds = Seconds(60);

#[derive(Clone, Default, Json)]
struct Entry {
    /// The version that made it dirty; where a client is not told, of how many ends.
    stamp: u64,
    /// Of a mark: the versions that the shard has not acknowledged. Not all numbers between them are versions of marks.
    #[json(default)]
    versions: Vec<u64>,
    /// Not before.
    due: Timestamp,
    /// Somebody is sending it, until `due` at the latest.
    #[json(default)]
    leased: bool,
    /// Of a copy: until then a write that was given up may still land, on top of a later one.
    #[json(default)]
    unsettled: Timestamp,
    /// Sent in vain so often.
    tries: u32,
    /// Since when it is owed.
    #[json(default)]
    since: Timestamp,
}

impl Entry {
    /// As a key is first owed, or again before all of it is paid.
    fn since(known: Option<&Self>, now: Timestamp) -> Timestamp {
        known.map(|entry| entry.since).filter(|since| *since > Timestamp::default()).unwrap_or(now)
    }
}

/// What a dirty key names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A record to copy into the replica.
    Copy,
    /// A mark to bring to a shard.
    Mark,
    /// A change to note in the registry. Facts do not change, so these are kept as they are to be sent.
    Note,
    /// That a connection is gone, for its object.
    End,
    /// What a client is told of the end of a session.
    Letter,
}

impl Kind {
    const fn owner(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Mark => "mark",
            Self::Note => "note",
            Self::End => "end",
            Self::Letter => "letter",
        }
    }
}

/// A record in the replica is out of date.
pub fn owe_copy<S: Store>(store: &S, key: &str, stamp: u64, now: Timestamp) -> Result<(), Fault> {
    let known: Option<Entry> = read(store, TABLE, Kind::Copy.owner(), key)?;
    let since = Entry::since(known.as_ref(), now);
    let known = known.unwrap_or_default();
    // While a write of this key is in flight it keeps its lease; it will see the new stamp and write again. If its sender
    // is dead, somebody else need not wait longer than for any write, but must know that it may yet land.
    let in_flight = known.leased && known.due > now;
    let due = if in_flight { known.due.min(now.plus(PATIENCE)) } else { now };
    write(store, TABLE, Kind::Copy.owner(), key, &Entry { stamp, due, tries: 0, since, ..known })
}

/// The registry has not heard of a change.
pub fn owe_note<S: Store>(store: &S, change: &Change, now: Timestamp) -> Result<(), Fault> {
    write(store, NOTES, "", &change.id, change)?;
    write(store, TABLE, Kind::Note.owner(), &change.id, &Entry { due: now, since: now, ..Entry::default() })
}

/// The object of a connection has not heard that it is gone.
pub fn owe_end<S: Store>(store: &S, id: &str, now: Timestamp) -> Result<(), Fault> {
    write(store, TABLE, Kind::End.owner(), id, &Entry { due: now, since: now, ..Entry::default() })
}

/// A client has not heard of the end of a session.
pub fn owe_letter<S: Store>(store: &S, letter: &Letter, now: Timestamp) -> Result<(), Fault> {
    let (owner, key) = (Kind::Letter.owner(), format!("{}|{}", letter.sid, letter.client));
    let lying = store.scan(LETTERS, Some(&letter.client), None, OWED)?;
    if lying.len() == OWED {
        let end = |row: &str| {
            let letter: Letter = json::read(row)?;
            Ok(letter.tokens.last().map(|(until, _)| *until).unwrap_or_default())
        };
        let ends = lying.iter().map(|(.., row)| end(row)).collect::<Result<Vec<Timestamp>, Fault>>()?;
        if let Some((_, (_, sid, _))) = ends.iter().zip(&lying).min_by_key(|(end, _)| **end) {
            store.delete(LETTERS, &letter.client, sid)?;
            store.delete(TABLE, owner, &format!("{sid}|{}", letter.client))?;
            leave_untold(store, &letter.client, 1, now)?;
        }
    }
    write(store, LETTERS, &letter.client, &letter.sid, letter)?;
    write(store, TABLE, owner, &key, &Entry { due: now, since: now, ..Entry::default() })
}

/// A client will not hear of so many ends. No turn writes the log: the alarm does, once for all that were left meanwhile.
pub fn leave_untold<S: Store>(store: &S, client: &str, count: u64, now: Timestamp) -> Result<(), Fault> {
    let (owner, key) = (Kind::Letter.owner(), format!("|{client}"));
    let known = read::<Entry, S>(store, TABLE, owner, &key)?.unwrap_or_default();
    let stamp = known.stamp.saturating_add(count);
    write(store, TABLE, owner, &key, &Entry { stamp, due: now, since: now, ..Entry::default() })
}

/// Where a letter lies: client and session. Without a session: of which client it is that was left untold.
fn place_of(key: &str) -> (&str, &str) {
    let (sid, client) = key.split_once('|').unwrap_or_default();
    (client, sid)
}

/// A shard has not heard of a mark. `id` is the mark's: `client/<id>`, `person/<sub>`, `policy/`.
pub fn owe_mark<S: Store>(store: &S, shard: &str, id: &str, stamp: u64, now: Timestamp) -> Result<(), Fault> {
    let key = format!("{shard}|{id}");
    let owed: Option<Entry> = read(store, TABLE, Kind::Mark.owner(), &key)?;
    // Marks may overtake each other: a receiver ignores the older. So this one goes out at once, whoever sends another.
    let since = Entry::since(owed.as_ref(), now);
    let mut versions = owed.map(|entry| entry.versions).unwrap_or_default();
    versions.push(stamp);
    write(
        store,
        TABLE,
        Kind::Mark.owner(),
        &key,
        &Entry { stamp, versions, due: now, since, ..Entry::default() },
    )
}

/// What is owed of this mark goes out now, also while somebody else is sending it: who repeats a change waits for it, too.
pub fn hurry<S: Store>(store: &S, id: &str, now: Timestamp) -> Result<(), Fault> {
    for (_, key, row) in store.scan(TABLE, Some(Kind::Mark.owner()), None, usize::MAX)? {
        if key.split_once('|').is_some_and(|(_, of)| of == id) {
            let entry: Entry = json::read(&row)?;
            write(store, TABLE, Kind::Mark.owner(), &key, &Entry { due: now, leased: false, ..entry })?;
        }
    }
    Ok(())
}

/// How many shards have not acknowledged this version of a mark, or a later one.
pub fn owed<S: Store>(store: &S, id: &str, version: u64) -> Result<usize, Fault> {
    let mut owed = 0;
    for (_, key, row) in store.scan(TABLE, Some(Kind::Mark.owner()), None, usize::MAX)? {
        if key.split_once('|').is_some_and(|(_, of)| of == id) {
            let entry: Entry = json::read(&row)?;
            owed += usize::from(entry.versions.iter().any(|owed| *owed <= version));
        }
    }
    Ok(owed)
}

/// When the next key is due.
pub fn due<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
    let rows = store.scan(TABLE, None, None, usize::MAX)?;
    Ok(rows.iter().filter_map(|(.., row)| json::read::<Entry>(row).ok()).map(|entry| entry.due).min())
}

/// How many keys are owed, and since when the oldest of them is.
pub fn backlog<S: Store>(store: &S) -> Result<(usize, Option<Timestamp>), Fault> {
    let rows = store.scan(TABLE, None, None, usize::MAX)?;
    let since = rows.iter().filter_map(|(.., row)| Some(json::read::<Entry>(row).ok()?.since));
    // What was owed before this was noted has no beginning.
    Ok((rows.len(), since.filter(|since| *since > Timestamp::default()).min()))
}

/// The truth at this moment.
pub trait Truth<S: Store> {
    /// The text of a record, by its key in the replica; `None`: it is to go from there.
    fn copy(&self, store: &S, key: &str) -> Result<Option<String>, Fault>;
    /// A mark, by its id.
    fn mark(&self, store: &S, id: &str) -> Result<Option<Mark>, Fault>;
}

/// Sends every key that is due, marks in parallel. A key that could not be sent stays, and is due again later.
pub async fn flush<H: Host, S: Store>(host: &H, store: &S, truth: &dyn Truth<S>) -> Result<(), Fault> {
    // More than once: a copy whose key became dirty again while it was being written is written again at once.
    for _ in 0..ROUNDS {
        let mut taken = lease(host, store, Kind::Mark)?;
        taken.append(&mut lease(host, store, Kind::Copy)?);
        taken.append(&mut lease(host, store, Kind::Note)?);
        taken.append(&mut lease(host, store, Kind::End)?);
        if taken.is_empty() {
            break;
        }
        let sent = taken.into_iter().map(|(kind, key, entry)| send(host, store, truth, kind, key, entry));
        waiting::all(sent).await.into_iter().collect::<Result<(), Fault>>()?;
    }
    Ok(())
}

/// Sends every letter that is due. Not with the rest, which somebody waits for: clients may be slow.
pub async fn post<H: Host, S: Store>(host: &H, store: &S, truth: &dyn Truth<S>) -> Result<(), Fault> {
    let sent = lease_letters(host, store)?;
    let sent = sent.into_iter().map(|(kind, key, entry)| send(host, store, truth, kind, key, entry));
    waiting::all(sent).await.into_iter().collect()
}

/// Sends what one key names, and notes how that went.
async fn send<H: Host, S: Store>(
    host: &H,
    store: &S,
    truth: &dyn Truth<S>,
    kind: Kind,
    key: String,
    entry: Entry,
) -> Result<(), Fault> {
    match kind {
        Kind::Mark => settle_mark(host, store, &key, &entry, bring(host, store, truth, &key).await),
        Kind::Copy => settle_copy(host, store, &key, &entry, copy(host, store, truth, &key).await),
        Kind::Note => {
            let sent = note(host, store, &key).await;
            settle_note(host, store, kind, (NOTES, "", &key), &key, entry, sent)
        }
        Kind::Letter => {
            let sent = tell(host, store, &key, entry.stamp).await;
            let (client, sid) = place_of(&key);
            settle_note(host, store, kind, (LETTERS, client, sid), &key, entry, sent)
        }
        Kind::End => match host::ask::<Connection, H>(host, &key, connection::Command::End, None).await {
            Ok(_) => store.delete(TABLE, kind.owner(), &key),
            Err(fault) => again(host, store, kind, &key, entry, &fault),
        },
    }
}

/// What was taken to be sent: of which kind, its key, and what is known of it.
type Taken = Vec<(Kind, String, Entry)>;

/// Takes what is due, and lets nobody else take it for a while.
fn lease<H: Host, S: Store>(host: &H, store: &S, kind: Kind) -> Result<Taken, Fault> {
    let now = host.now();
    let mut taken = Vec::new();
    for (_, key, row) in store.scan(TABLE, Some(kind.owner()), None, usize::MAX)? {
        let entry: Entry = json::read(&row)?;
        if entry.due > now || taken.len() == BATCH {
            continue;
        }
        taken.push(take(store, kind, key, entry, now)?);
    }
    Ok(taken)
}

fn take<S: Store>(
    store: &S,
    kind: Kind,
    key: String,
    entry: Entry,
    now: Timestamp,
) -> Result<(Kind, String, Entry), Fault> {
    // Its lease is over, and nobody gave it back: what was under way may yet land.
    let unsettled = if entry.leased { now.plus(SETTLED) } else { entry.unsettled };
    let tries = entry.tries.saturating_add(1);
    let leased = Entry { due: now.plus(LEASE), leased: true, tries, unsettled, ..entry };
    write(store, TABLE, kind.owner(), &key, &leased)?;
    Ok((kind, key, leased))
}

/// As [`lease`], of letters: those that are due longest, a few at a time. The rest goes with the next alarm, which is due.
fn lease_letters<H: Host, S: Store>(host: &H, store: &S) -> Result<Taken, Fault> {
    let (now, kind) = (host.now(), Kind::Letter);
    let mut due = Vec::new();
    for (_, key, row) in store.scan(TABLE, Some(kind.owner()), None, usize::MAX)? {
        let entry: Entry = json::read(&row)?;
        if entry.due <= now {
            due.push((key, entry));
        }
    }
    due.sort_by_key(|(_, entry)| entry.due);
    let (mut taken, mut hosts) = (Vec::new(), Vec::new());
    for (key, entry) in due {
        if hosts.len() == ABREAST || taken.len() == BATCH {
            break;
        }
        let (client, sid) = place_of(&key);
        if sid.is_empty() {
            taken.push(take(store, kind, key, entry, now)?); // Nobody is asked for that.
            continue;
        }
        let letter: Option<Letter> = read(store, LETTERS, client, sid)?;
        let to = letter.map(|letter| outside::name_of(&letter.to).to_owned()).unwrap_or_default();
        if hosts.iter().filter(|own| **own == to).count() < ABREAST_OF_ONE {
            hosts.push(to);
            taken.push(take(store, kind, key, entry, now)?);
        }
    }
    Ok(taken)
}

/// Gives the version that the shard has acknowledged.
async fn bring<H: Host, S: Store>(
    host: &H,
    store: &S,
    truth: &dyn Truth<S>,
    key: &str,
) -> Result<u64, Fault> {
    let Some((shard, id)) = key.split_once('|') else { return Ok(u64::MAX) };
    let Some(mark) = truth.mark(store, id)? else { return Ok(u64::MAX) };
    let version = mark.version;
    let command = grant_shard::Command::Mark { id: id.to_owned(), mark };
    host::ask::<GrantShard, H>(host, shard, command, None).await.map(|_| version)
}

async fn copy<H: Host, S: Store>(host: &H, store: &S, truth: &dyn Truth<S>, key: &str) -> Result<(), Fault> {
    match truth.copy(store, key)? {
        Some(text) => host.write_copy(key, &text).await,
        None => host.drop_copy(key).await,
    }
}

async fn note<H: Host, S: Store>(host: &H, store: &S, key: &str) -> Result<(), Fault> {
    let Some(change) = read::<Change, S>(store, NOTES, "", key)? else { return Ok(()) };
    host::ask::<Registry, H>(host, registry::NAME, registry::Command::Note(Box::new(change)), None).await?;
    Ok(())
}

/// Tells a client (OpenID Connect Back-Channel Logout 1.0 §2.5, §2.8). One that says no is not asked again.
async fn tell<H: Host, S: Store>(host: &H, store: &S, key: &str, untold: u64) -> Result<(), Fault> {
    let (client, sid) = place_of(key);
    if sid.is_empty() {
        let reason = format!("of {untold} ends: more letters were to be written, or kept, than may be");
        say_untold(host, client, &reason);
        return Ok(());
    }
    let Some(letter) = read::<Letter, S>(store, LETTERS, client, sid)? else { return Ok(()) };
    let good = letter.tokens.iter().find(|(until, _)| host.now() < *until);
    let reason = match good {
        None => "nobody took it in time".to_owned(),
        Some((_, token)) => {
            match host.fetch(&Asked::form(&letter.to, format!("logout_token={token}"))).await?.status {
                200 | 204 => return Ok(()),
                status @ (429 | 500..) => return Err(Fault::new(format_args!("status {status}"))),
                status => format!("status {status}"),
            }
        }
    };
    say_untold(host, client, &reason);
    Ok(())
}

/// That a client was not told, and why.
pub fn say_untold<H: Host>(host: &H, client: &str, reason: &str) {
    let time = host.now().seconds();
    let line = json::json!({ "time": time, "event": "logout.untold", "client": client, "reason": reason });
    host.log(&json::write(&line));
}

/// After a note or a letter was sent: it arrives as often as it likes, and is one row.
fn settle_note<H: Host, S: Store>(
    host: &H,
    store: &S,
    kind: Kind,
    (rows, owner, id): (&str, &str, &str),
    key: &str,
    entry: Entry,
    outcome: Result<(), Fault>,
) -> Result<(), Fault> {
    match outcome {
        Ok(()) => {
            store.delete(rows, owner, id)?;
            store.delete(TABLE, kind.owner(), key)
        }
        Err(fault) => again(host, store, kind, key, entry, &fault),
    }
}

/// After a mark was brought: forgets the key if the shard holds all that was owed.
fn settle_mark<H: Host, S: Store>(
    host: &H,
    store: &S,
    key: &str,
    sent: &Entry,
    outcome: Result<u64, Fault>,
) -> Result<(), Fault> {
    let owner = Kind::Mark.owner();
    let Some(entry) = read::<Entry, S>(store, TABLE, owner, key)? else { return Ok(()) };
    match outcome {
        Ok(held) if entry.stamp <= held => store.delete(TABLE, owner, key),
        Ok(held) => {
            let versions = entry.versions.iter().copied().filter(|version| *version > held).list();
            write(store, TABLE, owner, key, &Entry { versions, ..entry })
        }
        // Somebody else is sending a newer one.
        Err(fault) if entry.due != sent.due => {
            report(host, Kind::Mark, &fault);
            Ok(())
        }
        Err(fault) => again(host, store, Kind::Mark, key, entry, &fault),
    }
}

/// After a copy was written: forgets the key if it stands as it was written.
fn settle_copy<H: Host, S: Store>(
    host: &H,
    store: &S,
    key: &str,
    sent: &Entry,
    outcome: Result<(), Fault>,
) -> Result<(), Fault> {
    let (now, owner) = (host.now(), Kind::Copy.owner());
    let Some(entry) = read::<Entry, S>(store, TABLE, owner, key)? else {
        // It took so long that somebody else wrote a newer copy meanwhile, which this one may have overwritten.
        return owe_copy(store, key, sent.stamp, now);
    };
    let mine = entry.due == sent.due;
    match outcome {
        Ok(()) if entry.stamp == sent.stamp && mine && now >= entry.unsettled => {
            store.delete(TABLE, owner, key)
        }
        Ok(()) => {
            // Once more: it became dirty meanwhile, or an earlier write may yet land on top of this one.
            let due = if entry.stamp == sent.stamp && mine { entry.unsettled } else { now };
            write(store, TABLE, owner, key, &Entry { due, leased: false, tries: 0, ..entry })
        }
        Err(fault) => {
            let entry = Entry { unsettled: now.plus(SETTLED), ..entry };
            again(host, store, Kind::Copy, key, entry, &fault)
        }
    }
}

/// What could not be sent goes out later: after 2, 4 … 64 s, and a letter after ever longer.
fn again<H: Host, S: Store>(
    host: &H,
    store: &S,
    kind: Kind,
    key: &str,
    entry: Entry,
    fault: &Fault,
) -> Result<(), Fault> {
    report(host, kind, fault);
    let most = if kind == Kind::Letter { 12 } else { 6 };
    let due = host.now().plus(Seconds(1 << entry.tries.min(most)));
    write(store, TABLE, kind.owner(), key, &Entry { due, leased: false, ..entry })
}

fn report<H: Host>(host: &H, kind: Kind, fault: &Fault) {
    let line = crate::json::json!({ "event": "outbox.failed", "kind": kind.owner(), "cause": fault.cause() });
    host.log(&json::write(&line));
}
