//! Which change of a client takes something away.

use super::{Metadata, SubjectType};
use crate::model::settings::Lifetime;

impl Metadata {
    /// True where something that `self` allowed is not allowed by `next`: the shards must hear of it at once, and what is
    /// issued by who has not heard of it is dead. So wider is no restriction, and what this does not know is one.
    pub fn is_restricted_by(&self, next: &Self) -> bool {
        let loses = |own: &[String], next: &[String]| own.iter().any(|item| !next.contains(item));
        // None is any.
        let narrower =
            |own: &[String], next: &[String]| !next.is_empty() && (own.is_empty() || loses(own, next));
        // Of two numbers the smaller is narrower. Against a default, which is not in this record, nobody can tell.
        let shorter = |own: Option<u64>, next: Option<u64>| match (own, next) {
            (Some(own), Some(next)) => next < own,
            (own, next) => own != next,
        };
        let seconds = |own: Option<Lifetime>| own.map(|Lifetime(seconds)| seconds);
        let fewer = match (self.refresh_count, next.refresh_count) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(own), Some(next)) => next < own,
        };
        let judged = Self {
            client_name: self.client_name.clone(),
            client_version: self.client_version.clone(),
            description: self.description.clone(),
            contacts: self.contacts.clone(),
            redirect_uris: self.redirect_uris.clone(),
            grant_types: self.grant_types.clone(),
            response_types: self.response_types.clone(),
            scope: self.scope.clone(),
            application_type: self.application_type,
            enabled: self.enabled,
            // Whoever has not heard of it asks no shard, and gives what may be given anyway.
            strict: self.strict,
            resource_server: self.resource_server,
            resources: self.resources.clone(),
            administrative: self.administrative,
            access_token_lifetime: self.access_token_lifetime,
            access_token_format: self.access_token_format,
            introspection_signed_response_alg: self.introspection_signed_response_alg.clone(),
            code_lifetime: self.code_lifetime,
            refresh_count: self.refresh_count,
            groups: self.groups.clone(),
            ..next.clone()
        };
        judged != *self
            || (self.enabled && !next.enabled)
            || (self.resource_server && !next.resource_server)
            || (self.administrative && !next.administrative)
            || shorter(seconds(self.access_token_lifetime), seconds(next.access_token_lifetime))
            || shorter(self.code_lifetime, next.code_lifetime)
            || fewer
            || !self.scope.is_within(&next.scope)
            || loses(&self.grant_types, &next.grant_types)
            || loses(&self.redirect_uris, &next.redirect_uris)
            || loses(&self.groups, &next.groups)
            || narrower(&self.resources, &next.resources)
    }

    /// Whether people have the subjects under `next` that they have here (OpenID Connect Core §8.1).
    pub fn keeps_subjects(&self, next: &Self) -> bool {
        let public = self.subject_type == SubjectType::Public;
        self.subject_type == next.subject_type && (public || self.sector() == next.sector())
    }
}
