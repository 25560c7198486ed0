//! How a history ends: nothing is owed any more; and then the person is deleted.

use super::{Life, shard};
use crate::model::Broken;
use edgemint::{
    host::{Host, Seconds, Store},
    objects::protocol::account_shard::{AccountShard, Command, Reply},
};
use serde_json::{Value, json};

impl Life {
    /// At last nothing is lost any more, alarms ring, and everybody knows.
    pub fn settle(&mut self) -> Result<(), Broken> {
        self.story.step("nothing is lost any more, and alarms ring");
        self.world.fate("GRANTS", &[]);
        for _ in 0..200 {
            self.world.pass(Seconds(1));
            self.world.ring();
        }
        let owed = self.world.disk("ACCOUNTS", &shard()).scan("outbox", None, None, 99).unwrap();
        self.story.hold(owed.is_empty(), "behaviour 14: nothing is owed for ever", || format!("{owed:?}"))?;
        self.everybody_knows()?;
        let now = self.world.now();
        for back in 0..self.sessions.len() {
            self.look(back, now)?;
        }
        self.end()
    }

    /// At the very end the person is deleted: no session stands, every shard knows, and no message of before brings
    /// anything back.
    fn end(&mut self) -> Result<(), Broken> {
        let reply = self.ask("ada is deleted", Command::Delete { sub: self.sub.clone(), expected: None })?;
        let Reply::Deleted { told, .. } = reply else {
            return self.story.hold(false, "a person can be deleted", || format!("{reply:?}"));
        };
        let all = self.oracle.shards.len();
        self.story.hold(
            (told.acknowledged, told.of) == (all, all),
            "behaviour 14: exactly the shards that were noted are told",
            || format!("{told:?}"),
        )?;
        (self.oracle.version, self.oracle.disabled) = (self.oracle.version + 1, true);
        self.oracle.grants_since = self.oracle.version;
        self.everybody_knows()?;
        for session in self.sessions.clone() {
            let reply = self.ask("whose browser is that", Command::Session(session))?;
            let over = matches!(reply, Reply::NoSession);
            self.story.hold(over, "behaviour 14: who is deleted is signed out", || format!("{reply:?}"))?;
        }
        // As if they had been sent just now: only what is remembered of them can tell.
        let before = self.kept();
        for id in (0..self.sent.len()).filter(|id| *id == 0 || self.sent[*id].effect.is_some()) {
            let mut message: Value = serde_json::from_str(&self.sent[id].message).unwrap();
            message["sent"] = json!(self.world.now().0);
            self.world.deliver_raw::<AccountShard>(&shard(), &message.to_string());
            self.story.hold(
                self.kept() == before,
                "one effect: a message of before brings nobody back",
                || format!("message {id} changed something"),
            )?;
        }
        Ok(())
    }
}
