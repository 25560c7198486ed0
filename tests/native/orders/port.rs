//! The port of the world, at which every operation is put down and waits until it is picked up: whoever picks decides what
//! happens when, and what is lost.
//!
//! What is lost is decided when an operation is put down. That is no restriction: a loss changes nothing but what its asker
//! does next, and what the asker does next waits here, too, for as long as anyone likes.

use super::choices::Choices;
use crate::world::World;
use edgemint::{
    error::Fault,
    host::{Host, Place, Timestamp},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Poll,
};

/// Who asked for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A request at the edge, by its number.
    Request(usize),
    /// A message in an object, by its number.
    Process(usize),
}

/// An operation.
pub enum What {
    /// A message to an object.
    Deliver(Place, String),
    /// A record of the replica is read.
    Read(String),
    /// A record of the replica is written.
    Write(String, String),
    /// An object sets its alarm, between its turn and what follows.
    Alarm,
}

/// How far an operation is.
pub enum Stage {
    /// It has had no effect.
    UnderWay,
    /// The object is at it.
    Inside,
    /// It has had its effect; this is the answer.
    Done(Answer),
    /// Nobody waits for it.
    Over,
}

/// What an operation gives.
pub type Answer = Result<Option<String>, Fault>;

/// An operation, put down.
pub struct Operation {
    /// Who asked.
    pub by: Who,
    /// For what.
    pub what: What,
    /// How far it is.
    pub stage: Stage,
    /// Whether anyone still wants the answer.
    pub awaited: bool,
    slot: Rc<RefCell<Option<Answer>>>,
}

impl Operation {
    /// Its asker goes on with this.
    pub fn answer(&mut self, answer: Answer) {
        *self.slot.borrow_mut() = Some(answer);
        self.awaited = false;
    }
}

/// What happens to an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has its effect, and its answer comes back.
    Answered,
    /// It has no effect, ever.
    Lost,
    /// It has its effect at some time, and its answer does not come back.
    Unanswered,
}

/// Where operations are put down.
pub struct Desk {
    /// In which they have their effects.
    pub world: World,
    /// Who decides.
    pub choices: RefCell<Choices>,
    /// How many faults may yet happen.
    pub faults: Cell<usize>,
    /// How many steps there were.
    pub step: Cell<usize>,
    /// The turns that messages of requests had: whose, in an object of which binding, at which step.
    pub turns: RefCell<Vec<(usize, &'static str, usize)>>,
    /// In the order in which they were put down.
    pub operations: RefCell<Vec<Operation>>,
    /// Whether copies are written as soon as somebody wants it.
    pub copies_at_once: bool,
    /// Whether alarms are set as soon as somebody wants it.
    pub alarms_at_once: bool,
    /// What happened, in words, where somebody wants to read it.
    pub story: Option<RefCell<Vec<String>>>,
}

impl Desk {
    /// One of so many.
    pub fn choose(&self, of: usize) -> usize {
        self.choices.borrow_mut().choose(of)
    }

    /// Tells what happened.
    pub fn tell(&self, words: impl FnOnce() -> String) {
        if let Some(story) = &self.story {
            story.borrow_mut().push(words());
        }
    }

    fn fate(&self, what: &What) -> Fate {
        let fates: &[Fate] = match what {
            What::Deliver(..) | What::Write(..) => &[Fate::Answered, Fate::Lost, Fate::Unanswered],
            What::Read(_) => &[Fate::Answered, Fate::Lost],
            What::Alarm => &[Fate::Answered],
        };
        if self.faults.get() == 0 || fates.len() == 1 {
            return Fate::Answered;
        }
        let fate = fates[self.choose(fates.len())];
        self.faults.set(self.faults.get() - usize::from(fate != Fate::Answered));
        fate
    }

    async fn ask(&self, by: Who, what: What) -> Answer {
        let fate = self.fate(&what);
        if fate != Fate::Answered {
            self.tell(|| {
                let how = if fate == Fate::Lost { "is lost" } else { "gets no answer in time" };
                format!("    {} of {} {how}", name(&what), who(by))
            });
        }
        let slot = Rc::new(RefCell::new(None));
        let stage = if fate == Fate::Lost { Stage::Over } else { Stage::UnderWay };
        let mut operation = Operation { by, what, stage, awaited: true, slot: Rc::clone(&slot) };
        if fate != Fate::Answered {
            operation.answer(Err(Fault::new("storage did not answer in time")));
        }
        let at_once = match &operation.what {
            What::Write(..) => self.copies_at_once && fate != Fate::Lost,
            What::Alarm => self.alarms_at_once,
            What::Deliver(..) | What::Read(_) => false,
        };
        if at_once {
            if let What::Write(key, value) = &operation.what {
                self.world.land(key, value);
            }
            operation.stage = Stage::Over;
            if operation.awaited {
                operation.answer(Ok(None));
            }
        }
        self.put_down(operation, &slot).await
    }

    async fn put_down(&self, operation: Operation, slot: &RefCell<Option<Answer>>) -> Answer {
        self.operations.borrow_mut().push(operation);
        std::future::poll_fn(|_| slot.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// The world, as one asker has it.
#[derive(Clone)]
pub struct Port {
    /// Where its operations are put down.
    pub desk: Rc<Desk>,
    /// The asker.
    pub by: Who,
}

impl Port {
    /// Sets the alarm.
    pub async fn set_alarm(&self) {
        let _ = self.desk.ask(self.by, What::Alarm).await;
    }
}

impl Host for Port {
    fn now(&self) -> Timestamp {
        self.desk.world.now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.desk.world.fill(bytes);
    }

    fn log(&self, _: &str) {}

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        let answer = self.desk.ask(self.by, What::Deliver(to.clone(), message)).await?;
        answer.ok_or_else(|| Fault::new("an answer without a text"))
    }

    async fn read_copy(&self, key: &str) -> Answer {
        self.desk.ask(self.by, What::Read(key.to_owned())).await
    }

    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault> {
        self.desk.ask(self.by, What::Write(key.to_owned(), value.to_owned())).await.map(|_| ())
    }
}

/// The command of a message: of a grant its own.
pub fn command(message: &str) -> &str {
    let word = |text: &'_ str| -> Option<(usize, usize)> {
        let at = text.find("\"command\":")? + 10;
        let start = at + text[at..].find('"')? + 1;
        Some((start, start + text[start..].find('"')?))
    };
    let Some((start, end)) = word(message) else { return "?" };
    match &message[start..end] {
        "Grant" => word(&message[end..]).map_or("?", |(from, to)| &message[end + from..end + to]),
        command => command,
    }
}

/// An operation, in words.
pub fn name(what: &What) -> String {
    match what {
        What::Deliver(to, message) => format!("{} to {}", command(message), to.name),
        What::Read(key) => format!("reading the copy {key}"),
        What::Write(key, _) => format!("writing the copy {key}"),
        What::Alarm => "setting the alarm".to_owned(),
    }
}

/// An asker, in words.
pub fn who(by: Who) -> String {
    match by {
        Who::Request(number) => letter(number),
        Who::Process(number) => format!("message {number}"),
    }
}

/// Requests have letters.
pub fn letter(number: usize) -> String {
    char::from(b'A' + u8::try_from(number).unwrap()).to_string()
}
