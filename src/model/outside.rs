//! Addresses of servers elsewhere, that this one is made to ask. Whoever names such an address could mean one of ours, or of
//! a network that is not the internet: none of those is ever asked.

use super::authority::is_plain;
use fluent_uri::Uri;

/// Names that lead to the machine itself, or into a network that is not the internet (RFC 6761, RFC 6762, RFC 8375, and
/// what is used beside them).
const PRIVATE: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "home.arpa",
    "localdomain",
];

/// The host of an address that may be asked. `laptop`: also one on this machine itself, and there without https.
pub fn host_of(address: &str, laptop: bool) -> Result<&str, &'static str> {
    let uri = Uri::parse(address).map_err(|_| "it is not a URL (RFC 3986)")?;
    let (scheme, rest) = address.split_once("://").ok_or("it is not https")?;
    if uri.has_fragment() {
        return Err("it has a fragment");
    }
    let authority = uri.authority().ok_or("it has no host")?;
    let own = laptop && matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
    if scheme != "https" && !(own && scheme == "http") {
        return Err("it is not https");
    }
    if authority.has_userinfo() {
        return Err("it has user information");
    }
    let written = rest.split(['/', '?']).next().unwrap_or_default();
    if !is_plain(&authority) || written.contains(char::is_uppercase) {
        return Err("its host or port is not written as browsers write them");
    }
    // URLs drop such segments, also where their dots are escaped (WHATWG URL §4.4).
    let is_dots =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if uri.path().as_str().split('/').any(is_dots) {
        return Err("its path has a segment of dots");
    }
    let host = rest.get(..authority.host().len()).unwrap_or_default();
    let below =
        |name: &&str| host.strip_suffix(*name).is_some_and(|front| front.is_empty() || front.ends_with('.'));
    let is_number =
        host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let private = host.starts_with('[') || is_number || !host.contains('.') || PRIVATE.iter().any(below);
    if private && !own { Err("its host is not a name on the internet") } else { Ok(host) }
}

/// Scheme, host and port of an address.
pub fn origin_of(address: &str) -> &str {
    let start = address.find("://").map_or(0, |at| at + 3);
    let length = address.get(start..).and_then(|rest| rest.find(['/', '?', '#']));
    length.and_then(|length| address.get(..start + length)).unwrap_or(address)
}

/// Its host, without the port.
pub fn name_of(address: &str) -> &str {
    let origin = origin_of(address);
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_laptop_asks_itself_and_nobody_else_without_https() {
        for address in
            ["http://localhost:8788/token", "http://127.0.0.1:9/x", "https://localhost/x", "http://[::1]:9/"]
        {
            assert!(host_of(address, true).is_ok(), "{address}");
            assert!(host_of(address, false).is_err(), "{address}");
        }
        for address in [
            "http://as.test/token",
            "http://127.0.0.2/x",
            "http://10.0.0.1/x",
            "https://10.0.0.1/x",
            "http://localhost.evil.test/x",
            "https://app.localhost/x",
            "http://2130706433/x",
            "ftp://localhost/x",
            "http://localhost:0/x",
            "http://LOCALHOST/x",
            "http://me@localhost/x",
            "localhost",
            "",
        ] {
            assert!(host_of(address, true).is_err(), "{address}");
        }
        assert_eq!(host_of("https://as.test:8443/a?b", false), Ok("as.test"));
    }

    #[test]
    fn an_origin_is_what_stands_before_the_path() {
        for (address, origin) in [
            ("https://as.test/token", "https://as.test"),
            ("https://as.test:8443?x", "https://as.test:8443"),
            ("https://as.test", "https://as.test"),
            ("x", "x"),
        ] {
            assert_eq!(origin_of(address), origin);
        }
    }
}
