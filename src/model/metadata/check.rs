//! What may be registered.

use super::{AuthMethod, GRANT_TYPES, Metadata, SubjectType};
use crate::{
    error::quotable,
    host::{Algorithm, Timestamp},
    model::{
        outside,
        patch::{self, Invalid},
        profile::Profile,
        redirect_uri::RedirectUri,
        resource,
        response_type::ResponseType,
        scope::Scope,
        settings::{Lifetime, NEVER},
    },
};

impl Metadata {
    /// The sector in which people have a subject of their own (OpenID Connect Core §8.1); none: that of this client alone.
    /// Anybody can have a scheme of their own that is called like another's, and everybody's machine is the same host.
    pub fn sector(&self) -> Option<String> {
        let uri = self.sector_identifier_uri.as_ref().or(self.redirect_uris.first())?;
        RedirectUri::parse(uri).ok().filter(RedirectUri::is_https).map(|uri| uri.host())
    }

    fn is_of_one_sector(&self) -> bool {
        let mut hosts =
            self.redirect_uris.iter().map(|uri| RedirectUri::parse(uri).ok().map(|uri| uri.host()));
        let first = hosts.next();
        self.sector_identifier_uri.is_some() || (first.is_some() && hosts.all(|host| Some(host) == first))
    }

    /// What may be registered, and changed to.
    pub fn check(&self, scopes: &Scope, now: Timestamp) -> Result<(), Invalid> {
        let refused = |field: &str, why: &str| Err(Invalid::new(field, why));
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > 1000);
        for (field, text) in [
            ("client_name", &self.client_name),
            ("client_version", &self.client_version),
            ("description", &self.description),
        ] {
            if long(text) {
                return refused(field, "longer than 1000 bytes");
            }
        }
        if let Some(unknown) = self.grant_types.iter().find(|name| !GRANT_TYPES.contains(&name.as_str())) {
            return refused(
                "grant_types",
                &format!("{} is not a grant type of this server", quotable(unknown)),
            );
        }
        let may = |grant_type: &str| self.grant_types.iter().any(|name| name == grant_type);
        let at_once = matches!(self.profile, Profile::Legacy | Profile::Openid);
        if (may("implicit") && !at_once) || (may("password") && self.profile != Profile::Legacy) {
            return refused(
                "grant_types",
                "implicit is for the profiles legacy and openid, password for legacy",
            );
        }
        if may("implicit") && self.require_pkce == Some(true) {
            return refused("require_pkce", "PKCE binds codes, and implicit has none");
        }
        self.check_answers()?;
        let public = self.token_endpoint_auth_method == AuthMethod::None;
        if public && (may("client_credentials") || may("password")) {
            return refused(
                "grant_types",
                "client_credentials and password are for confidential clients (RFC 6749 section 4.4)",
            );
        }
        if public && self.profile != Profile::Legacy && self.require_pkce == Some(false) {
            return refused("require_pkce", "a public client must use PKCE (RFC 9700 section 2.1.1)");
        }
        if public && self.resource_server {
            return refused("resource_server", "a resource server must authenticate (RFC 7662 section 2.1)");
        }
        if public && self.administrative {
            return refused("administrative", "who administers must authenticate");
        }
        if let Some(unknown) = self.scope.names().find(|name| !scopes.contains(name)) {
            return refused("scope", &format!("there is no scope {}", quotable(unknown)));
        }
        let access = self.access_token_lifetime.map(|Lifetime(seconds)| seconds);
        if access.is_some_and(|seconds| seconds != NEVER && !(1..=31_536_000).contains(&seconds)) {
            return refused(
                "access_token_lifetime",
                "must be from 1 to 31536000 seconds, or -1, which is never",
            );
        }
        if self.code_lifetime.is_some_and(|seconds| !(1..=600).contains(&seconds)) {
            return refused("code_lifetime", "must be from 1 to 600 seconds");
        }
        if self.not_before.is_some_and(|seconds| seconds > now.seconds()) {
            return refused("not_before", "must not lie in the future");
        }
        if self.resources.len() > 100 || !self.resources.iter().all(|uri| resource::is_identifier(uri)) {
            return refused("resources", "at most 100 absolute URIs without fragment (RFC 8707 section 2)");
        }
        if !patch::are_names(&self.groups) {
            return refused("groups", "at most 100 names of at most 200 bytes");
        }
        if self.contacts.len() > 20 || self.contacts.iter().any(|contact| contact.len() > 200) {
            return refused("contacts", "at most 20 of at most 200 bytes");
        }
        Ok(())
    }

    /// What may be answered to it, how, and where.
    fn check_answers(&self) -> Result<(), Invalid> {
        let refused = |field: &str, why: &str| Err(Invalid::new(field, why));
        let may = |grant_type: &str| self.grant_types.iter().any(|name| name == grant_type);
        for name in &self.response_types {
            let Some(kind) = ResponseType::parse(name) else {
                return refused("response_types", "are of code, token and id_token");
            };
            if let Some(needed) = kind.grant_types().find(|needed| !may(needed)) {
                let why = format!("{} needs the grant type {needed} (RFC 7591 section 2.1)", quotable(name));
                return refused("response_types", &why);
            }
        }
        for (field, name) in [
            ("id_token_signed_response_alg", &self.id_token_signed_response_alg),
            ("userinfo_signed_response_alg", &self.userinfo_signed_response_alg),
            ("introspection_signed_response_alg", &self.introspection_signed_response_alg),
        ] {
            if name.as_ref().is_some_and(|name| Algorithm::parse(name).is_none()) {
                return refused(field, &format!("must be one of {}", Algorithm::NAMES.join(", ")));
            }
        }
        if may("implicit") && self.id_token_signed_response_alg.as_deref() == Some("EdDSA") {
            let why = "EdDSA has no hash for what goes out beside an ID token at once";
            return refused("id_token_signed_response_alg", why);
        }
        if self.subject_type == SubjectType::Pairwise && !self.is_of_one_sector() {
            let why = "pairwise needs redirect URIs of one host, or sector_identifier_uri";
            return refused("subject_type", why);
        }
        for (field, uri) in [
            ("sector_identifier_uri", &self.sector_identifier_uri),
            ("backchannel_logout_uri", &self.backchannel_logout_uri),
        ] {
            if let Some(Err(why)) = uri.as_deref().map(|uri| outside::host_of(uri, true)) {
                return refused(field, why);
            }
            if uri.as_ref().is_some_and(|uri| uri.len() > 2000) {
                return refused(field, "longer than 2000 bytes");
            }
        }
        if (may("authorization_code") || may("implicit")) && self.redirect_uris.is_empty() {
            return refused("redirect_uris", "authorization_code and implicit need at least one");
        }
        for (field, uris) in [
            ("redirect_uris", &self.redirect_uris),
            ("post_logout_redirect_uris", &self.post_logout_redirect_uris),
        ] {
            for uri in uris {
                match RedirectUri::parse(uri) {
                    Ok(uri) if uri.speaks_like_an_answer() => {
                        return refused(field, "its query has a parameter that answers have");
                    }
                    Ok(uri) if self.application_type.is_some_and(|kind| !kind.may_have(&uri)) => {
                        return refused(field, "is not for a web application");
                    }
                    Ok(_) => {}
                    Err(why) => return refused(field, why),
                }
            }
            if uris.len() > 50 {
                return refused(field, "more than 50");
            }
        }
        Ok(())
    }
}
