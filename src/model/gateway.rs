//! Routes of the gateway: which requests are passed on, and to which server.
//!
//! Each is `host/prefix=origin`, and a space stands between two. Of those that fit, the one with the longest prefix is
//! meant. A prefix is compared as what a scope opens: by whole segments, decoded.

use super::{
    authority::is_plain,
    outside::{host_of, origin_of},
    resource::Target,
};
use fluent_uri::{Uri, component::Authority};

/// What is told of a text that has no such form.
const DEMAND: &str =
    "must be routes such as api.example/orders=https://orders.example, separated by single spaces";

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// The host that requests come to, and its port where that is not the usual one.
    pub host: &'a str,
    /// What their paths begin with; empty for all.
    pub prefix: &'a str,
    /// Scheme, host and port of the server that gets them.
    pub origin: &'a str,
}

impl<'a> Route<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (from, origin) = text.split_once('=')?;
        let (host, prefix) = from.split_at_checked(from.find('/').unwrap_or(from.len()))?;
        Some(Self { host, prefix, origin })
    }

    /// Refuses what no request could come by, or could not be passed on by. Gives the host of the origin.
    fn check(&self) -> Result<&'a str, &'static str> {
        let uri = format!("https://{}", self.host);
        let is_host = |own: Authority<'_>| own.as_str() == self.host && is_plain(&own);
        let plain = Uri::parse(uri.as_str()).is_ok_and(|uri| uri.authority().is_some_and(is_host));
        // The usual ports stand in no address.
        let port = self.host.rsplit_once(':').map_or("-", |(_, port)| port);
        if !plain || self.host.contains(char::is_uppercase) || matches!(port, "" | "80" | "443") {
            return Err("its host is not written as browsers write it");
        }
        let is_written =
            |target: Target| Some(&*target.segments().join("/")) == self.prefix.strip_prefix('/');
        let whole = Target::parse("GET", self.prefix).is_ok_and(is_written) && !self.prefix.ends_with('/');
        if !whole && !self.prefix.is_empty() {
            return Err("its prefix is not whole segments, without escapes and without a slash at the end");
        }
        if origin_of(self.origin) != self.origin {
            return Err("its origin is more than scheme, host and port");
        }
        host_of(self.origin, true).map_err(|_| "its origin is not https to a name on the internet")
    }

    fn covers(&self, segments: &[String]) -> bool {
        let mut given = segments.iter();
        self.prefix.split('/').skip(1).all(|own| given.next().is_some_and(|given| given == own))
    }
}

/// The routes of a text, as far as they read.
pub fn read(routes: &str) -> impl Iterator<Item = Route<'_>> {
    routes.split(' ').filter_map(Route::read)
}

/// Whether routes may be written like this; else what to tell the administrator.
pub fn check(routes: &str) -> Result<(), String> {
    for text in routes.split(' ').filter(|_| !routes.is_empty()) {
        let route = Route::read(text).ok_or(DEMAND)?;
        let refused = |why: &str| Err(format!("{text}: {why}"));
        let origin = match route.check() {
            Ok(origin) => origin,
            Err(why) => return refused(why),
        };
        if read(routes).filter(|other| (other.host, other.prefix) == (route.host, route.prefix)).count() > 1 {
            return refused("its host and prefix are there twice");
        }
        // Whatever the port: it would come back here.
        if read(routes).any(|other| other.host.split(':').next() == Some(origin)) {
            return refused("its origin is the host of a route");
        }
    }
    Ok(())
}

/// The routes of a host.
pub fn of_host<'a>(routes: &'a str, host: &str) -> impl Iterator<Item = Route<'a>> {
    read(routes).filter(move |route| route.host.eq_ignore_ascii_case(host))
}

/// Where a request to this host, with a path of these segments, is passed on to.
pub fn find<'a>(routes: &'a str, host: &str, segments: &[String]) -> Option<&'a str> {
    let fitting = of_host(routes, host).filter(|route| route.covers(segments));
    // Of two that fit one begins with the other.
    fitting.max_by_key(|route| route.prefix.len()).map(|route| route.origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "api.test=https://rest.test api.test/orders=https://orders.test:8443 \
        api.test/orders/old=http://localhost:3000 other.test:8080/orders=https://other.example";

    fn found(routes: &'static str, host: &str, path: &str) -> Option<&'static str> {
        find(routes, host, Target::parse("GET", path).unwrap().segments())
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_is_meant() {
        assert_eq!(check(ROUTES), Ok(()));
        for (path, origin) in [
            ("/", "https://rest.test"),
            ("/order", "https://rest.test"),
            ("/orders2", "https://rest.test"),
            ("/Orders", "https://rest.test"),
            ("/orders", "https://orders.test:8443"),
            ("/orders/", "https://orders.test:8443"),
            ("/orders/7?x=/orders/old", "https://orders.test:8443"),
            ("/orders/old2", "https://orders.test:8443"),
            ("/orders/old", "http://localhost:3000"),
            ("/%6Frders/ol%64/7", "http://localhost:3000"),
        ] {
            assert_eq!(found(ROUTES, "api.test", path), Some(origin), "{path}");
        }
        assert_eq!(found(ROUTES, "API.test", "/"), Some("https://rest.test"));
        assert_eq!(found(ROUTES, "other.test:8080", "/orders"), Some("https://other.example"));
        for (host, path) in [
            ("other.test:8080", "/"),
            ("other.test", "/orders"),
            ("api.test:8080", "/orders"),
            ("xapi.test", "/orders"),
            ("", "/orders"),
        ] {
            assert_eq!(found(ROUTES, host, path), None, "{host}{path}");
        }
        assert_eq!(found("", "", "/"), None);
    }

    #[test]
    fn what_no_request_can_be_passed_on_by_is_no_route() {
        for routes in [
            " ",
            "api.test",
            "=",
            "api.test=",
            "=https://rest.test",
            "api.test/orders",
            "api.test=https://rest.test ",
            "api.test=https://rest.test  b.test=https://rest.test",
            "https://api.test=https://rest.test",
            "API.test=https://rest.test",
            "api.test:443=https://rest.test",
            "api.test:80=https://rest.test",
            "api.test:=https://rest.test",
            "api.test:x=https://rest.test",
            "me@api.test=https://rest.test",
            "*.test=https://rest.test",
            "api.test?x=https://rest.test",
            "api.test/=https://rest.test",
            "api.test/a/=https://rest.test",
            "api.test//a=https://rest.test",
            "api.test/a/../b=https://rest.test",
            "api.test/%61=https://rest.test",
            "api.test/a?b=https://rest.test",
            "api.test/a#b=https://rest.test",
            "api.test=https://rest.test/",
            "api.test=https://rest.test/base",
            "api.test=https://rest.test?x",
            "api.test=https://me@rest.test",
            "api.test=http://rest.test",
            "api.test=ftp://rest.test",
            "api.test=rest.test",
            "api.test=https://10.0.0.1",
            "api.test=https://intranet",
            "api.test=http://localhost.evil.test",
            "api.test=https://a.test api.test=https://b.test",
            "api.test/a=https://a.test api.test/a=https://b.test",
            "api.test=https://api.test",
            "api.test=https://api.test:8443",
            "api.test:8443=https://b.test b.test=https://api.test",
        ] {
            assert!(check(routes).is_err(), "{routes}");
        }
        for routes in ["", "api.test=http://127.0.0.1:3000", "api.localhost:8787/é=https://rest.test"] {
            assert_eq!(check(routes), Ok(()), "{routes}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_request_goes_where_the_longest_of_its_own_beginnings_has_a_route(
            routes in proptest::collection::btree_set("(a|b)(:8080)?(/x|/y|/xx){0,3}", 0..12),
            host in "(a|b|c)(:8080)?", path in "(/x|/y|/xx|/%78|/){0,4}",
        ) {
            let written: Vec<String> =
                routes.iter().enumerate().map(|(n, from)| format!("{from}=https://o{n}.test")).collect();
            let text = written.join(" ");
            proptest::prop_assert_eq!(check(&text), Ok(()));
            let Ok(target) = Target::parse("GET", &path) else { return Ok(()) };
            let segments = target.segments();
            let mut beginnings = (0..=segments.len()).rev().map(|count| {
                segments[..count].iter().fold(host.clone(), |front, segment| format!("{front}/{segment}"))
            });
            let route = beginnings.find_map(|from| routes.iter().position(|own| *own == from));
            let origin = route.map(|n| format!("https://o{n}.test"));
            proptest::prop_assert_eq!(find(&text, &host, segments), origin.as_deref());
        }

        #[test]
        fn any_text_is_routes_or_is_refused(any: String, near in "[aA:.8/%=* ]{0,8}=?(https://c\\.test)?[/ ]?") {
            for text in [any, near] {
                if check(&text).is_ok() {
                    for route in read(&text) {
                        proptest::prop_assert!(host_of(route.origin, true).is_ok(), "{}", text);
                        let address = format!("https://{}", route.host);
                        proptest::prop_assert!(Uri::parse(address.as_str()).is_ok(), "{}", text);
                    }
                }
            }
        }
    }
}
