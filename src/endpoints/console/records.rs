//! Lists and records: one table of what there is, and the two pages that show it.

use super::{Answer, Visit, Wish, form, snippets};
use crate::{
    context::Context,
    endpoints::admin::{
        Resource,
        members::{self, Form, Member, Written},
    },
    error::{Code, Error},
    host::Host,
    json::{self, json},
    list::List as _,
    model::{
        metadata::Metadata,
        profile::Profile,
        settings::{self, Setting, Settings},
    },
    pages::console::{Hidden, Input, List, Record, Row, framed},
    wire::{Params, Request, Response, encode, with_params},
};
use http::StatusCode;
use serde_json::{Map, Value};

/// A kind of record.
pub(super) struct Sort {
    /// The collection.
    pub many: Resource,
    /// One of it.
    pub one: Resource,
    /// Where its pages are.
    pub path: &'static str,
    /// What the list is called.
    pub title: &'static str,
    /// What one is called.
    pub name: &'static str,
    /// The member that its address ends with.
    pub key: &'static str,
    /// What can be searched by: parameter, label, hint.
    search: &'static [(&'static str, &'static str, &'static str)],
    /// The members that the list shows; the first leads to the record.
    columns: &'static [&'static str],
    /// What is shown once, when one is made or gets a new one, and what is done with it.
    secret: (&'static str, &'static str),
    /// Where one is made.
    new: Option<(&'static str, &'static str)>,
    pub members: &'static [Member],
}

/// What has no secret.
const NONE: (&str, &str) = ("", "");

#[rustfmt::skip]
pub(super) const SORTS: &[Sort] = &[
    Sort { many: Resource::Clients, one: Resource::Client, path: "/console/clients", title: "Clients", name: "client", key: "client_id",
           search: &[("q", "Search", "A part of a client’s id or name.")],
           columns: &["client_id", "client_name", "grant_types", "profile", "enabled"],
           secret: ("The client’s secret", "put it where the client keeps its secrets"),
           new: Some(("/console/new/clients", "New client")), members: members::CLIENT },
    Sort { many: Resource::Scopes, one: Resource::Scope, path: "/console/scopes", title: "Scopes", name: "scope", key: "name",
           search: &[("q", "Search", "A part of a scope’s name or description.")],
           columns: &["name", "description", "clients"],
           secret: NONE, new: Some(("/console/new/scopes", "New scope")), members: members::SCOPE },
    Sort { many: Resource::Users, one: Resource::User, path: "/console/users", title: "Users", name: "user", key: "username",
           search: &[("q", "Search", "A part of a user’s name.")],
           columns: &["username", "roles", "groups", "enabled"],
           secret: NONE, new: Some(("/console/new/users", "New user")), members: members::USER },
    Sort { many: Resource::Grants, one: Resource::Grant, path: "/console/grants", title: "Grants", name: "grant", key: "id",
           search: &[("client_id", "Client", "The whole client id."), ("username", "User", "The whole user name."), ("scope", "Scope", "The whole name.")],
           columns: &["id", "client_id", "username", "scope", "created_at", "expires_at"],
           secret: NONE, new: None, members: members::GRANT },
    Sort { many: Resource::RegistrationTokens, one: Resource::RegistrationToken, path: "/console/registration-tokens", title: "Registration tokens", name: "registration token", key: "id",
           search: &[],
           columns: &["id", "description", "created_at", "expires_at", "uses"],
           secret: ("The registration token", "give it to whoever registers the client"),
           new: Some(("/console/new/registration-tokens", "New registration token")), members: members::REGISTRATION_TOKEN },
    Sort { many: Resource::Connections, one: Resource::Connection, path: "/console/connections", title: "Connections", name: "connection", key: "name",
           search: &[("q", "Search", "A part of a connection’s name or issuer.")],
           columns: &["name", "status", "issuer", "scope", "broken_since"],
           secret: ("The address", "open it in the browser of whoever lets this server in there"),
           new: Some(("/console/new/connections", "New connection")), members: members::CONNECTION },
    Sort { many: Resource::ExternalServers, one: Resource::ExternalServer, path: "/console/external-servers", title: "External servers", name: "external server", key: "name",
           search: &[("q", "Search", "A part of a server’s name or issuer.")],
           columns: &["name", "issuer", "introspection_endpoint", "username"],
           secret: NONE, new: Some(("/console/new/external-servers", "New external server")), members: members::EXTERNAL_SERVER },
    Sort { many: Resource::Keys, one: Resource::Key, path: "/console/keys", title: "Keys", name: "key", key: "kid",
           search: &[],
           columns: &["kid", "algorithm", "state", "signs_at", "retired_at", "gone_at"],
           secret: NONE, new: Some(("/console/new/keys", "New key")), members: members::KEY },
    Sort { many: Resource::Audit, one: Resource::Audit, path: "/console/audit", title: "Audit log", name: "change", key: "",
           search: &[("q", "Search", "A part of what was done, to what, or of who did it.")],
           columns: &["time", "by", "action", "target", "before", "after", "address", "trace_id"],
           secret: NONE, new: None, members: members::CHANGE },
];

impl Sort {
    /// The sort of a resource, as a collection or as an item.
    pub(super) fn of(resource: Resource) -> Result<&'static Self, Error> {
        let found = SORTS.iter().find(|sort| sort.many == resource || sort.one == resource);
        found.ok_or_else(|| Error::new(Code::NotFound, "there is no such page"))
    }

    /// The page of one of them.
    pub(super) fn page(&self, segment: &str) -> String {
        format!("{}/{}", self.path, encode(segment))
    }

    fn member(&self, name: &str) -> Option<&'static Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// A page of a list, or one record.
pub(super) async fn get<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    request: &Request,
    resource: Resource,
    segment: &str,
) -> Result<Response, Error> {
    let params = Params::of_query(request, &[])?;
    // A link of somebody else's says nothing in our name.
    let own = !request.is_cross_site(cx.config.origin());
    let notice = done(params.optional("done").filter(|_| own));
    if resource == Resource::Settings {
        let answer = Wish::get(resource, "", String::new()).ask(cx).await?;
        return show_settings(visit, StatusCode::OK, &answer, &answer.body, None, notice);
    }
    let sort = Sort::of(resource)?;
    if segment.is_empty() {
        return list(cx, visit, sort, &params, notice).await;
    }
    let answer = Wish::get(sort.one, segment, String::new()).ask(cx).await?;
    let shown = Shown { notice, ..Shown::of(sort, segment, &answer) };
    show(cx, visit, StatusCode::OK, &shown)
}

/// What was done, as the address of the next page names it: nobody else's words are shown.
fn done(done: Option<&str>) -> &'static str {
    match done {
        Some("save") => "It is saved.",
        Some("make") => "It is made.",
        Some("delete") => "It is deleted.",
        Some("cut") => "All grants are ended, and every token of them.",
        Some("revoke") => "The grant is ended, and every token of it.",
        Some("password") => "The password is changed. The person is signed out everywhere.",
        Some("unlock") => "The account is open again.",
        Some("sessions") => "The person is signed out everywhere, and all grants are ended.",
        _ => "",
    }
}

async fn list<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    sort: &'static Sort,
    params: &Params,
    notice: &str,
) -> Result<Response, Error> {
    let given = |name: &'static str| params.optional(name).map(|value| (name, value));
    let searched: Vec<(&str, &str)> = sort.search.iter().filter_map(|(name, ..)| given(name)).list();
    let mut asked = searched.clone();
    asked.extend(given("after"));
    let query = with_params("", &asked).trim_start_matches('?').to_owned();
    let answer = match Wish::get(sort.many, "", query).ask(cx).await {
        Ok(answer) => answer,
        // Of grants, whose user or client is not there any more.
        Err(error) if error.code == Code::NotFound => {
            Answer { body: Map::new(), tag: String::new(), owed: false }
        }
        Err(error) => return Err(error),
    };
    let columns: Vec<&Member> = sort.columns.iter().filter_map(|name| sort.member(name)).list();
    let row = |item: &Value| Row {
        href: item.get(sort.key).and_then(Value::as_str).map(|key| sort.page(key)),
        cells: columns.iter().map(|column| cell(column, item)).list(),
    };
    let field = |(name, label, hint): &(&'static str, &str, &str)| {
        let value = given(name).map(|(_, value)| value.to_owned()).unwrap_or_default();
        Input { value, ..Input::line(name, label, hint, "search") }
    };
    let next = answer.body.get("next").and_then(Value::as_str).map(|next| {
        let mut asked = searched;
        asked.push(("after", next));
        with_params(sort.path, &asked)
    });
    let page = List {
        action: sort.path,
        caption: sort.title,
        inputs: sort.search.iter().map(field).list(),
        new: sort.new.filter(|_| visit.writes),
        columns: columns.iter().map(|column| column.label).list(),
        rows: answer.items().iter().map(row).list(),
        next,
    };
    let head = visit.head(sort.path, sort.title);
    framed(StatusCode::OK, &head.saying("", notice), &page)
}

fn cell(column: &Member, item: &Value) -> String {
    let value = item.get(column.name).unwrap_or(&Value::Null);
    match (column.name, value.get("kind").and_then(Value::as_str)) {
        // Who changed something: the administrator's token has no name.
        ("by", Some(kind)) => {
            let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
            format!("{kind} {name}").trim_end().to_owned()
        }
        // Of what is new, what it has: that everything else is empty is no news.
        ("after", _) if item.get("before").and_then(Value::as_object).is_some_and(Map::is_empty) => {
            let mut made = value.as_object().cloned().unwrap_or_default();
            json::keep(&mut made, &|_, value| !form::is_nothing(value));
            form::shown(column, &Value::Object(made))
        }
        // An address is long, and its end says nothing to a person.
        ("id" | "kid", _) => shortened(value.as_str().unwrap_or_default()),
        _ => form::shown(column, value),
    }
}

fn shortened(id: &str) -> String {
    match id.char_indices().nth(24) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id.to_owned(),
    }
}

/// One record, and what stands above and in its form.
pub(super) struct Shown<'a> {
    pub sort: &'static Sort,
    pub segment: &'a str,
    /// The record.
    pub answer: &'a Answer,
    /// What stands in the form.
    pub typed: &'a Map<String, Value>,
    /// What is wrong with that.
    pub wrong: Option<&'a Error>,
    /// Whether somebody else changed the record meanwhile.
    pub overtaken: bool,
    /// The version that the form goes on from.
    pub tag: &'a str,
    /// A secret, this once.
    pub secret: Option<&'a str>,
    /// What was done.
    pub notice: &'a str,
}

impl<'a> Shown<'a> {
    /// A record as it is.
    pub(super) fn of(sort: &'static Sort, segment: &'a str, answer: &'a Answer) -> Self {
        let (typed, tag) = (&answer.body, answer.tag.as_str());
        Self { sort, segment, answer, typed, wrong: None, overtaken: false, tag, secret: None, notice: "" }
    }
}

/// What is wrong, where it has no field to stand next to.
pub(super) fn above(error: Option<&Error>, inputs: &[Input], overtaken: bool) -> String {
    match error {
        None => String::new(),
        Some(error) if error.code == Code::PreconditionFailed && !overtaken => {
            "This was changed since you opened its page, and nothing was done now. If you pressed twice and wanted a new \
             secret, one was made and not shown: make another."
                .to_owned()
        }
        Some(error) if error.code == Code::PreconditionFailed => {
            "Somebody else changed this meanwhile, and nothing was saved. What you typed is still here; where the record \
             says something else now, that stands below the field. Save again to put yours in its place."
                .to_owned()
        }
        Some(_) if inputs.iter().any(|input| input.problem.is_some()) => {
            "Nothing was saved: see the field that is marked.".to_owned()
        }
        Some(error) => match &error.field {
            Some(field) => format!("Nothing was saved: {field} {}", error.detail),
            None => format!("Nothing was saved: {}", error.detail),
        },
    }
}

/// The page of one record.
pub(super) fn show<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    status: StatusCode,
    shown: &Shown<'_>,
) -> Result<Response, Error> {
    let Shown { sort, segment, answer, typed, wrong, overtaken, tag, secret, notice } = *shown;
    let now = overtaken.then_some(&answer.body);
    let inputs = if visit.writes { form::inputs(sort.members, typed, false, wrong, now) } else { Vec::new() };
    let fixed = |member: &&Member| {
        let asked = visit.writes && inputs.iter().any(|input| input.name == member.name);
        !asked && !member.label.is_empty() && answer.body.contains_key(member.name)
    };
    let fact = |member: &Member| (member.label, form::shown(member, &answer.body[member.name]));
    let action = sort.page(segment);
    let (problem, title) =
        (above(wrong, &inputs, overtaken), format!("{} {}", capital(sort.name), label(sort, segment)));
    let page = Record {
        action: &action,
        secret: secret.map(|secret| (sort.secret, secret)),
        facts: sort.members.iter().filter(fixed).map(fact).list(),
        links: links(sort, segment),
        hidden: hidden(visit, tag),
        save: if inputs.is_empty() { "" } else { "Save" },
        inputs,
        acts: if visit.writes { acts(sort, answer) } else { Vec::new() },
        snippets: if sort.one == Resource::Client { snippets::of(cx, answer) } else { Vec::new() },
    };
    framed(status, &visit.head(sort.path, &title).saying(&problem, notice), &page)
}

/// The name of a sort begins a title. ASCII: the capitals of all of Unicode are a table of several kilobytes.
fn capital(name: &str) -> String {
    let mut title = name.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// What a record is called on its page. A grant's address says nothing to a person.
fn label<'a>(sort: &Sort, segment: &'a str) -> &'a str {
    if sort.one == Resource::Grant { "" } else { segment }
}

/// What a form carries: the seal, and the version that was looked at.
pub(super) fn hidden(visit: &Visit, tag: &str) -> Hidden {
    vec![("seal".to_owned(), visit.seal.clone()), ("version".to_owned(), tag.to_owned())]
}

fn links(sort: &Sort, segment: &str) -> Vec<(String, &'static str)> {
    let grants = |by: &str| vec![(with_params("/console/grants", &[(by, segment)]), "Its grants")];
    match sort.one {
        Resource::Client => grants("client_id"),
        Resource::Scope => grants("scope"),
        Resource::User => grants("username"),
        _ => Vec::new(),
    }
}

/// What can be done to a record, beside saving it.
fn acts(sort: &Sort, answer: &Answer) -> Vec<(&'static str, &'static str)> {
    match sort.one {
        Resource::Client if answer.text("token_endpoint_auth_method") == "none" => {
            vec![("cut", "End all its grants…"), ("delete", "Delete…")]
        }
        Resource::Client => {
            vec![("secret", "New secret…"), ("cut", "End all its grants…"), ("delete", "Delete…")]
        }
        Resource::Scope => vec![("cut", "End all grants with it…"), ("delete", "Delete…")],
        Resource::User => {
            let mut acts = vec![
                ("password", "Set a password…"),
                ("sessions", "Sign out everywhere…"),
                ("cut", "End all their grants…"),
                ("delete", "Delete…"),
            ];
            if answer.body.get("locked_until").is_some_and(|until| !until.is_null()) {
                acts.insert(0, ("unlock", "Unlock"));
            }
            acts
        }
        Resource::Grant => vec![("revoke", "Revoke…")],
        Resource::RegistrationToken => vec![("delete", "End it…")],
        Resource::Key => vec![("delete", "Remove…")],
        Resource::Connection => vec![("authorize", "Let this server in there…"), ("delete", "Delete…")],
        Resource::ExternalServer => vec![("delete", "Delete…")],
        _ => Vec::new(),
    }
}

/// The form for a new record.
pub(super) async fn new<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    resource: Resource,
) -> Result<Response, Error> {
    let sort = Sort::of(resource)?;
    let start = match resource {
        Resource::Clients => {
            let mut start = Metadata::template(Profile::default()).members();
            // Drawn here, so that the same form sent twice makes one client.
            let id = cx.policy().await?.draw_client_id(cx.host.random());
            start.insert("client_id".to_owned(), json!(id));
            start
        }
        _ => json::object([("enabled", json!(true))]),
    };
    show_new(visit, StatusCode::OK, sort, &start, None)
}

/// The form for a new record, as it was filled in.
pub(super) fn show_new(
    visit: &Visit,
    status: StatusCode,
    sort: &'static Sort,
    typed: &Map<String, Value>,
    wrong: Option<&Error>,
) -> Result<Response, Error> {
    let inputs = form::inputs(sort.members, typed, true, wrong, None);
    let (problem, title) = (above(wrong, &inputs, false), format!("New {}", sort.name));
    let page = Record {
        action: sort.path,
        hidden: hidden(visit, ""),
        inputs,
        save: if visit.writes { "Make it" } else { "" },
        ..Record::default()
    };
    framed(status, &visit.head(sort.path, &title).saying(&problem, ""), &page)
}

/// The settings as members of a record.
pub(super) fn settings() -> Vec<Member> {
    let member = |setting: &Setting| Member {
        name: setting.key,
        label: setting.key,
        form: match setting.form {
            settings::Form::Number { .. } => Form::Number,
            settings::Form::Switch(_) => Form::Switch,
            settings::Form::Choice(names) => Form::Choice(names),
            settings::Form::Text { .. } => Form::Text,
        },
        written: Written::Always,
        about: setting.about,
    };
    Settings::TABLE.iter().map(member).list()
}

/// The page of the settings.
pub(super) fn show_settings(
    visit: &Visit,
    status: StatusCode,
    answer: &Answer,
    typed: &Map<String, Value>,
    wrong: Option<&Error>,
    notice: &str,
) -> Result<Response, Error> {
    let overtaken = wrong.is_some_and(|error| error.code == Code::PreconditionFailed);
    let mut inputs = form::inputs(&settings(), typed, false, wrong, overtaken.then_some(&answer.body));
    let problem = above(wrong, &inputs, overtaken);
    let table = settings();
    let fact = |member: &Member| (member.label, form::shown(member, &answer.body[member.name]));
    if !visit.writes {
        inputs.clear();
    }
    for (input, setting) in inputs.iter_mut().zip(Settings::TABLE) {
        if let settings::Form::Number { least, most, default, .. } = setting.form {
            input.hint =
                format!("{} From {least} to {most}; where nothing is said {default}.", setting.about);
        }
    }
    let page = Record {
        action: "/console/settings",
        facts: if visit.writes { Vec::new() } else { table.iter().map(fact).list() },
        hidden: hidden(visit, &answer.tag),
        inputs,
        save: if visit.writes { "Save" } else { "" },
        ..Record::default()
    };
    framed(status, &visit.head("/console/settings", "Settings").saying(&problem, notice), &page)
}
