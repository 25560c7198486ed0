//! Into the console and out of it, and the way to the first administrator.

use super::{Seal, Visit, Wish};
use crate::{
    context::{Context, Limited},
    endpoints::admin::Resource,
    error::{Code, Error},
    host::{Author, Host},
    json::{self, json},
    model::ticket::Ticket as _,
    pages::{
        self,
        console::{Enter, Input},
    },
    session::{self, Browser},
    sign_in::{Then, attempt},
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};

const SIGN_IN: &str = "/console/sign-in";
const ADMINISTRATOR: &str = "/console/administrator";

/// Where one signs in without an authorization request.
pub(in crate::endpoints) struct Door {
    title: &'static str,
    what: &'static str,
    action: &'static str,
    other: Option<(&'static str, &'static str)>,
}

pub(super) const CONSOLE: Door = Door {
    title: "Sign in to the console",
    what: "It is for administrators and auditors of this server.",
    action: SIGN_IN,
    other: Some((ADMINISTRATOR, "There is no administrator yet")),
};

pub(in crate::endpoints) const ACCOUNT: Door = Door {
    title: "Sign in to your account",
    what: "It shows where you are signed in, and what you have allowed.",
    action: "/account",
    other: None,
};

/// The page to sign in at; then on to where the person wanted to go.
pub(in crate::endpoints) fn ask<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    door: &Door,
) -> Result<Response, Error> {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    // What was typed into a form is lost with the session; its page is not.
    let back = format!("{}{query}", request.path);
    let problem = if request.method == Method::POST {
        "You were signed out, and nothing was changed. Sign in, and do it again."
    } else {
        ""
    };
    show(cx, request, door, (StatusCode::OK, problem), &back, "")
}

fn show<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    &Door { title, what, action, other }: &Door,
    (status, problem): (StatusCode, &str),
    back: &str,
    username: &str,
) -> Result<Response, Error> {
    let browser = Browser::of(cx, request);
    let seal = Seal { of: browser.mark, made: cx.now, back: back.to_owned() }.seal(&cx.config.keys)?;
    let (inputs, label) = (credentials(username), "Sign in");
    let page = Enter { title, what, problem, action, seal: &seal, inputs, label, other };
    let page = pages::show(status, &page, None)?;
    Ok(match browser.cookie {
        Some(cookie) => page.with("set-cookie", cookie),
        None => page,
    })
}

fn credentials(username: &str) -> Vec<Input> {
    let name = Input::line("username", "User name", "As it was registered here.", "text");
    let password = Input::line("password", "Password", "It is checked and not kept.", "password");
    vec![
        Input { value: username.to_owned(), autocomplete: "username", ..name },
        Input { autocomplete: "current-password", ..password },
    ]
}

/// What its form brings.
pub(in crate::endpoints) async fn sign_in<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    door: &Door,
) -> Result<Response, Error> {
    let form = Params::of_form(request, &[])?;
    let seal = Seal::check(cx, request, &form, Browser::known(cx, request).as_deref())?;
    let (username, password) = (form.optional("username"), form.optional("password"));
    let (username, password) = (username.unwrap_or_default(), password.unwrap_or_default());
    let policy = cx.policy().await?;
    match attempt(cx, request, &policy, (username, password), Then::Enter(&|_| None)).await? {
        Ok(admitted) => {
            cx.note(|event| event.event = "login.admitted");
            let to = if is_ours(&seal.back) { &seal.back } else { "/console" };
            let (answer, lifetime) = (Response::see_other(cx.url(to)), policy.settings.session_lifetime);
            session::enter(cx, request, admitted.session()?, lifetime, Ok(answer)).await
        }
        Err(denied) => {
            let typed = if username.len() <= 200 { username } else { "" };
            Ok(denied.with_wait(show(
                cx,
                request,
                door,
                (denied.status, &denied.problem),
                &seal.back,
                typed,
            )?))
        }
    }
}

/// The page of the account, or one of the console, that answers `GET`.
fn is_ours(back: &str) -> bool {
    let page = back.split('?').next().unwrap_or_default();
    (matches!(page, "/account" | "/console") || page.starts_with("/console/")) && page != SIGN_IN
}

/// `POST /console/sign-out`: ends the session, here and at every client that asks for this browser again.
pub(super) async fn sign_out<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let form = Params::of_form(request, &[])?;
    let Some(session) = session::named(cx, request) else {
        return Ok(Response::see_other(cx.url("/console")));
    };
    Seal::check(cx, request, &form, Some(&session.id))?;
    session::leave_all(cx, request, Response::see_other(cx.url("/console"))).await
}

/// Who is signed in and holds no role.
pub(super) fn stranger(visit: &Visit) -> Result<Response, Error> {
    let what = format!(
        "You are signed in as {}, who is neither an administrator nor an auditor here.",
        visit.account.username
    );
    let page = Enter {
        title: "This is not for you",
        what: &what,
        problem: "",
        action: "/console/sign-out",
        seal: &visit.seal,
        inputs: Vec::new(),
        label: "Sign in as someone else",
        other: None,
    };
    pages::show(StatusCode::FORBIDDEN, &page, None)
}

/// `GET`: the form. `POST /console/administrator`: an account with the role, by the administrator's token.
pub(super) async fn administrator<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
) -> Result<Response, Error> {
    if request.method != Method::POST {
        return show_administrator(cx, request, StatusCode::OK, "", ("", ""));
    }
    let form = Params::of_form(request, &[])?;
    Seal::check(cx, request, &form, Browser::known(cx, request).as_deref())?;
    let given = |name: &str| form.optional(name).unwrap_or_default();
    cx.note(|event| event.important = true);
    if !cx.config.is_administrator(given("admin_token")) {
        let policy = cx.policy().await?;
        cx.note(|event| event.event = "admin.token.refused");
        let closed = cx.strike(Limited::Client, &policy, request, "console").await;
        if let Some(until) = closed {
            let detail = "too many tries with a wrong token from this address: wait";
            return Err(Error::new(Code::TooManyRequests, detail).after(until.wait(cx.host.now())));
        }
        let problem = "That is not the administrator’s token.";
        let wrong = (problem, "admin_token");
        return show_administrator(cx, request, StatusCode::BAD_REQUEST, given("username"), wrong);
    }
    let address = request.header("cf-connecting-ip").map(str::to_owned);
    cx.sign(Author { kind: "token".to_owned(), name: String::new(), address, trace: cx.trace.clone() });
    let body = json::object([
        ("username", json!(given("username"))),
        ("password", json!(given("password"))),
        ("roles", json!(["administrator"])),
    ]);
    match Wish::change(Method::POST, Resource::Users, "", "", body).ask(cx).await {
        Ok(_) => Ok(Response::see_other(cx.url("/console"))),
        Err(error) if error.field.is_some() => {
            let wrong = (error.detail.as_ref(), error.field.as_deref().unwrap_or_default());
            show_administrator(cx, request, error.code.status(), given("username"), wrong)
        }
        Err(error) => Err(error),
    }
}

fn show_administrator<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    status: StatusCode,
    username: &str,
    (problem, field): (&str, &str),
) -> Result<Response, Error> {
    let browser = Browser::of(cx, request);
    let seal = Seal { of: browser.mark, made: cx.now, back: String::new() }.seal(&cx.config.keys)?;
    let about = "ADMIN_TOKEN, a secret of the Worker. Once there are administrators it can be taken away.";
    let mut inputs = vec![Input::line("admin_token", "The administrator’s token", about, "password")];
    let of_the_account = credentials(username).into_iter();
    inputs.extend(of_the_account.map(|input| Input { hint: "Of the new account.".to_owned(), ..input }));
    for input in &mut inputs {
        input.problem = (input.name == field).then(|| problem.to_owned());
        if input.autocomplete == "current-password" {
            input.autocomplete = "new-password";
        }
    }
    let page = Enter {
        title: "Make an administrator",
        what: "Who holds the administrator’s token may make an account that administers.",
        problem: if field.is_empty() { problem } else { "Nothing was changed." },
        action: ADMINISTRATOR,
        seal: &seal,
        inputs,
        label: "Make the account",
        other: Some(("/console", "Sign in instead")),
    };
    let page = pages::show(status, &page, None)?;
    Ok(match browser.cookie {
        Some(cookie) => page.with("set-cookie", cookie),
        None => page,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn signing_in_leads_to_pages_of_the_console_and_the_account_alone() {
        for back in ["/account", "/console", "/console/clients", "/console?x", "/console/clients/a?done=save"]
        {
            assert!(super::is_ours(back), "{back}");
        }
        for back in [
            "",
            "/",
            "//evil.test",
            "/consoles",
            "/accounts",
            "https://evil.test/console",
            "/console/sign-in",
        ] {
            assert!(!super::is_ours(back), "{back}");
        }
    }
}
