//! What a scope opens, and whether a request lies inside: the last step of the authorization code grant, in which a
//! resource is asked for.
//!
//! Who asks has a request at hand that was not passed on yet. Its path is decoded once and compared segment by segment. A
//! path that two servers could read as two paths (`..`, `//`, `%2F`) is none: what is let through as one would be served
//! as the other.

use super::{
    outside::origin_of,
    policy::{Policy, ScopeEntry},
    scope::Scope,
};
use crate::list::List as _;
use crate::wire;

/// A request to a resource, as far as it decides: its method, and the segments of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    method: String,
    segments: Vec<String>,
    /// Scheme, host and port, where whoever asks knows them.
    origin: Option<String>,
}

impl Target {
    /// Of a method and of the address as it was sent: path and query, of which the query takes no part.
    pub fn parse(method: &str, address: &str) -> Result<Self, &'static str> {
        let path = address.split('?').next().unwrap_or_default();
        Ok(Self { method: method.to_owned(), segments: split(path)?, origin: None })
    }

    /// At this origin: what belongs to a resource elsewhere opens nothing here.
    #[must_use]
    pub fn at(mut self, origin: Option<String>) -> Self {
        self.origin = origin;
        self
    }

    /// The segments of its path, decoded.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }
}

/// Who asks for a resource, and the groups they have.
#[derive(Clone, Copy, Debug)]
pub enum Asker<'a> {
    /// The person who gave the token.
    Person(&'a [String]),
    /// A client that acts for itself.
    Client(&'a [String]),
    /// Somebody of another server, who is in no group here.
    Stranger,
}

/// What is said about a request to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may pass.
    Allowed,
    /// It is not inside the token's scope. This scope would open it.
    Beyond(Option<String>),
    /// It is inside, and who asks has none of the groups for it.
    Forbidden,
}

/// Whether this names a protected resource (RFC 8707 §2): an absolute URI without a fragment.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= 500 && fluent_uri::Uri::parse(text).is_ok_and(|uri| !uri.has_fragment())
}

/// Whether a token of this scope opens the target to who asks.
pub fn decide(policy: &Policy, scope: &Scope, asker: Asker<'_>, target: &Target) -> Decision {
    let prefix = &policy.settings.compat_prefix;
    let own = scope.names().filter_map(|name| policy.scopes.get(name));
    let mut inside = own.filter(|entry| opens(entry, target, prefix)).peekable();
    if inside.peek().is_some() {
        return if inside.any(|entry| admits(entry, asker)) {
            Decision::Allowed
        } else {
            Decision::Forbidden
        };
    }
    let mut others = policy.scopes.iter().filter(|(_, entry)| opens(entry, target, prefix));
    let first = others.next();
    let better = first.into_iter().chain(others).find(|(_, entry)| admits(entry, asker));
    Decision::Beyond(better.or(first).map(|(name, _)| name.clone()))
}

fn admits(entry: &ScopeEntry, asker: Asker<'_>) -> bool {
    let (demanded, groups) = match asker {
        Asker::Person(groups) => (&entry.groups, groups),
        Asker::Client(groups) => (&entry.client_groups, groups),
        Asker::Stranger => return entry.groups.is_empty() && entry.client_groups.is_empty(),
    };
    demanded.is_empty() || demanded.iter().any(|group| groups.contains(group))
}

fn opens(entry: &ScopeEntry, target: &Target, prefix: &str) -> bool {
    let path = target.segments.as_slice();
    let theirs = within(path, prefix);
    let elsewhere = |origin: &String| !entry.resource.is_empty() && origin_of(&entry.resource) != origin;
    if target.origin.as_ref().is_some_and(elsewhere) {
        return false;
    }
    entry.urls.iter().any(|url| Template::parse(url).is_ok_and(|template| template.fits(target)))
        || entry
            .folders
            .iter()
            .filter_map(|folder| read_folder(folder).ok())
            .any(|folder| path.starts_with(&folder) || theirs.is_some_and(|path| is_in_folder(path, &folder)))
        || entry.services.iter().filter_map(|service| read_service(service).ok()).any(|service| {
            is_service(path, &service) || theirs.is_some_and(|path| is_service(path, &service))
        })
}

/// What stands behind webMethods' prefix.
fn within<'a>(path: &'a [String], prefix: &str) -> Option<&'a [String]> {
    let mut rest = path;
    for segment in prefix.split('/') {
        rest = rest.split_first().filter(|(first, _)| *first == segment)?.1;
    }
    Some(rest)
}

/// As webMethods writes them: `folder/service`, `folder:service`, and a folder in the folder as `folder.inner`.
fn is_in_folder(path: &[String], folder: &[String]) -> bool {
    let (Some((last, parents)), Some(rest)) = (folder.split_last(), path.get(folder.len() - 1..)) else {
        return false;
    };
    let inside = |rest: &str| rest.is_empty() || rest.starts_with(':') || rest.starts_with('.');
    path.starts_with(parents)
        && rest.first().is_some_and(|own| own.strip_prefix(last.as_str()).is_some_and(inside))
}

fn is_service(path: &[String], (folder, name): &(Vec<String>, String)) -> bool {
    let apart = path.split_last().is_some_and(|(last, parents)| last == name && parents == folder);
    let together = || {
        let (last, parents) = folder.split_last()?;
        let (own, before) = path.split_last()?;
        Some(before == parents && own.strip_prefix(last.as_str())?.strip_prefix(':')? == name)
    };
    apart || together().unwrap_or(false)
}

/// `GET /orders/{id}`: a method, or `*` for any, and a path in which `{…}` stands for one segment that is not empty.
/// webMethods writes it `GET_orders/{id}`.
struct Template {
    method: String,
    /// `None` for any.
    segments: Vec<Option<String>>,
}

impl Template {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let pair = text.split_once(' ').or_else(|| text.split_once('_'));
        let (method, path) = pair.ok_or("is no method and path, such as GET /orders/{id}")?;
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        if method != "*" && !is_method {
            return Err("begins with no method in capitals, and with no asterisk for any");
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        // As it is written: a brace that is escaped is one of the path itself.
        let segment = |(raw, segment): (&str, String)| match raw
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Ok(None),
            None if !raw.contains(['{', '}']) => Ok(Some(segment)),
            _ => Err("has a variable that is no whole segment, such as {id}"),
        };
        let raw = path.split('/').skip(1);
        let segments = raw.zip(read_path(&path)?).map(segment).list_or_error()?;
        Ok(Self { method: method.to_owned(), segments })
    }

    fn fits(&self, target: &Target) -> bool {
        // RFC 9110 §9.3.2: HEAD is GET without its content.
        let method = if target.method == "HEAD" && self.method == "GET" { "GET" } else { &target.method };
        let same = |(own, given): (&Option<String>, &String)| match own {
            Some(own) => own == given,
            None => !given.is_empty(),
        };
        (self.method == "*" || self.method == method)
            && self.segments.len() == target.segments.len()
            && self.segments.iter().zip(&target.segments).all(same)
    }
}

/// Whether a scope may be said to open this URL.
pub fn check_url(text: &str) -> Result<(), &'static str> {
    Template::parse(text).map(|_| ())
}

/// Whether a scope may be said to open this folder.
pub fn check_folder(text: &str) -> Result<(), &'static str> {
    read_folder(text).map(|_| ())
}

/// Whether a scope may be said to open this service.
pub fn check_service(text: &str) -> Result<(), &'static str> {
    read_service(text).map(|_| ())
}

fn read_folder(text: &str) -> Result<Vec<String>, &'static str> {
    let text = text.trim_matches('/');
    if text.is_empty() || text.contains(['{', '}']) {
        return Err("is no name of a folder, such as reports or orders.api");
    }
    read_path(&format!("/{text}"))
}

fn read_service(text: &str) -> Result<(Vec<String>, String), &'static str> {
    let pair = text.rsplit_once(':').or_else(|| text.rsplit_once('/'));
    let (folder, name) = pair.ok_or("is no folder and service, such as orders.api:list")?;
    let [name] = <[String; 1]>::try_from(read_path(&format!("/{name}"))?)
        .map_err(|_| "has a service that is more than one segment")?;
    if name.is_empty() || name.contains(['{', '}', ':']) {
        return Err("is no folder and service, such as orders.api:list");
    }
    Ok((read_folder(folder)?, name))
}

/// The path of something that an administrator writes.
fn read_path(path: &str) -> Result<Vec<String>, &'static str> {
    if path.contains('?') {
        return Err("has a query, of which nothing is decided");
    }
    split(path)
}

/// The segments of a path, decoded once (RFC 3986 §2.4).
fn split(path: &str) -> Result<Vec<String>, &'static str> {
    let rest = path.strip_prefix('/').ok_or("is a path that does not begin with a slash")?;
    let mut segments = Vec::new();
    let mut raw = rest.split('/').peekable();
    while let Some(segment) = raw.next() {
        if segment.is_empty() && raw.peek().is_some() {
            return Err("is a path with two slashes in a row");
        }
        segments.push(decode(segment)?);
    }
    Ok(segments)
}

/// Escapes that a server makes something else of, which decodes twice.
const ESCAPES: &[&str] = &["%2e", "%2f", "%5c", "%00", "%25", "%3b", "%3f", "%23"];

fn decode(segment: &str) -> Result<String, &'static str> {
    // In a path, unlike in a form, a plus is a plus.
    let text = wire::decode(segment.replace('+', "%2B").as_bytes());
    let text = text.filter(|_| !segment.contains('#')).ok_or("is a path with a bad escape")?;
    // Servers that know parameters of a segment (RFC 3986 §3.3) take `..;x` for `..`.
    let name = text.split(';').next().unwrap_or_default();
    if matches!(name, "." | "..") {
        return Err("is a path with a dot segment");
    }
    if name.is_empty() && !text.is_empty() {
        return Err("is a path with a segment that is parameters alone");
    }
    let parts = |c: char| matches!(c, '/' | '\\' | '?' | '#') || c.is_control();
    // And some decode twice.
    let again = text.to_ascii_lowercase();
    if text.contains(parts) || ESCAPES.iter().any(|escape| again.contains(escape)) {
        return Err("is a path with an escape that some server would read as another path");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorted::ByName;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn entry(urls: &[&str], folders: &[&str], services: &[&str]) -> ScopeEntry {
        ScopeEntry {
            urls: texts(urls),
            folders: texts(folders),
            services: texts(services),
            ..ScopeEntry::default()
        }
    }

    fn opened(entry: &ScopeEntry, request: &str) -> bool {
        let (method, address) = request.split_once(' ').unwrap();
        Target::parse(method, address).is_ok_and(|target| opens(entry, &target, "invoke"))
    }

    #[test]
    fn a_template_fits_whole_segments_and_its_method() {
        let orders = entry(&["GET /orders", "GET /orders/{id}", "PUT_ns/caf%C3%A9/{id}"], &[], &[]);
        for yes in [
            "GET /orders",
            "HEAD /orders",
            "GET /orders?x=../..",
            "GET /orders/7",
            "GET /orders/a%20b",
            "GET /%6Frders/7",
            "PUT /ns/caf%C3%A9/1",
            "GET /orders/a+b;v=1",
            "GET /orders/..7",
        ] {
            assert!(opened(&orders, yes), "{yes}");
        }
        for no in [
            "POST /orders",
            "GET /orders/",
            "GET /orders/7/lines",
            "GET /Orders",
            "GET /",
            "GET /order",
            "get /orders",
            "HEAD /ns/caf%C3%A9/1",
            "GET /orders%2F7",
            "GET /orders/%2E%2E",
            "GET /orders/..",
            "GET /orders/.",
            "GET //orders",
            "GET /orders//7",
            "GET /orders/%2e%2e;x",
            "GET /orders/%252e%252e",
            "GET /orders/..;/x",
            "GET /orders/a%5Cb",
            "GET /orders/a\\b",
            "GET /orders/%00",
            "GET /orders/%zz",
            "GET /orders/%",
            "GET /orders/%FF",
            "GET orders",
            "GET ",
            "GET http://a.test/orders",
            "GET /orders/7#x",
            "GET /orders/;x",
            "GET /orders/%3Bx",
            "GET /orders/7%3Fx",
            "GET /orders/7%23x",
            "GET /orders/..%253Bx",
        ] {
            assert!(!opened(&orders, no), "{no}");
        }
        assert!(opened(&entry(&["* /any"], &[], &[]), "PURGE /any"));
        let braces = entry(&["GET /a/%7Bid%7D"], &[], &[]);
        assert!(opened(&braces, "GET /a/%7Bid%7D") && !opened(&braces, "GET /a/7"));
    }

    #[test]
    fn a_folder_opens_what_is_in_it_and_a_service_itself() {
        let reports = entry(&[], &["reports", "/a/b/"], &[]);
        for yes in [
            "GET /reports",
            "GET /reports/",
            "POST /reports/2026/q1",
            "GET /invoke/reports/daily",
            "GET /invoke/reports:daily",
            "GET /invoke/reports.old:daily",
            "GET /invoke/reports.old/daily",
            "GET /a/b/c",
            "GET /invoke/a/b:c",
        ] {
            assert!(opened(&reports, yes), "{yes}");
        }
        for no in [
            "GET /reports2",
            "GET /reports:daily",
            "GET /reports.old/daily",
            "GET /invoke/reports2/daily",
            "GET /invoke",
            "GET /invoke/",
            "GET /x/reports/daily",
            "GET /a",
            "GET /a/c",
            "GET /reports/../secret",
            "GET /reports/..;/secret",
        ] {
            assert!(!opened(&reports, no), "{no}");
        }
        let list = entry(&[], &[], &["orders.api:list", "orders/api/show"]);
        for yes in [
            "GET /invoke/orders.api/list",
            "POST /invoke/orders.api:list",
            "GET /orders.api/list",
            "GET /orders/api/show",
            "GET /orders/api:show",
        ] {
            assert!(opened(&list, yes), "{yes}");
        }
        for no in ["GET /invoke/orders.api/lists", "GET /invoke/orders.api", "GET /invoke/orders.api/list/x"]
        {
            assert!(!opened(&list, no), "{no}");
        }
    }

    #[test]
    fn what_cannot_be_decided_by_is_not_kept() {
        for url in [
            "",
            "/orders",
            "GET",
            "get /orders",
            "GET /orders/{id",
            "GET /orders/x{id}",
            "GET /a/../b",
            "GET /a?b",
            "GET /{}",
            "GET //a",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        for folder in ["", "/", "a//b", "..", "a/{b}", "a?b", "a%2Fb"] {
            assert!(check_folder(folder).is_err(), "{folder}");
        }
        for service in ["", "list", ":list", "orders:", "orders:a/b", "a:{b}", "/list"] {
            assert!(check_service(service).is_err(), "{service}");
        }
        assert!(
            check_url("GET /").is_ok() && check_url("* /a/{b}/c").is_ok() && check_url("GET_ns/p").is_ok()
        );
    }

    #[test]
    fn scope_comes_before_group_and_a_scope_that_suffices_is_named() {
        let staff = |groups: &[&str], urls: &[&str]| ScopeEntry {
            groups: texts(groups),
            client_groups: texts(&["robots"]),
            ..entry(urls, &[], &[])
        };
        let policy = Policy {
            scopes: ByName::from_iter([
                ("a.staff".to_owned(), staff(&["staff"], &["GET /a"])),
                ("b.all".to_owned(), staff(&[], &["GET /a", "GET /b"])),
            ]),
            ..Policy::default()
        };
        let target = |address: &str| Target::parse("GET", address).unwrap();
        let say = |scope: &str, asker: Asker<'_>, address: &str| {
            decide(&policy, &Scope::parse(scope).unwrap(), asker, &target(address))
        };
        let (nobody, staff, robots) = (texts(&[]), texts(&["staff", "x"]), texts(&["robots"]));
        let beyond = |name: &str| Decision::Beyond(Some(name.to_owned()));
        assert_eq!(say("a.staff", Asker::Person(&staff), "/a"), Decision::Allowed);
        assert_eq!(say("a.staff", Asker::Person(&nobody), "/a"), Decision::Forbidden);
        assert_eq!(say("a.staff b.all", Asker::Person(&nobody), "/a"), Decision::Allowed);
        assert_eq!(say("other", Asker::Person(&staff), "/a"), beyond("a.staff"));
        assert_eq!(say("other", Asker::Person(&nobody), "/a"), beyond("b.all"));
        assert_eq!(say("a.staff", Asker::Person(&staff), "/b"), beyond("b.all"));
        assert_eq!(say("a.staff", Asker::Person(&staff), "/c"), Decision::Beyond(None));
        // A client is in groups of clients, whatever those of people are called.
        assert_eq!(say("a.staff", Asker::Client(&staff), "/a"), Decision::Forbidden);
        assert_eq!(say("a.staff", Asker::Client(&robots), "/a"), Decision::Allowed);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_one_path_or_none(text: String, tail in "[a-z./;%#?\\\\ 0-9A-F]{0,12}") {
            for address in [text.clone(), format!("/{text}"), format!("/reports/{tail}")] {
                if let Ok(target) = Target::parse("GET", &address) {
                    let path = address.split('?').next().unwrap();
                    proptest::prop_assert_eq!(target.segments.len(), path.matches('/').count(), "{}", address);
                    let inner = target.segments.split_last().map(|(_, inner)| inner).unwrap_or_default();
                    proptest::prop_assert!(inner.iter().all(|segment| !segment.is_empty()), "{}", address);
                    let odd = |segment: &String| {
                        segment.contains(['/', '\\', '?', '#']) || segment.starts_with(['.', ';']) && {
                            matches!(segment.split(';').next(), Some("" | "." | ".."))
                        }
                    };
                    proptest::prop_assert!(!target.segments.iter().any(odd), "{}", address);
                }
            }
            let _ = (check_url(&text), check_folder(&text), check_service(&text));
            let _ = (check_url(&format!("GET /{tail}")), check_folder(&tail), check_service(&tail));
        }
    }
}
