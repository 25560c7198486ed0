//! What a grant answers, beside what the oracle says, and in words.

use super::{
    asks::{Ask, Wish},
    oracle::Verdict,
};
use edgemint::{
    host::Timestamp,
    model::grant::{Active, Issued, Refusal, Reply},
};

/// Whether an answer is what the oracle says, and by which promise.
pub fn fits(ask: &Ask, verdict: &Verdict, reply: &Reply, now: Timestamp) -> (&'static str, bool) {
    let promise = match &ask.wish {
        Wish::Offer { .. } => "behaviour 14, 22: one decision makes one code, by who may",
        Wish::Give { .. } => "behaviour 1, 14, 22: one decision makes one grant, by who may",
        Wish::Redeem(_) => "behaviour 1, 2, 3, 4: a code is redeemed once, by whom it was made for",
        Wish::Refresh { .. } => "behaviour 3, 6, 7, 8, 9, 10: a refresh, as the oracle has it",
        Wish::Inspect(_) => "behaviour 12, 13, 14: introspection, as the oracle has it",
        Wish::Revoke { .. } | Wish::Withdraw | Wish::End => {
            "behaviour 11, 12: a revocation, as the oracle has it"
        }
    };
    let kept = match (verdict, reply) {
        (Verdict::Tokens { refresh, scope, again }, Reply::Issued(issued)) => {
            let number = issued.refresh.as_ref().map_or(0, |token| token.generation);
            (number, &issued.scope, issued.again, issued.at) == (*refresh, scope, *again, now)
        }
        (Verdict::Active { scope, expires }, Reply::Active(active)) => {
            let Active { client_id, person, .. } = &**active;
            let whose = client_id == "app" && person.as_ref().is_some_and(|person| person.sub == "sub");
            whose && (&active.scope, active.expires) == (scope, *expires)
        }
        (Verdict::Refused, Reply::Refused(refusal)) => *refusal != Refusal::Replayed,
        (Verdict::Code, Reply::Offered(_))
        | (Verdict::Ends, Reply::Refused(Refusal::Replayed))
        | (Verdict::Inactive, Reply::Inactive)
        | (Verdict::Revoked, Reply::Revoked(_))
        | (Verdict::Foreign, Reply::Foreign)
        | (Verdict::Stale, Reply::Stale) => true,
        _ => false,
    };
    (promise, kept)
}

/// An answer in words.
pub fn told(reply: &Reply) -> String {
    match reply {
        Reply::Issued(issued) => {
            let number = issued
                .refresh
                .as_ref()
                .map_or("no refresh token".into(), |token| format!("refresh token {}", token.generation));
            format!(
                "tokens for {:?} with {number}{}",
                issued.scope.to_string(),
                if issued.again { ", again" } else { "" }
            )
        }
        Reply::Offered(_) => "a code".into(),
        Reply::Active(active) => {
            format!("active for {:?} until {:?}", active.scope.to_string(), active.expires)
        }
        other => format!("{other:?}"),
    }
}

/// What must be the same in an answer that is given again: all but that it says so.
pub fn same(reply: &Reply) -> String {
    match reply {
        Reply::Issued(issued) => {
            let again = Issued { again: true, ..(**issued).clone() };
            edgemint::json::write(&again)
        }
        // Both are `invalid_grant`; and both are 200.
        Reply::Refused(Refusal::Replayed | Refusal::Revoked) => "refused: it has ended".into(),
        Reply::Revoked(_) | Reply::Inactive => "it has ended".into(),
        other => edgemint::json::write(other),
    }
}
