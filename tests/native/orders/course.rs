//! One history: requests that begin together in one world, step by step, every step chosen.
//!
//! A step is what happens at once: a request goes on to its next await, a message arrives and has its turn, a record of
//! the replica is read or written, an answer comes back. Requests whose isolates are their own meet in objects and in the
//! replica only. So where a request goes on within its isolate, that commutes with every step of all others, and taking it
//! at once loses no outcome; nor does it lose an order of anything to an answer, since an answer that goes out as early as
//! it can has the most behind it. [`Steps::Meeting`] leaves those out; [`Steps::Every`] has them all.

use super::{
    choices::Choices,
    port::{Answer, Desk, Port, Stage, What, Who, command, letter, name, who},
};
use crate::world::{Disk, World, development};
use edgemint::{
    error::Fault,
    host::{Host as _, Object, Place},
    objects::{
        self, outbox,
        protocol::{account_shard::AccountShard, grant_shard::GrantShard, registry::Registry},
    },
    server::Server,
    wire::{Request, Response},
};
use http::StatusCode;
use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Which steps are chosen one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// Those that others can notice.
    Meeting,
    /// All.
    Every,
}

/// What somebody wants.
pub enum Wish {
    /// A request.
    Request(Request),
    /// These messages to objects, one after the other, as an isolate was seen to send them whatever it was answered.
    Messages(Vec<(Place, String)>),
}

/// What happens in a history, and where.
pub struct Plan {
    /// The world it begins in. It is not changed.
    pub world: World,
    /// What begins together.
    pub wishes: Vec<Rc<Wish>>,
    /// Whether copies are written as soon as somebody wants it: where nobody reads them.
    pub copies_at_once: bool,
    /// Whether alarms are set as soon as somebody wants it: where nothing is owed to shards.
    pub alarms_at_once: bool,
    /// What every isolate was asked before.
    pub before: Vec<Request>,
    /// Whether the requests share an isolate. Then every step counts.
    pub one_isolate: bool,
}

/// What came of one request.
#[derive(Default)]
pub struct Outcome {
    /// The answer; after a 503 that of its one repetition.
    pub answer: Option<Response>,
    /// Whether there was a 503.
    pub unknown: bool,
    /// The step at which it went out.
    pub at: usize,
    /// The steps at which a message of it had its turn in a shard of grants.
    pub turns: Vec<usize>,
}

/// Somebody who watches: is told of every answer when it goes out, with the world as it is then.
pub type Watch<'a> = &'a dyn Fn(usize, &Response, &World);

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

struct Process {
    to: Place,
    operation: usize,
    task: Option<Task<String>>,
}

enum Step {
    Begin(usize),
    Go(usize),
    Return(usize),
    Die(Place),
}

/// A history under way.
pub struct Course<'a> {
    plan: &'a Plan,
    every: bool,
    desk: Rc<Desk>,
    servers: Vec<Rc<Server>>,
    waiting: Vec<usize>,
    requests: Vec<Option<Task<Response>>>,
    repeated: Vec<bool>,
    processes: Vec<Process>,
    outcomes: Vec<Outcome>,
    watch: Watch<'a>,
}

/// What a history leaves behind.
pub struct End {
    /// The world.
    pub world: World,
    /// Of every request.
    pub outcomes: Vec<Outcome>,
    /// Whoever decided.
    pub choices: Choices,
    /// What happened, if it was told.
    pub story: Vec<String>,
}

impl<'a> Course<'a> {
    /// From the beginning to the end, as chosen, with at most so many faults.
    pub fn run(
        plan: &'a Plan,
        steps: Steps,
        faults: usize,
        choices: Choices,
        told: bool,
        watch: Watch<'a>,
    ) -> End {
        let world = plan.world.fork();
        let count = plan.wishes.len();
        let isolates = if plan.one_isolate { 1 } else { count };
        let servers = (0..isolates).map(|_| Rc::new(Server::new(&development()))).collect::<Vec<_>>();
        for request in &plan.before {
            for server in &servers {
                crate::world::now(server.respond(&world, request));
            }
        }
        let desk = Rc::new(Desk {
            world,
            choices: RefCell::new(choices),
            faults: Cell::new(faults),
            step: Cell::new(0),
            turns: RefCell::default(),
            operations: RefCell::default(),
            copies_at_once: plan.copies_at_once,
            alarms_at_once: plan.alarms_at_once,
            story: told.then(RefCell::default),
        });
        let mut course = Self {
            plan,
            every: steps == Steps::Every || plan.one_isolate,
            desk,
            servers,
            waiting: (0..count).collect(),
            requests: (0..count).map(|_| None).collect(),
            repeated: vec![false; count],
            processes: Vec::new(),
            outcomes: (0..count).map(|_| Outcome::default()).collect(),
            watch,
        };
        course.go();
        let Self { desk, mut outcomes, requests, processes, .. } = course;
        for (request, _, step) in desk.turns.take().into_iter().filter(|(_, binding, _)| *binding == "GRANTS")
        {
            outcomes[request].turns.push(step);
        }
        assert!(outcomes.iter().all(|outcome| outcome.answer.is_some()), "a request hangs");
        drop((requests, processes));
        let desk = Rc::into_inner(desk).expect("every request has its answer, and every message has ended");
        let story = desk.story.map(RefCell::into_inner).unwrap_or_default();
        End { world: desk.world, outcomes, choices: desk.choices.into_inner(), story }
    }

    fn go(&mut self) {
        if !self.every {
            for number in std::mem::take(&mut self.waiting) {
                self.begin(number);
            }
        }
        loop {
            let mut steps = self.steps();
            if steps.is_empty() {
                return;
            }
            let chosen = self.desk.choose(steps.len());
            self.desk.step.set(self.desk.step.get() + 1);
            match steps.swap_remove(chosen) {
                Step::Begin(number) => {
                    self.waiting.retain(|waiting| *waiting != number);
                    self.begin(number);
                }
                Step::Go(operation) => self.pick_up(operation),
                Step::Return(operation) => self.bring_back(operation),
                Step::Die(place) => self.die(&place),
            }
        }
    }

    /// What can happen now.
    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<_> = self.waiting.iter().copied().map(Step::Begin).collect();
        for (number, operation) in self.desk.operations.borrow().iter().enumerate() {
            match operation.stage {
                Stage::UnderWay => steps.push(Step::Go(number)),
                Stage::Done(_) => steps.push(Step::Return(number)),
                Stage::Inside | Stage::Over => {}
            }
        }
        if self.desk.faults.get() > 0 && !steps.is_empty() {
            let mut alive: Vec<&Place> = Vec::new();
            for process in self.processes.iter().filter(|process| process.task.is_some()) {
                if !alive.contains(&&process.to) {
                    alive.push(&process.to);
                }
            }
            steps.extend(alive.into_iter().cloned().map(Step::Die));
        }
        steps
    }

    fn begin(&mut self, number: usize) {
        self.desk.tell(|| format!("{}: begins", letter(number)));
        let server = Rc::clone(&self.servers[if self.plan.one_isolate { 0 } else { number }]);
        let wish = Rc::clone(&self.plan.wishes[number]);
        let port = Port { desk: Rc::clone(&self.desk), by: Who::Request(number) };
        self.requests[number] = Some(Box::pin(async move {
            match &*wish {
                Wish::Request(request) => server.respond(&port, request).await,
                Wish::Messages(messages) => deliver(&port, messages).await,
            }
        }));
        self.poll(Who::Request(number));
    }

    /// An operation has its effect.
    fn pick_up(&mut self, number: usize) {
        let mut operations = self.desk.operations.borrow_mut();
        let operation = &mut operations[number];
        let by = operation.by;
        let answer = match &operation.what {
            What::Deliver(to, message) => {
                let (to, message) = (to.clone(), message.clone());
                operation.stage = Stage::Inside;
                drop(operations);
                return self.arrive(number, by, to, message);
            }
            What::Read(key) => Ok(self.read(key)),
            What::Write(key, value) => {
                self.desk.world.land(key, value);
                Ok(None)
            }
            What::Alarm => Ok(None),
        };
        self.desk.tell(|| format!("{}: {}", who(by), name(&operation.what)));
        // Nothing can come between an alarm and the rest.
        let at_once = matches!(operation.what, What::Alarm);
        drop(operations);
        self.finish(number, answer);
        if at_once {
            self.bring_back(number);
        }
    }

    /// What the replica says: what was written last or, by a fault, what it said when all this began.
    fn read(&self, key: &str) -> Option<String> {
        let (old, new) = (self.plan.world.copy(key), self.desk.world.copy(key));
        if old != new && self.desk.faults.get() > 0 && self.desk.choose(2) == 1 {
            self.desk.faults.set(self.desk.faults.get() - 1);
            self.desk.tell(|| format!("    the copy {key} is an old one"));
            return old;
        }
        new
    }

    /// A message has its turn.
    fn arrive(&mut self, operation: usize, by: Who, to: Place, message: String) {
        let number = self.processes.len();
        let what = command(&message).to_owned();
        self.desk.tell(|| format!("{}: {what} arrives at {} (message {number})", who(by), to.name));
        let port = Port { desk: Rc::clone(&self.desk), by: Who::Process(number) };
        let disk = self.desk.world.disk(to.binding, &to.name);
        let name = to.name.clone();
        let task: Task<String> = match to.binding {
            "GRANTS" => Box::pin(serve::<GrantShard>(port, by, disk, name, message)),
            "ACCOUNTS" => Box::pin(serve::<AccountShard>(port, by, disk, name, message)),
            _ => Box::pin(serve::<Registry>(port, by, disk, name, message)),
        };
        self.processes.push(Process { to, operation, task: Some(task) });
        self.poll(Who::Process(number));
    }

    /// An operation has had its effect; whoever asked is told, at once where nobody else can notice.
    fn finish(&mut self, number: usize, answer: Answer) {
        let mut operations = self.desk.operations.borrow_mut();
        let operation = &mut operations[number];
        if !operation.awaited {
            operation.stage = Stage::Over;
            return;
        }
        operation.stage = Stage::Done(answer);
        let unnoticed = !self.every && matches!(operation.by, Who::Request(_));
        drop(operations);
        if unnoticed {
            self.bring_back(number);
        }
    }

    /// An answer is back: its asker goes on.
    fn bring_back(&mut self, number: usize) {
        let mut operations = self.desk.operations.borrow_mut();
        let operation = &mut operations[number];
        let by = operation.by;
        let Stage::Done(answer) = std::mem::replace(&mut operation.stage, Stage::Over) else {
            panic!("an answer that is not there")
        };
        operation.answer(answer);
        self.desk.tell(|| format!("{}: the answer to {} is back", who(by), name(&operation.what)));
        drop(operations);
        self.poll(by);
    }

    fn poll(&mut self, by: Who) {
        match by {
            Who::Request(number) => {
                let Some(answer) = go_on(&mut self.requests[number]) else { return };
                self.answered(number, answer);
            }
            Who::Process(number) => {
                let Some(text) = go_on(&mut self.processes[number].task) else { return };
                let operation = self.processes[number].operation;
                self.finish(operation, Ok(Some(text)));
            }
        }
    }

    fn answered(&mut self, number: usize, answer: Response) {
        self.desk.tell(|| {
            let body: String = String::from_utf8_lossy(&answer.body).chars().take(120).collect();
            format!("{}: answers {} {body}", letter(number), answer.status.as_u16())
        });
        // Nobody knows what happened: the client asks again, once.
        self.outcomes[number].unknown |= answer.status == 503;
        if answer.status == 503 && !std::mem::replace(&mut self.repeated[number], true) {
            if self.every {
                self.waiting.push(number);
            } else {
                self.begin(number);
            }
            return;
        }
        (self.watch)(number, &answer, &self.desk.world);
        self.outcomes[number].at = self.desk.step.get();
        self.outcomes[number].answer = Some(answer);
    }

    /// An object dies, with everything in it. What it wrote is kept; what it had sent may be lost with it.
    fn die(&mut self, place: &Place) {
        self.desk.faults.set(self.desk.faults.get() - 1);
        self.desk.tell(|| format!("    {} dies", place.name));
        let mut dead = Vec::new();
        for (number, process) in self.processes.iter_mut().enumerate() {
            if process.to == *place && process.task.take().is_some() {
                dead.push((Who::Process(number), process.operation));
            }
        }
        let mut sent = Vec::new();
        for (number, operation) in self.desk.operations.borrow_mut().iter_mut().enumerate() {
            if dead.iter().any(|(by, _)| *by == operation.by) {
                operation.awaited = false;
                match (&operation.stage, &operation.what) {
                    (Stage::UnderWay, What::Deliver(..) | What::Write(..)) => sent.push(number),
                    (Stage::Inside, _) => {}
                    _ => operation.stage = Stage::Over,
                }
            }
        }
        if !sent.is_empty() && self.desk.choose(2) == 1 {
            self.desk.tell(|| "    and nothing of what it sent arrives".to_owned());
            for number in sent {
                self.desk.operations.borrow_mut()[number].stage = Stage::Over;
            }
        }
        for (_, operation) in dead {
            self.finish(operation, Err(Fault::new("the object died")));
        }
    }
}

/// One message in an object, as `edge` does it: a turn, the alarm, and what follows.
async fn serve<O: Object>(port: Port, asker: Who, disk: Rc<Disk>, name: String, message: String) -> String {
    let reply = objects::turn::<O, _, _>(&port, &*disk, &name, &message).await;
    if let Who::Request(request) = asker {
        port.desk.turns.borrow_mut().push((request, O::BINDING, port.desk.step.get()));
    }
    // Of what only reads nothing follows: where it would wait here, nobody could notice.
    let reads = matches!(command(&message), "Policy" | "Client" | "Join" | "Session" | "Note" | "Read");
    if !reads && outbox::due(&*disk).is_ok_and(|due| due.is_some()) {
        port.set_alarm().await;
    }
    objects::finish::<O, _, _>(&port, &*disk, reply).await
}

/// Messages one after the other, each as [`edgemint::host::ask`] sends it. 503 where one of them was not done.
async fn deliver(port: &Port, messages: &[(Place, String)]) -> Response {
    for (to, message) in messages {
        let answer = match port.deliver(to, message.clone()).await {
            Ok(answer) => Ok(answer),
            Err(_) => port.deliver(to, message.clone()).await,
        };
        if !answer.is_ok_and(|answer| answer.contains("\"Ok\"")) {
            return Response::new(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "");
        }
    }
    Response::new(StatusCode::OK, "text/plain", "")
}

fn go_on<T>(task: &mut Option<Task<T>>) -> Option<T> {
    let mut going = task.take()?;
    match going.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => {
            *task = Some(going);
            None
        }
    }
}
