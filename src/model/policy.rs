//! The settings of the server and its catalogue of scopes: read by every request, written by administrators.

use super::{
    openid,
    patch::{self, Invalid},
    remote::Remote,
    resource,
    scope::Scope,
    settings::Settings,
};
use crate::{
    crypto::Secret,
    error::quotable,
    host::{Algorithm, Attempts, Seconds, Timestamp},
    json::{Json, json},
    list::List as _,
    sorted::ByName,
};
use serde_json::{Map, Value};

/// The scope that lets its holder administer this server, if they have the right.
pub const ADMIN: &str = "admin";
/// The scope that lets its holder see what administrators see.
pub const ADMIN_READ: &str = "admin.read";
/// The scope that lets its holder have this server ask others for tokens.
pub const EXTERNAL: &str = "external";
/// The server's own scopes and what a person is told of them. They are given only to who asks for them by name.
const OWN: &[(&str, &str)] = &[
    (ADMIN, "Administer this server"),
    (ADMIN_READ, "See what administrators see"),
    (EXTERNAL, "Get tokens from other servers through this one"),
];

/// The key, beside the settings, of what tells ids that were drawn from invented ones. An export has it, so that another
/// server knows the ids.
pub const FILTER: &str = "clients.filter";

/// What a scope is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct ScopeEntry {
    /// Grows with every change.
    #[json(default)]
    pub version: u64,
    /// What the person is told on the consent page.
    pub description: String,
    /// Folders it opens.
    #[json(default)]
    pub folders: Vec<String>,
    /// URL templates it opens: `GET /orders/{id}`.
    #[json(default)]
    pub urls: Vec<String>,
    /// Groups of which a person must have one.
    #[json(default)]
    pub groups: Vec<String>,
    /// Services it opens: `orders.api:list`.
    #[json(default)]
    pub services: Vec<String>,
    /// Groups of which a client must have one that acts for itself.
    #[json(default)]
    pub client_groups: Vec<String>,
    /// The protected resource that it belongs to (RFC 8707 §2); empty: none in particular.
    #[json(default)]
    pub resource: String,
}

/// What each of the lists of a scope may hold.
type Demand = fn(&str) -> Result<(), &'static str>;

impl ScopeEntry {
    /// What administrators may see and change, as JSON.
    pub fn members(&self) -> Map<String, Value> {
        let members = [
            ("description", json!(self.description)),
            ("folders", json!(self.folders)),
            ("services", json!(self.services)),
            ("urls", json!(self.urls)),
            ("groups", json!(self.groups)),
            ("client_groups", json!(self.client_groups)),
            ("resource", json!(self.resource)),
        ];
        crate::json::object(members)
    }

    /// With a patch merged in (RFC 7396). Names the first member that does not fit.
    pub fn amend(&self, patch: Map<String, Value>) -> Result<Self, Invalid> {
        let mut entry = self.clone();
        for (name, value) in patch {
            let refused = |why: &str| Err(Invalid::new(&quotable(&name), why));
            match (name.as_str(), value) {
                ("description", Value::Null) => entry.description.clear(),
                ("description", Value::String(text)) => {
                    if text.len() > 500 || text.chars().any(char::is_control) {
                        return refused("must have at most 500 bytes, and no control characters");
                    }
                    entry.description = text;
                }
                ("resource", Value::Null) => entry.resource.clear(),
                ("resource", Value::String(text)) => {
                    if !text.is_empty() && !resource::is_identifier(&text) {
                        return refused(
                            "must be an absolute URI of at most 500 bytes, without fragment or space",
                        );
                    }
                    entry.resource = text;
                }
                ("description" | "resource", _) => return refused("must be a string"),
                (_, value) => {
                    let Some((list, demand)) = entry.list(&name) else {
                        return refused("is not a member that this server keeps");
                    };
                    let names = patch::read_names(value).map_err(|why| Invalid::new(&name, why))?;
                    if let Some((text, why)) =
                        names.iter().find_map(|text| demand(text).err().map(|why| (text, why)))
                    {
                        return refused(&format!("{}: {why}", quotable(text)));
                    }
                    *list = names;
                }
            }
        }
        Ok(entry)
    }

    fn list(&mut self, name: &str) -> Option<(&mut Vec<String>, Demand)> {
        Some(match name {
            "folders" => (&mut self.folders, resource::check_folder),
            "services" => (&mut self.services, resource::check_service),
            "urls" => (&mut self.urls, resource::check_url),
            "groups" => (&mut self.groups, |_| Ok(())),
            "client_groups" => (&mut self.client_groups, |_| Ok(())),
            _ => return None,
        })
    }

    /// Whether another one opens the same to the same.
    pub fn decides_as(&self, other: &Self) -> bool {
        let said = |entry: &Self| Self { version: 0, description: String::new(), ..entry.clone() };
        said(self) == said(other)
    }
}

/// Settings and scopes as one record: one copy to read, one version.
#[derive(Clone, Debug, Default, Json)]
pub struct Policy {
    /// The format of the record.
    pub format: u8,
    /// Grows with every change.
    pub version: u64,
    /// When it last changed.
    pub changed: Timestamp,
    /// The version that last changed the settings.
    #[json(default)]
    pub settings_version: u64,
    /// The settings.
    pub settings: Settings,
    /// The catalogue.
    pub scopes: ByName<ScopeEntry>,
    /// Marks client ids that we generated, so that invented ones die before they cost a read. Not a secret of worth.
    pub filter: Secret,
    /// The format of the development data in the registry; 0: there is none. A production Worker refuses to serve it.
    pub development: u8,
    /// The issuer that the development data was made for: one of its redirect URIs is the issuer's own.
    #[json(default)]
    pub development_issuer: String,
    /// Other servers whose access tokens are good here, too.
    #[json(default)]
    pub servers: Vec<Remote>,
    /// The wishes that last changed it.
    #[json(default)]
    pub attempts: Attempts,
}

impl Policy {
    /// The names that a client may have: the catalogue's, and the server's own.
    pub fn names(&self) -> Scope {
        let openid = openid::SCOPES.iter().map(|(name, ..)| *name);
        let own = OWN.iter().map(|(name, _)| *name);
        Scope::of(self.scopes.keys().map(String::as_str).chain(own).chain(openid))
    }

    /// What a person is told of a scope.
    pub fn description(&self, name: &str) -> Option<&str> {
        let own = OWN.iter().find(|(own, _)| *own == name).map(|(_, text)| *text);
        let openid = || openid::SCOPES.iter().find(|(own, ..)| *own == name).map(|(_, text, _)| *text);
        own.or_else(openid).or_else(|| self.scopes.get(name).map(|entry| entry.description.as_str()))
    }

    /// The scopes that belong to these resources (RFC 8707 §2). `None`: none was named, or the catalogue names none at all.
    pub fn within<'a>(
        &self,
        resources: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Scope>, &'static str> {
        let mut resources = resources.peekable();
        if resources.peek().is_none() || self.scopes.values().all(|entry| entry.resource.is_empty()) {
            return Ok(None);
        }
        // Who signs in does so here, whatever else is asked for.
        let mut names: Vec<&str> = openid::SCOPES.iter().map(|(name, ..)| *name).list();
        for resource in resources {
            let before = names.len();
            let own = self.scopes.iter().filter(|(_, entry)| entry.resource == resource);
            names.extend(own.map(|(name, _)| name.as_str()));
            if names.len() == before {
                return Err("resource is not one that is registered here");
            }
        }
        Ok(Some(Scope::of(names)))
    }

    /// The resource that a scope belongs to; empty: none.
    fn resource(&self, name: &str) -> &str {
        self.scopes.get(name).map_or("", |entry| entry.resource.as_str())
    }

    /// The resources that a scope is good at.
    pub fn resources(&self, scope: &Scope) -> Vec<&str> {
        let mut resources: Vec<&str> = Vec::new();
        for resource in scope.names().map(|name| self.resource(name)) {
            if !resource.is_empty() && !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        resources
    }

    /// `aud` of a token: its resources, and this server where something of it belongs to none, which means something here
    /// (RFC 9068 §2.2.3, §3).
    pub fn audience<'a>(&'a self, scope: &Scope, issuer: &'a str) -> Vec<&'a str> {
        let mut audience = self.resources(scope);
        if audience.is_empty() || scope.names().any(|name| self.resource(name).is_empty()) {
            audience.push(issuer);
        }
        audience
    }

    /// What a resource server that guards these resources is told of a scope (RFC 7662 §4): nothing of others' resources.
    /// What belongs to none is the issuer's. `None`: the scope is good at none of them.
    pub fn told(&self, resources: &[String], scope: &Scope, issuer: &str) -> Option<Scope> {
        if resources.is_empty() {
            return Some(scope.clone());
        }
        let is_own = |uri: &str| resources.iter().any(|own| own == uri);
        if !self.audience(scope, issuer).into_iter().any(is_own) {
            return None;
        }
        let resource = |name: &str| Some(self.resource(name)).filter(|own| !own.is_empty()).unwrap_or(issuer);
        let is_told = |name: &&str| is_own(resource(name));
        Some(Scope::of(scope.names().filter(is_told)))
    }

    /// All of a scope that administers nothing.
    pub fn plain(scope: &Scope) -> Scope {
        Scope::of(scope.names().filter(|name| OWN.iter().all(|(own, _)| own != name)))
    }

    /// How something is signed of which perhaps something is said.
    pub fn algorithm(&self, said: Option<&str>) -> Algorithm {
        Algorithm::parse(said.unwrap_or(&self.settings.jwt_algorithm)).unwrap_or(Algorithm::Es256)
    }

    /// What a client gets that asks for nothing: never one of the server's own, and nothing of who signs in.
    pub fn usual(scope: &Scope) -> Scope {
        Scope::of(Self::plain(scope).names().filter(|name| !openid::is_scope(name)))
    }

    /// A generated client id: 96 random bits and a short MAC.
    pub fn draw_client_id(&self, dice: [u8; 12]) -> String {
        let id = crate::crypto::name(&dice);
        let mark = self.filter_of(&id);
        format!("{id}{mark}")
    }

    /// True where an id has the form of those that are drawn.
    pub fn draws(id: &str) -> bool {
        id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    }

    /// True where the id has the form of a generated one and its MAC: it was ours once.
    pub fn has_generated(&self, id: &str) -> bool {
        id.is_ascii()
            && id.len() == 22
            && id.split_at_checked(16).is_some_and(|(id, mark)| self.filter_of(id) == mark)
    }

    fn filter_of(&self, id: &str) -> String {
        let Secret(mac) = self.filter.mac(&[b"client", id.as_bytes()]);
        let mut mark = crate::crypto::text(&mac);
        mark.truncate(6);
        mark
    }

    /// A setting in seconds.
    pub fn seconds(&self, of: impl Fn(&Settings) -> u64) -> Seconds {
        Seconds(of(&self.settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_client_ids_are_told_from_invented_ones() {
        let policy = Policy { filter: Secret(vec![7; 32]), ..Policy::default() };
        let id = policy.draw_client_id([3; 12]);
        assert!(policy.has_generated(&id));
        let hyphen = policy.draw_client_id([0xF9; 12]);
        assert!(policy.has_generated(&hyphen) && hyphen.starts_with('A'), "{hyphen} is no option");
        for other in [&id[1..], &id.replace(&id[21..], "_"), "demo-web", "ääääääääääääääääääääää", ""]
        {
            assert!(!policy.has_generated(other) || other == id, "{other}");
        }
    }
}
