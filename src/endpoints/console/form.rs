//! Between the members of a record and the fields of a form. One table says what there is (`admin/members.rs`).

use crate::{
    endpoints::admin::{
        body,
        members::{Form, Member, Written},
    },
    error::Error,
    host::Timestamp,
    json,
    list::List as _,
    pages::{
        self,
        console::{Input, Kind},
    },
    wire::Params,
};
use serde_json::{Map, Value};

/// Parameters that may stand more than once: one a ticked box.
pub(super) const REPEATABLE: &[&str] = &["grant_types", "roles"];

/// Whether a member has a field in the form.
fn is_asked(member: &Member, making: bool) -> bool {
    let written = match member.written {
        Written::Always | Written::Anew => true,
        Written::Once | Written::Only => making,
        Written::Never | Written::Drawn | Written::Opens | Written::Listed => false,
    };
    // A cut-off is an act of its own, with a question before it.
    written && !member.label.is_empty() && member.form != Form::Instant
}

/// Whether a member is written and never shown again.
fn is_password(member: &Member) -> bool {
    matches!(member.written, Written::Only | Written::Anew) && member.form == Form::Text
}

/// The fields of a form. `problem` stands next to the field that it names; `now` is what the record says by now, where
/// that is not what was typed.
pub(super) fn inputs(
    members: &[Member],
    values: &Map<String, Value>,
    making: bool,
    problem: Option<&Error>,
    now: Option<&Map<String, Value>>,
) -> Vec<Input> {
    let null = Value::Null;
    let field = |member: &Member| {
        let value = values.get(member.name).unwrap_or(&null);
        let problem = problem.filter(|problem| problem.field.as_deref() == Some(member.name));
        let now = now.map(|now| now.get(member.name).unwrap_or(&null)).filter(|now| !same(now, value));
        let hint = match member.form {
            Form::Texts => format!("{} One a line.", member.about),
            Form::Names => format!("{} Separated by spaces.", member.about),
            Form::Object => format!("{} As a JSON object.", member.about),
            _ => member.about.to_owned(),
        };
        Input {
            kind: kind(member, value),
            // A password that was typed is not written into a page.
            value: if is_password(member) { String::new() } else { text(member, value) },
            hint,
            problem: problem.map(|problem| problem.detail.to_string()),
            now: now.map(|now| shown(member, now)),
            ..Input::line(member.name, member.label, "", "text")
        }
    };
    members.iter().filter(|member| is_asked(member, making)).map(field).list()
}

/// Nothing said is the same as nothing there.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (is_nothing(one) && is_nothing(other))
}

/// Whether a value says nothing.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn kind(member: &Member, value: &Value) -> Kind {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).list();
    let nothing = |text: &str| (String::new(), text.to_owned());
    match member.form {
        Form::Switch => Kind::Switch,
        Form::Texts | Form::Object => Kind::Lines,
        Form::Number => Kind::Line("number"),
        Form::Tristate => Kind::Choice(vec![
            nothing("as the profile says"),
            ("true".to_owned(), "yes".to_owned()),
            ("false".to_owned(), "no".to_owned()),
        ]),
        Form::Choice(names) => {
            let mut options: Vec<_> = own(names).into_iter().map(|name| (name.clone(), name)).list();
            if member.written == Written::Always {
                options.insert(0, nothing("not said"));
            }
            Kind::Choice(options)
        }
        Form::Any(names) => {
            let mut options = own(names);
            // What it has and nobody may be given any more stays its own until it is taken.
            let others = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            options.extend(others.filter(|other| !names.contains(other)).map(str::to_owned));
            Kind::Any(options)
        }
        Form::Text | Form::Names | Form::Instant => {
            Kind::Line(if is_password(member) { "password" } else { "text" })
        }
    }
}

/// A value as it stands in a field.
fn text(member: &Member, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let between = if member.form == Form::Texts { "\n" } else { " " };
            items.iter().map(plain).list().join(between)
        }
        Value::Object(members) if members.is_empty() => String::new(),
        Value::Object(_) => {
            let mut text = String::new();
            json::indent(&mut text, value, 0);
            text
        }
        value => json::write(value),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| json::write(value), str::to_owned)
}

/// A value as people read it.
pub(super) fn shown(member: &Member, value: &Value) -> String {
    match (member.form, value) {
        (_, Value::Null) => "–".to_owned(),
        (Form::Instant, value) => value.as_u64().map_or_else(|| json::write(value), instant),
        (_, Value::Bool(truth)) => (if *truth { "yes" } else { "no" }).to_owned(),
        (_, Value::Array(items)) if items.is_empty() => "–".to_owned(),
        (_, Value::Array(items)) => items.iter().map(plain).list().join(", "),
        (_, Value::Object(members)) => {
            let pairs = members.iter().map(|(name, value)| format!("{name}: {}", plain(value)));
            let pairs = pairs.list().join(", ");
            if pairs.is_empty() { "–".to_owned() } else { pairs }
        }
        (_, value) => plain(value),
    }
}

/// Seconds since 1970, as RFC 3339 writes them.
fn instant(seconds: u64) -> String {
    pages::instant(Timestamp(seconds.saturating_mul(1000)))
}

/// What a form says of the record, `null` where a field was emptied. What was not touched is not said: somebody else may
/// be changing it, or it may follow from what is. Where there is nothing yet, what is empty is not said.
pub(super) fn patch(
    members: &[Member],
    form: &Params,
    before: Option<&Map<String, Value>>,
) -> Map<String, Value> {
    let making = before.is_none();
    let mut patch = Map::new();
    for member in members.iter().filter(|member| is_asked(member, making)) {
        let value = read(member, form.optional(member.name), &form.all(member.name).list());
        if let Some(before) = before {
            let was = text(member, before.get(member.name).unwrap_or(&Value::Null));
            let ticked: Vec<&str> = was.split(' ').filter(|name| !name.is_empty()).list();
            let given = Some(was.as_str()).filter(|was| !was.is_empty());
            if read(member, given, &ticked) == value {
                continue;
            }
        }
        if member.form == Form::Object
            && let (Value::Object(said), Some(before)) = (&value, before)
        {
            patch.insert(member.name.to_owned(), Value::Object(instead(said, before.get(member.name))));
        } else if !(making && value.is_null()) {
            patch.insert(member.name.to_owned(), value);
        }
    }
    patch
}

/// A merge patch merges objects: what is not said any more must be taken away by name (RFC 7396 §2).
fn instead(said: &Map<String, Value>, before: Option<&Value>) -> Map<String, Value> {
    let mut patch = said.clone();
    for (name, was) in before.and_then(Value::as_object).into_iter().flatten() {
        match patch.get_mut(name) {
            None => {
                patch.insert(name.clone(), Value::Null);
            }
            Some(Value::Object(inner)) => *inner = instead(inner, Some(was)),
            Some(_) => {}
        }
    }
    patch
}

fn read(member: &Member, given: Option<&str>, ticked: &[&str]) -> Value {
    match member.form {
        Form::Switch => Value::Bool(given == Some("true")),
        Form::Any(_) => ticked.iter().copied().collect(),
        Form::Texts => {
            let lines = given.unwrap_or_default().lines().map(str::trim);
            lines.filter(|line| !line.is_empty()).collect()
        }
        Form::Tristate => match given {
            Some("true") => Value::Bool(true),
            Some("false") => Value::Bool(false),
            _ => Value::Null,
        },
        Form::Names => match given {
            Some(names) => names.split_whitespace().list().join(" ").into(),
            None => Value::Null,
        },
        // What does not read goes on as it was typed: who knows what fits says what is wrong.
        Form::Number | Form::Instant => match given.map(str::trim) {
            Some(typed) => typed.parse::<i64>().map_or_else(|_| typed.into(), Value::from),
            None => Value::Null,
        },
        Form::Object => match given {
            Some(typed) => body::parse(typed.as_bytes()).map_or_else(|_| typed.into(), Value::Object),
            None => Value::Object(Map::new()),
        },
        Form::Text | Form::Choice(_) => given.map_or(Value::Null, Value::from),
    }
}

/// Whether a change takes something away: a switch goes off, a list gets shorter, a number smaller.
pub(super) fn takes_away(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Bool(true), after) => *after != Value::Bool(true),
        (Value::Array(before), after) => {
            let after = after.as_array().map(Vec::as_slice).unwrap_or_default();
            before.iter().any(|item| !after.contains(item))
        }
        (Value::String(before), after) => {
            let after: Vec<&str> = after.as_str().unwrap_or_default().split(' ').list();
            before.split(' ').any(|word| !word.is_empty() && !after.contains(&word))
        }
        // -1 is never, and nothing is longer.
        (before, Value::Number(after)) => {
            before.as_i64() == Some(-1)
                || (after.as_u64().is_some()
                    && before.as_u64().is_none_or(|before| Some(before) > after.as_u64()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::admin::members::{CLIENT, USER};
    use serde_json::json;

    fn form(text: &str) -> Params {
        Params::parse(text.as_bytes(), REPEATABLE).unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(members) = value else { panic!("{value} is no object") };
        members
    }

    #[test]
    fn every_member_of_which_some_may_be_ticked_may_be_repeated() {
        let ticked =
            [CLIENT, USER].into_iter().flatten().filter(|member| matches!(member.form, Form::Any(_)));
        assert_eq!(ticked.map(|member| member.name).collect::<Vec<_>>(), REPEATABLE);
    }

    #[test]
    fn a_form_says_every_field_that_was_touched_and_null_where_one_was_emptied() {
        let text = "client_name=Shop&redirect_uris=%20https%3A%2F%2Fa.test%2F%0D%0A%0D%0Ahttps%3A%2F%2Fb.test%2F\
                    &grant_types=authorization_code&grant_types=refresh_token&scope=a%20%20b&enabled=true\
                    &refresh_count=3&code_lifetime=soon&require_pkce=false";
        let before = object(json!({ "description": "To be emptied" }));
        let patch = patch(CLIENT, &form(text), Some(&before));
        let said = [
            ("client_name", json!("Shop")),
            ("redirect_uris", json!(["https://a.test/", "https://b.test/"])),
            ("grant_types", json!(["authorization_code", "refresh_token"])),
            ("scope", json!("a b")),
            ("enabled", json!(true)),
            ("refresh_count", json!(3)),
            ("code_lifetime", json!("soon")),
            ("require_pkce", json!(false)),
            ("description", Value::Null),
        ];
        for (name, value) in said {
            assert_eq!(patch.get(name), Some(&value), "{name}");
        }
        // Not there, or not touched.
        for name in
            ["client_id", "response_types", "not_before", "token_endpoint_auth_method", "strict", "contacts"]
        {
            assert_eq!(patch.get(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_shown_and_sent_back_changes_nothing() {
        let record = object(json!({
            "client_name": "Shop", "redirect_uris": ["https://a.test/"], "grant_types": ["password"],
            "scope": "a b", "enabled": true, "refresh_count": 3, "require_pkce": false, "refresh_rotation": "never",
            "profile": "legacy", "contacts": [], "strict": false,
        }));
        let inputs = inputs(CLIENT, &record, false, None, None);
        let values = |input: &Input| match input.kind {
            Kind::Any(_) => input.value.split(' ').map(str::to_owned).collect(),
            _ => vec![input.value.clone()],
        };
        let pairs =
            inputs.iter().flat_map(|input| values(input).into_iter().map(|value| (&input.name, value)));
        let pairs = pairs.map(|(name, value)| format!("{name}={}", crate::wire::encode(&value)));
        let text = pairs.collect::<Vec<_>>().join("&");
        let patch = patch(CLIENT, &form(&text), Some(&record));
        assert_eq!(patch, Map::new());
    }

    #[test]
    fn claims_that_are_not_typed_any_more_are_taken_away() {
        let before =
            object(json!({ "claims": { "name": "A", "email": "a@a.test", "address": { "x": 1, "y": 2 } } }));
        let typed = crate::wire::encode(r#"{ "name": "B", "address": { "x": 1 } }"#);
        let patch = patch(USER, &form(&format!("claims={typed}")), Some(&before));
        assert_eq!(patch["claims"], json!({ "name": "B", "email": null, "address": { "x": 1, "y": null } }));
        let wrong = super::patch(USER, &form("claims=%7B"), Some(&before));
        assert_eq!(wrong["claims"], json!("{"));
    }

    #[test]
    fn less_is_noticed_and_more_is_not() {
        for (before, after) in [
            (json!(true), json!(false)),
            (json!(["a", "b"]), json!(["b"])),
            (json!(["a"]), Value::Null),
            (json!("a b"), json!("b c")),
            (json!("a"), Value::Null),
            (json!(5), json!(4)),
            (json!(-1), json!(4)),
            (Value::Null, json!(4)),
        ] {
            assert!(takes_away(&before, &after), "{before} to {after}");
        }
        for (before, after) in [
            (json!(false), json!(true)),
            (json!(true), json!(true)),
            (json!(["a"]), json!(["b", "a"])),
            (json!([]), Value::Null),
            (json!("b"), json!("a b")),
            (json!(""), Value::Null),
            (json!(4), json!(5)),
            (json!(4), json!(-1)),
            (json!(4), Value::Null),
        ] {
            assert!(!takes_away(&before, &after), "{before} to {after}");
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339_does() {
        assert_eq!(instant(0), "1970-01-01T00:00:00Z");
        assert_eq!(instant(1_800_000_000), "2027-01-15T08:00:00Z");
        assert_eq!(instant(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
