//! What a code must be redeemed with, and by whose rules.

use super::{Binding, Returned, Terms};
use crate::model::redirect_uri::RedirectUri;

impl Binding {
    /// Whether the client could still ask for such a code.
    pub(super) fn is_allowed(&self, terms: &Terms) -> bool {
        let own = RedirectUri::parse(&self.redirect_uri);
        let mut registered = terms.redirect_uris.iter().filter_map(|uri| RedirectUri::parse(uri).ok());
        let returned =
            terms.redirect_uris.is_empty() || own.is_ok_and(|own| registered.any(|uri| uri.admits(&own)));
        returned && (self.challenge.is_some() || !terms.require_pkce)
    }

    pub(super) fn is_met(
        &self,
        (verifier, redirect_uri, returned): (Option<&str>, Option<&str>, Returned),
        terms: &Terms,
    ) -> bool {
        let proved = match (&self.challenge, verifier) {
            (Some(challenge), Some(verifier)) => challenge.is_met_by(verifier),
            (None, None) => true,
            // RFC 9700 §2.1.1: a verifier without a challenge is a sign of a downgrade.
            (Some(_), None) | (None, Some(_)) => false,
        };
        let returned = match (redirect_uri, returned) {
            (Some(given), Returned::Mirrored) => self.redirect_uri_sent && given == self.redirect_uri,
            (Some(given), _) => given == self.redirect_uri,
            (None, Returned::Usual) => !self.redirect_uri_required,
            (None, Returned::Mirrored) => !self.redirect_uri_sent,
            (None, Returned::WhereSeveral) => terms.redirect_uris.len() == 1,
        };
        proved && returned
    }
}
