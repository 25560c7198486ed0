//! Host and port of a URL, as browsers write them and a content security policy can name them. RFC 3986 allows more, and
//! what allows more is compared wrongly somewhere.

use fluent_uri::component::Authority;
use std::net::{Ipv4Addr, Ipv6Addr};

/// True for a name of DNS, four numbers of IPv4, or IPv6 in brackets; behind it nothing, or a port.
pub fn is_plain(authority: &Authority<'_>) -> bool {
    let port = authority.port().map(fluent_uri::pct_enc::EStr::as_str);
    // An empty port is that of the scheme (RFC 3986 §3.2.3).
    let ported = port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0));
    ported && !authority.has_userinfo() && is_host(authority.host())
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // In one form only (RFC 5952): another one would be another text.
        return address.parse::<Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address);
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let numeric = host.rsplit('.').next().is_some_and(|last| {
        // What ends in a number is read as an IPv4 address, in whatever base (WHATWG URL §4.5).
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X")
    });
    host.len() <= 253 && host.split('.').all(label) && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(authority: &str) -> bool {
        let text = format!("https://{authority}/");
        fluent_uri::Uri::parse(text.as_str())
            .is_ok_and(|uri| uri.authority().is_some_and(|found| is_plain(&found)))
    }

    #[test]
    fn names_and_addresses_are_plain_in_one_form() {
        for authority in [
            "a.test",
            "A.test:444",
            "localhost",
            "localhost:8787",
            "127.0.0.1",
            "[::1]:9",
            "[2001:db8::1]",
            "xn--bcher-kva.test",
            "a.test:",
        ] {
            assert!(plain(authority), "{authority}");
        }
    }

    #[test]
    fn what_browsers_would_write_in_another_way_is_not() {
        for authority in [
            "",
            ".",
            "a..test",
            ".a.test",
            "a.test.",
            "a_b.test",
            "a%2Etest",
            "a;b.test",
            "a,b.test",
            "a'.test",
            "*",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "1.2.3.999",
            "1.2.3",
            "01.2.3.4",
            "[0:0:0:0:0:0:0:1]",
            "[::FFFF:1.2.3.4]",
            "[v1.x]",
            "a.test:0",
            "a.test:65536",
            "a.test:99999",
            "u@a.test",
        ] {
            assert!(!plain(authority), "{authority}");
        }
    }
}
