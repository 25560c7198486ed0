//! The pages of the console. One frame, and a body of one of three forms: a list, a record, a question.

use super::show;
use crate::{error::Error, list::List as _, wire::Response};
use askama::Template;
use http::StatusCode;

/// Where one can go.
const PLACES: &[(&str, &str)] = &[
    ("/console", "Health"),
    ("/console/clients", "Clients"),
    ("/console/scopes", "Scopes"),
    ("/console/users", "Users"),
    ("/console/grants", "Grants"),
    ("/console/registration-tokens", "Registration tokens"),
    ("/console/connections", "Connections"),
    ("/console/external-servers", "External servers"),
    ("/console/keys", "Keys"),
    ("/console/settings", "Settings"),
    ("/console/audit", "Audit log"),
];

/// What surrounds every page of who is signed in.
#[derive(Template)]
#[template(path = "console/frame.html")]
struct Frame<'a> {
    places: &'static [(&'static str, &'static str)],
    here: &'a str,
    username: &'a str,
    writes: bool,
    seal: &'a str,
    title: &'a str,
    problem: &'a str,
    notice: &'a str,
    body: &'a str,
}

/// Who looks at a page, and what stands above its body.
#[derive(Default)]
pub struct Head<'a> {
    /// The place in the navigation.
    pub here: &'a str,
    /// Who is signed in.
    pub username: &'a str,
    /// Whether they may change something.
    pub writes: bool,
    /// What proves that a form is ours.
    pub seal: &'a str,
    /// The page's title.
    pub title: &'a str,
    /// What went wrong; empty: nothing.
    pub problem: &'a str,
    /// What was done; empty: nothing.
    pub notice: &'a str,
}

impl<'a> Head<'a> {
    /// With what went wrong, and what was done.
    #[must_use]
    pub fn saying(self, problem: &'a str, notice: &'a str) -> Self {
        Self { problem, notice, ..self }
    }
}

/// What is typed or chosen.
pub enum Kind {
    /// One line of this type of `input`.
    Line(&'static str),
    /// Lines.
    Lines,
    /// A checkbox; the value is `true` where it is ticked.
    Switch,
    /// One of these: value and text.
    Choice(Vec<(String, String)>),
    /// Checkboxes; the value names those that are ticked.
    Any(Vec<String>),
}

/// A field of a form, with what is wrong with it next to it.
#[derive(Template)]
#[template(path = "console/input.html")]
pub struct Input {
    /// The name of the parameter.
    pub name: String,
    /// What it is called.
    pub label: String,
    /// What it means.
    pub hint: String,
    /// What is typed or chosen.
    pub kind: Kind,
    /// What the browser may fill in.
    pub autocomplete: &'static str,
    /// What stands in it.
    pub value: String,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// What the record says by now.
    pub now: Option<String>,
}

impl Input {
    fn id(&self) -> String {
        format!("in-{}", self.name)
    }

    /// The ids of what is said about it.
    fn describes(&self) -> String {
        let id = self.id();
        let problem = self.problem.iter().map(|_| format!("{id}-problem"));
        let now = self.now.iter().map(|_| format!("{id}-now"));
        let said: Vec<String> = problem.chain(now).chain([format!("{id}-hint")]).list();
        said.join(" ")
    }

    /// Whether one of several is ticked.
    fn has(&self, option: &str) -> bool {
        self.value.split(' ').any(|ticked| ticked == option)
    }

    /// A line with nothing in it.
    pub fn line(name: &str, label: &str, hint: &str, sort: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            hint: hint.to_owned(),
            kind: Kind::Line(sort),
            autocomplete: if sort == "password" { "new-password" } else { "off" },
            value: String::new(),
            problem: None,
            now: None,
        }
    }
}

/// A row of a list.
pub struct Row {
    /// Where its first cell leads.
    pub href: Option<String>,
    /// What it says.
    pub cells: Vec<String>,
}

/// A page of a collection.
#[derive(Template)]
#[template(path = "console/list.html")]
pub struct List<'a> {
    /// Where it is.
    pub action: &'a str,
    /// What it is called.
    pub caption: &'a str,
    /// What can be searched for.
    pub inputs: Vec<Input>,
    /// Where a new one is made.
    pub new: Option<(&'a str, &'a str)>,
    /// The heads of the columns.
    pub columns: Vec<&'a str>,
    /// What was found.
    pub rows: Vec<Row>,
    /// Where it goes on.
    pub next: Option<String>,
}

/// Parameters that a form carries unseen.
pub type Hidden = Vec<(String, String)>;

/// One record: what is known, what can be changed, what can be done.
#[derive(Template, Default)]
#[template(path = "console/record.html")]
pub struct Record<'a> {
    /// Where its forms go.
    pub action: &'a str,
    /// A secret, this once, below its name and what is done with it.
    pub secret: Option<((&'a str, &'a str), &'a str)>,
    /// What can't be changed: label and value.
    pub facts: Vec<(&'a str, String)>,
    /// What belongs to it.
    pub links: Vec<(String, &'a str)>,
    /// What its forms carry.
    pub hidden: Hidden,
    /// What can be changed.
    pub inputs: Vec<Input>,
    /// What the button that changes it is called; empty: there is none.
    pub save: &'a str,
    /// What else can be done: name and label.
    pub acts: Vec<(&'a str, &'a str)>,
    /// Texts to copy: title and text.
    pub snippets: Vec<(&'a str, String)>,
}

/// The question before something that cuts people off.
#[derive(Template)]
#[template(path = "console/confirm.html")]
pub struct Confirm<'a> {
    /// Where the answer goes.
    pub action: &'a str,
    /// What will happen.
    pub consequences: Vec<String>,
    /// What the form carries.
    pub hidden: Hidden,
    /// What is still to be said.
    pub inputs: Vec<Input>,
    /// What the button is called.
    pub label: &'a str,
    /// Where the way back leads.
    pub back: &'a str,
}

/// The pages of who is not signed in.
#[derive(Template)]
#[template(path = "console/enter.html")]
pub struct Enter<'a> {
    /// Its title.
    pub title: &'a str,
    /// What it is for.
    pub what: &'a str,
    /// What went wrong; empty: nothing.
    pub problem: &'a str,
    /// Where the form goes.
    pub action: &'a str,
    /// What proves that it is ours.
    pub seal: &'a str,
    /// What is typed.
    pub inputs: Vec<Input>,
    /// What the button is called.
    pub label: &'a str,
    /// Another page that may be meant.
    pub other: Option<(&'a str, &'a str)>,
}

/// A page of the console.
pub fn framed(status: StatusCode, head: &Head<'_>, body: &impl Template) -> Result<Response, Error> {
    let body = body.render().map_err(|_| crate::error::Fault::new("a page could not be written"))?;
    let Head { here, username, writes, seal, title, problem, notice } = *head;
    let frame = Frame { places: PLACES, here, username, writes, seal, title, problem, notice, body: &body };
    show(status, &frame, None)
}
