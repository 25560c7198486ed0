//! What the console asks before it does something.

use super::records::Sort;
use crate::{
    endpoints::admin::Resource,
    error::Error,
    pages::console::{Input, Kind},
};

/// Title, button, what it means, and what is still to be said.
pub(super) type Question = (&'static str, &'static str, &'static str, Vec<Input>);

pub(super) fn question(sort: &Sort, act: &str, wrong: Option<&Error>) -> Option<Question> {
    let none = Vec::new();
    Some(match (sort.one, act) {
        (Resource::Client, "secret") => {
            let choice = |seconds: &str, text: &str| (seconds.to_owned(), text.to_owned());
            let choices = vec![
                choice("0", "not at all"),
                choice("3600", "for an hour"),
                choice("86400", "for a day"),
                choice("604800", "for a week"),
                choice("2592000", "for thirty days"),
            ];
            let about = "Bring the new secret to every place where the client runs before this is over.";
            let overlap = Input {
                kind: Kind::Choice(choices),
                value: "86400".to_owned(),
                ..Input::line("overlap_seconds", "The old secret works on", about, "text")
            };
            let what = "The client gets a new secret, which is shown once. Where the old one is used after its end, \
                        the client gets no tokens.";
            ("Make a new secret?", "Make a new secret", what, vec![overlap])
        }
        (Resource::User, "password") => {
            let password = Input {
                problem: wrong.map(|error| error.detail.to_string()),
                ..Input::line("password", "New password", "8 to 1000 bytes.", "password")
            };
            let what = "The person is signed out everywhere, and what they allowed ends.";
            ("Set a password?", "Set the password", what, vec![password])
        }
        (Resource::User, "sessions") => {
            let what = "The person is signed out everywhere, and what they allowed ends.";
            ("Sign out everywhere?", "Sign out", what, none)
        }
        (Resource::Client | Resource::User | Resource::Scope, "cut") => {
            ("End all these grants?", "End them", "Every code and token of them stops working at once.", none)
        }
        (Resource::Client | Resource::User, "delete") => {
            ("Delete it for good?", "Delete", "Every code and token stops working at once.", none)
        }
        (Resource::Scope, "delete") => {
            ("Delete it for good?", "Delete", "It can be deleted once no client may have it.", none)
        }
        (Resource::RegistrationToken, "delete") => {
            ("End this token?", "End it", "Nobody registers a client with it any more.", none)
        }
        (Resource::Connection, "delete") => {
            ("Delete it for good?", "Delete", "The tokens that it holds are forgotten.", none)
        }
        (Resource::ExternalServer, "delete") => (
            "Delete it for good?",
            "Delete",
            "Its tokens open nothing here any more, everywhere within 90 seconds.",
            none,
        ),
        (Resource::Key, "delete") => (
            "Remove this key?",
            "Remove",
            "For a key that somebody else has. What it signed is refused, here at once and everywhere within 60 seconds; \
             others that verify by themselves may know it for an hour. What it replaced signs again, or a new one. To put a \
             newer one in its place, make a new key and leave this one.",
            none,
        ),
        (Resource::Grant, "revoke") => {
            ("Revoke this grant?", "Revoke", "Every code and token of it stops working at once.", none)
        }
        _ => return None,
    })
}
