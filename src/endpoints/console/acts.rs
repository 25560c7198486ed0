//! What a form of the console does. Whatever cuts people off is asked about first, with how many there are.

use super::{
    Answer, Page, Visit, Wish, form,
    questions::question,
    records::{self, Shown, Sort, hidden, show, show_new, show_settings},
};
use crate::{
    context::Context,
    endpoints::admin::Resource,
    error::{Code, Error},
    host::Host,
    json::{self, json},
    list::List as _,
    model::settings::Settings,
    pages::console::{Confirm, Hidden, Input, framed},
    sorted::Set,
    wire::{Params, Request, Response, with_params},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// Members of which less cuts somebody off, and settings that begin so.
#[rustfmt::skip]
const CUTS: &[&str] = &[
    "enabled", "redirect_uris", "grant_types", "scope", "profile", "resource_server", "administrative",
    "roles", "groups",
    "refresh.", "session.", "audit.",
];
/// Pages of grants that are counted.
const COUNTED: usize = 5;
/// Turns that ending the grants of one scope may take.
const TURNS: usize = 20;

/// Does what a form says.
pub(super) async fn post<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    request: &Request,
    page: Page,
    segment: &str,
    form: &Params,
) -> Result<Response, Error> {
    let Page::Of(resource) = page else {
        return Err(Error::new(Code::NotFound, format!("nothing is done at {}", request.path)));
    };
    if resource == Resource::Settings {
        return save_settings(cx, visit, form).await;
    }
    let sort = Sort::of(resource)?;
    match form.optional("act").unwrap_or("save") {
        _ if segment.is_empty() => make(cx, visit, sort, form).await,
        "save" => save(cx, visit, sort, segment, form).await,
        act => perform(cx, visit, sort, segment, act, form).await,
    }
}

/// Where a change is written, and on its way.
const OWED: &str =
    "It is done, and some parts have not heard of it yet; it is being repeated until all have.";

fn is_sure(form: &Params) -> bool {
    form.optional("confirm") == Some("yes")
}

/// Whether a refusal is about what was typed, so that the form is shown again.
fn is_about_the_form(error: &Error) -> bool {
    error.field.is_some()
        || matches!(error.code, Code::PreconditionFailed | Code::Conflict | Code::InvalidRequest)
}

/// The next page, which says that it is done.
fn done<H: Host>(cx: &Context<'_, H>, path: &str, done: &str) -> Response {
    Response::see_other(cx.url(&with_params(path, &[("done", done)])))
}

/// A new record.
async fn make<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    sort: &'static Sort,
    form: &Params,
) -> Result<Response, Error> {
    let body = form::patch(sort.members, form, None);
    let answer = match Wish::change(Method::POST, sort.many, "", "", body.clone()).ask(cx).await {
        Ok(answer) => answer,
        Err(error) if is_about_the_form(&error) => {
            return show_new(visit, error.code.status(), sort, &body, Some(&error));
        }
        Err(error) => return Err(error),
    };
    let key = answer.text(sort.key);
    let secret = answer.body.get("client_secret").or_else(|| answer.body.get("token"));
    match secret.and_then(Value::as_str) {
        Some(secret) => {
            let notice = if answer.owed { OWED } else { "" };
            let shown = Shown { secret: Some(secret), notice, ..Shown::of(sort, key, &answer) };
            show(cx, visit, StatusCode::CREATED, &shown)
        }
        None => Ok(done(cx, &sort.page(key), "make")),
    }
}

/// A change to a record.
async fn save<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    sort: &'static Sort,
    segment: &str,
    form: &Params,
) -> Result<Response, Error> {
    let tag = form.required("version")?;
    let answer = Wish::get(sort.one, segment, String::new()).ask(cx).await?;
    let patch = form::patch(sort.members, form, Some(&answer.body));
    let less = less(sort.members.iter().map(|member| (member.name, member.label)), &answer.body, &patch);
    if !less.is_empty() && !is_sure(form) && tag == answer.tag {
        let consequences = vec![
            format!("Something is taken away: {}.", less.join(", ")),
            affected(cx, sort, segment).await?,
            "What they hold and may not have any more stops working at once.".to_owned(),
        ];
        return ask(visit, sort, segment, "Save this?", "Save", consequences, (repeated(form), Vec::new()));
    }
    match Wish::change(Method::PATCH, sort.one, segment, tag, patch.clone()).ask(cx).await {
        Ok(_) => Ok(done(cx, &sort.page(segment), "save")),
        Err(error) if is_about_the_form(&error) => {
            let typed = typed(&answer.body, patch);
            let overtaken = error.code == Code::PreconditionFailed;
            // What was typed was typed over the version that the form came with.
            let tag = if overtaken { &answer.tag } else { tag };
            let shown = Shown {
                typed: &typed,
                wrong: Some(&error),
                overtaken,
                tag,
                ..Shown::of(sort, segment, &answer)
            };
            show(cx, visit, error.code.status(), &shown)
        }
        Err(error) => Err(error),
    }
}

/// The record with what was typed in place of what it says.
fn typed(record: &Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    let mut typed = record.clone();
    for (name, value) in patch {
        let value = match value {
            Value::Object(mut members) => {
                json::keep(&mut members, &|_, value| !value.is_null());
                Value::Object(members)
            }
            value => value,
        };
        typed.insert(name, value);
    }
    typed
}

/// The labels of members of which a patch leaves less, and somebody is cut off by that.
fn less<'a>(
    members: impl Iterator<Item = (&'a str, &'a str)>,
    before: &Map<String, Value>,
    patch: &Map<String, Value>,
) -> Vec<&'a str> {
    let cuts =
        |name: &str| CUTS.iter().any(|cut| name == *cut || (cut.ends_with('.') && name.starts_with(cut)));
    let is_less = |name: &str| match (before.get(name), patch.get(name)) {
        // A demand that was none before: who does not meet it is cut off.
        (_, Some(after)) if name == "require_pkce" => *after == Value::Bool(true),
        (Some(before), Some(after)) => cuts(name) && form::takes_away(before, after),
        _ => false,
    };
    members.filter(|(name, _)| is_less(name)).map(|(_, label)| label).list()
}

/// What a form said, to be said again with the answer.
fn repeated(form: &Params) -> Hidden {
    form.pairs().to_vec()
}

async fn save_settings<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    form: &Params,
) -> Result<Response, Error> {
    let (resource, members) = (Resource::Settings, records::settings());
    let tag = form.required("version")?;
    let answer = Wish::get(resource, "", String::new()).ask(cx).await?;
    let patch = form::patch(&members, form, Some(&answer.body));
    let mut becomes = patch.clone();
    for setting in Settings::TABLE {
        if let Some(value) = becomes.get_mut(setting.key).filter(|value| value.is_null()) {
            *value = setting.form.default();
        }
    }
    let less = less(members.iter().map(|member| (member.name, member.name)), &answer.body, &becomes);
    if !less.is_empty() && !is_sure(form) && tag == answer.tag {
        let consequences = vec![
            format!("These become smaller, for everybody and at once: {}.", less.join(", ")),
            count(cx, &[]).await?,
        ];
        let page = Confirm {
            action: "/console/settings",
            consequences,
            hidden: repeated(form),
            inputs: Vec::new(),
            label: "Save",
            back: "/console/settings",
        };
        return framed(StatusCode::OK, &visit.head("/console/settings", "Save this?"), &page);
    }
    match Wish::change(Method::PATCH, resource, "", tag, patch.clone()).ask(cx).await {
        Ok(_) => Ok(done(cx, "/console/settings", "save")),
        Err(error) if is_about_the_form(&error) => {
            let typed = typed(&answer.body, patch);
            show_settings(visit, error.code.status(), &answer, &typed, Some(&error), "")
        }
        Err(error) => Err(error),
    }
}

/// Something else than saving: asked about first, unless it does nobody harm.
async fn perform<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    sort: &'static Sort,
    segment: &str,
    act: &str,
    form: &Params,
) -> Result<Response, Error> {
    let no_such_act = || Error::new(Code::InvalidRequest, "the form does not say what is to be done");
    if !is_sure(form) && !matches!(act, "unlock" | "authorize") {
        let (title, label, what, inputs) = question(sort, act, None).ok_or_else(no_such_act)?;
        let consequences = vec![what.to_owned(), affected(cx, sort, segment).await?];
        return ask(visit, sort, segment, title, label, consequences, (repeated(form), inputs));
    }
    let tag = form.optional("version").unwrap_or_default();
    let by = key_of_grants(sort);
    let of = |more: &[(&str, &str)]| {
        let mut params = vec![(by, segment)];
        params.extend(more);
        with_params("", &params).trim_start_matches('?').to_owned()
    };
    let change = |name: &str, value: Value| {
        let patch = json::object([(name, value)]);
        Wish::change(Method::PATCH, sort.one, segment, "", patch)
    };
    let outcome = match (sort.one, act) {
        (Resource::Client, "secret") => {
            let overlap = form.optional("overlap_seconds").and_then(|text| text.parse::<u64>().ok());
            let body = json::object([("overlap_seconds", json!(overlap))]);
            Wish::change(Method::POST, Resource::Secret, segment, tag, body).ask(cx).await
        }
        (Resource::Connection, "authorize") => {
            Wish::change(Method::POST, Resource::ConnectionAuthorize, segment, "", Map::new()).ask(cx).await
        }
        (
            Resource::Client
            | Resource::Scope
            | Resource::User
            | Resource::RegistrationToken
            | Resource::Connection
            | Resource::ExternalServer
            | Resource::Key,
            "delete",
        )
        | (Resource::Grant, "revoke") => Wish::delete(sort.one, segment, tag, String::new()).ask(cx).await,
        (Resource::Client | Resource::User, "cut") => {
            Wish::delete(Resource::Grants, "", "", of(&[])).ask(cx).await
        }
        (Resource::Scope, "cut") => end_of_scope(cx, segment).await,
        (Resource::User, "sessions") => {
            Wish::delete(Resource::Grants, "", "", of(&[("sessions", "true")])).ask(cx).await
        }
        (Resource::User, "password") => {
            change("password", json!(form.optional("password").unwrap_or_default())).ask(cx).await
        }
        (Resource::User, "unlock") => change("locked_until", Value::Null).ask(cx).await,
        _ => return Err(no_such_act()),
    };
    match outcome {
        Ok(answer) if act == "authorize" => {
            let record = Wish::get(sort.one, segment, String::new()).ask(cx).await?;
            let secret = Some(answer.text("authorization_url"));
            show(cx, visit, StatusCode::OK, &Shown { secret, ..Shown::of(sort, segment, &record) })
        }
        Ok(answer) if act == "secret" => {
            let notice = if answer.owed { OWED } else { "" };
            let secret = Some(answer.text("client_secret"));
            let shown = Shown { secret, notice, ..Shown::of(sort, segment, &answer) };
            show(cx, visit, StatusCode::OK, &shown)
        }
        Ok(_) => {
            let gone = matches!(act, "delete" | "revoke");
            Ok(done(cx, &if gone { sort.path.to_owned() } else { sort.page(segment) }, act))
        }
        Err(error) if is_about_the_form(&error) => {
            if let (true, Some((title, label, what, inputs))) =
                (error.field.as_deref() == Some(act), question(sort, act, Some(&error)))
            {
                let hidden = hidden(visit, tag).into_iter().chain([("act".to_owned(), act.to_owned())]);
                return ask(
                    visit,
                    sort,
                    segment,
                    title,
                    label,
                    vec![what.to_owned()],
                    (hidden.list(), inputs),
                );
            }
            let answer = Wish::get(sort.one, segment, String::new()).ask(cx).await?;
            let shown = Shown { wrong: Some(&error), ..Shown::of(sort, segment, &answer) };
            show(cx, visit, error.code.status(), &shown)
        }
        Err(error) => Err(error),
    }
}

fn ask(
    visit: &Visit,
    sort: &Sort,
    segment: &str,
    title: &str,
    label: &str,
    consequences: Vec<String>,
    (hidden, inputs): (Hidden, Vec<Input>),
) -> Result<Response, Error> {
    let action = sort.page(segment);
    // What is asked for again stands in its field alone.
    let asked = |name: &str| inputs.iter().any(|input| input.name == name);
    let hidden = hidden.into_iter().filter(|(name, _)| !asked(name)).list();
    let page = Confirm { action: &action, consequences, hidden, inputs, label, back: &action };
    framed(StatusCode::OK, &visit.head(sort.path, title), &page)
}

/// Ends the grants of a scope, turn by turn.
async fn end_of_scope<H: Host>(cx: &Context<'_, H>, scope: &str) -> Result<Answer, Error> {
    let mut after = String::new();
    for _ in 0..TURNS {
        let params = [("scope", scope), ("after", after.as_str())];
        let query = with_params("", &params[..if after.is_empty() { 1 } else { 2 }]);
        let query = query.trim_start_matches('?').to_owned();
        let answer = Wish::delete(Resource::Grants, "", "", query).ask(cx).await?;
        match answer.text("next") {
            "" => return Ok(answer),
            next => next.clone_into(&mut after),
        }
    }
    Err(Error::new(Code::TemporarilyUnavailable, "many grants are ended, and not all: do it once more"))
}

fn key_of_grants(sort: &Sort) -> &'static str {
    match sort.one {
        Resource::Client => "client_id",
        Resource::User => "username",
        _ => "scope",
    }
}

/// Whom a change to a record concerns.
async fn affected<H: Host>(cx: &Context<'_, H>, sort: &Sort, segment: &str) -> Result<String, Error> {
    if sort.one == Resource::Grant {
        let Some(answer) = if_there(Wish::get(sort.one, segment, String::new()).ask(cx).await)? else {
            return Ok(UNCOUNTED.to_owned());
        };
        let (client, user) = (answer.text("client_id"), answer.text("username"));
        return Ok(format!("This is what {user} allowed {client}: {}.", answer.text("scope")));
    }
    match sort.one {
        Resource::RegistrationToken => return Ok("Clients that registered with it stay.".to_owned()),
        Resource::Connection | Resource::ExternalServer | Resource::Key => {
            return Ok("Who goes by it is not known here.".to_owned());
        }
        _ => {}
    }
    let mut said = count(cx, &[(key_of_grants(sort), segment)]).await?;
    if sort.one == Resource::Client {
        said.push_str(" Tokens that it got for itself are not counted.");
    }
    Ok(said)
}

/// Who wants to cut somebody off must be able to, also while a part of the storage is away.
const UNCOUNTED: &str = "How many there are could not be counted: a part of the storage does not answer.";

fn if_there(answer: Result<Answer, Error>) -> Result<Option<Answer>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code == Code::TemporarilyUnavailable => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many grants there are, of how many people.
async fn count<H: Host>(cx: &Context<'_, H>, filter: &[(&str, &str)]) -> Result<String, Error> {
    let (mut grants, mut people, mut after) = (0, Set::new(), None::<String>);
    let mut more = "";
    for turn in 0..COUNTED {
        let mut params = vec![("limit", "200")];
        params.extend(filter);
        params.extend(after.as_deref().map(|after| ("after", after)));
        let query = with_params("", &params).trim_start_matches('?').to_owned();
        let Some(answer) = if_there(Wish::get(Resource::Grants, "", query).ask(cx).await)? else {
            return Ok(UNCOUNTED.to_owned());
        };
        grants += answer.items().len();
        let subs = answer.items().iter().filter_map(|item| item.get("sub")?.as_str());
        people.extend(subs.map(str::to_owned));
        after = answer.body.get("next").and_then(Value::as_str).map(str::to_owned);
        if after.is_none() {
            break;
        }
        if turn + 1 == COUNTED {
            more = "at least ";
        }
    }
    let people = people.len();
    Ok(match (grants, people) {
        (0, _) if more.is_empty() => "No grants stand that this ends.".to_owned(),
        (1, _) if more.is_empty() => "1 grant of 1 person stands.".to_owned(),
        (_, 1) => format!("{more}{grants} grants of 1 person stand."),
        _ => format!("{more}{grants} grants of {more}{people} people stand."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saving_asks_first_where_something_that_somebody_uses_becomes_less() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let before = object(json!({
            "enabled": true, "redirect_uris": ["https://a.test/"], "client_name": "Shop",
            "refresh.idleSeconds": 60, "audit.retentionDays": 60, "require_pkce": false, "resource_server": true,
        }));
        let members = || before.keys().map(|name| (name.as_str(), name.as_str()));
        for (patch, expected) in [
            (json!({ "enabled": false, "client_name": null }), vec!["enabled"]),
            (json!({ "redirect_uris": ["https://b.test/"] }), vec!["redirect_uris"]),
            (json!({ "redirect_uris": ["https://b.test/", "https://a.test/"], "enabled": true }), vec![]),
            (
                json!({ "refresh.idleSeconds": 59, "audit.retentionDays": 1 }),
                vec!["audit.retentionDays", "refresh.idleSeconds"],
            ),
            (json!({ "require_pkce": true }), vec!["require_pkce"]),
            (json!({ "require_pkce": null, "resource_server": false }), vec!["resource_server"]),
            (json!({ "refresh.idleSeconds": 61 }), vec![]),
        ] {
            assert_eq!(less(members(), &before, &object(patch)), expected);
        }
    }
}
