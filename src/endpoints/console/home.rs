//! The first page: how the server is.

use super::{Visit, Wish, form};
use crate::{
    context::Context,
    endpoints::admin::{
        Resource,
        members::{HEALTH, Member},
    },
    error::Error,
    host::Host,
    list::List as _,
    pages::console::{List, Row, framed},
    wire::{Params, Request, Response, with_params},
};
use http::StatusCode;
use serde_json::Value;

/// The replica, the registry, and the shards, a page of them.
pub(super) async fn get<H: Host>(
    cx: &Context<'_, H>,
    visit: &Visit,
    request: &Request,
) -> Result<Response, Error> {
    let params = Params::of_query(request, &[])?;
    let after = params.optional("after").map(|after| ("after", after));
    let query = with_params("", &after.into_iter().list());
    let answer = Wish::get(Resource::Health, "", query.trim_start_matches('?').to_owned()).ask(cx).await?;
    let columns: Vec<&Member> = HEALTH.iter().list();
    let cell = |column: &&Member, item: &Value| match item.get(column.name) {
        None => String::new(),
        Some(value) => form::shown(column, value),
    };
    let row =
        |item: &Value| Row { href: None, cells: columns.iter().map(|column| cell(column, item)).list() };
    let troubled = |item: &Value| {
        let since = item.get("owed_since").and_then(Value::as_u64);
        item.get("error").is_some() || since.is_some_and(|since| cx.now.seconds() > since + 60)
    };
    let silent = answer.items().iter().filter(|item| troubled(item)).count();
    let problem = match silent {
        0 => String::new(),
        count => {
            format!("{count} of these did not answer, or have owed others something for more than a minute.")
        }
    };
    let next = answer.body.get("next").and_then(Value::as_str);
    let page = List {
        action: "/console",
        caption: "Health",
        inputs: Vec::new(),
        new: None,
        columns: columns.iter().map(|column| column.label).list(),
        rows: answer.items().iter().map(row).list(),
        next: next.map(|next| with_params("/console", &[("after", next)])),
    };
    let head = visit.head("/console", "Health");
    framed(StatusCode::OK, &head.saying(&problem, ""), &page)
}
