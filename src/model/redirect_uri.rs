//! Redirect URIs: what may be registered, and when one that is asked for is one that was registered (RFC 6749 §3.1.2,
//! RFC 8252 §7, RFC 9700 §2.1).

use super::authority::is_plain;
use crate::json::Json;
use fluent_uri::Uri;

/// Where a client runs (OpenID Connect Dynamic Registration §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
#[json(lowercase)]
pub enum ApplicationType {
    /// At an address of its own.
    Web,
    /// On the person's machine.
    Native,
}

impl ApplicationType {
    /// Whether a client of this kind may have it: one at a site has addresses of a site. A program has schemes of its own,
    /// loopback addresses, and addresses of a site that its system gives it (RFC 8252 §7).
    pub fn may_have(self, uri: &RedirectUri) -> bool {
        self == Self::Native || (uri.0.starts_with("https://") && !uri.is_loopback())
    }
}

/// An absolute URI that may receive authorization responses. It exists only if it is safe to redirect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Reads a URI: https, http on loopback only, or a private-use scheme with a dot (RFC 8252 §7.1).
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > 2000 {
            return Err("the redirect URI is longer than 2000 characters");
        }
        // The grammar of RFC 3986 has no room for whitespace, control characters or backslashes.
        let uri = Uri::parse(text).map_err(|_| "the redirect URI is not an absolute URI (RFC 3986)")?;
        if uri.has_fragment() {
            return Err("the redirect URI has a fragment"); // RFC 6749 §3.1.2
        }
        let authority = uri.authority();
        if authority.is_some_and(|authority| authority.has_userinfo()) {
            return Err("the redirect URI has user information");
        }
        let scheme = uri.scheme().as_str();
        // Whoever compares them as texts must not find two of one.
        if scheme.contains(|c: char| c.is_ascii_uppercase()) {
            return Err("the scheme of the redirect URI must be in lower case");
        }
        let host = authority.map(|authority| authority.host()).filter(|host| !host.is_empty());
        if is_web(scheme) && host.is_some() && !authority.is_some_and(|authority| is_plain(&authority)) {
            return Err(
                "the host of the redirect URI must be a name of letters, digits, dots and hyphens, or an IP address, and its port a number",
            );
        }
        match (scheme, host) {
            ("https", Some(_)) | ("http", Some("localhost" | "127.0.0.1" | "[::1]")) => {
                Ok(Self(text.to_owned()))
            }
            ("http", Some(_)) => Err("http redirect URIs are for localhost, 127.0.0.1 and [::1] only"),
            ("http" | "https", None) => Err("the redirect URI has no host"),
            // The dot keeps out javascript:, data:, blob:, file: and their kin (RFC 8252 §7.1, RFC 9700 §4.11).
            (private, _) if private.contains('.') => Ok(Self(text.to_owned())),
            _ => Err("the scheme must be https, or a private-use scheme that contains a dot"),
        }
    }

    /// The text, as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True where its query has what an answer has: the client would read the one or the other (RFC 6749 §4.1.2, RFC 9207
    /// §2).
    pub fn speaks_like_an_answer(&self) -> bool {
        let query = self.0.split_once('?').map_or("", |(_, query)| query);
        let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        names.filter_map(|name| percent_encoding::percent_decode_str(name).decode_utf8().ok()).any(|name| {
            matches!(name.as_ref(), "code" | "state" | "iss" | "error" | "error_description" | "error_uri")
        })
    }

    /// True where a request that asks for `asked` means this one: the same text, or the same loopback address at
    /// another port (RFC 8252 §7.3; addresses only, never the name `localhost`, §8.3).
    pub fn admits(&self, asked: &Self) -> bool {
        self == asked
            || without_loopback_port(&self.0).is_some_and(|own| without_loopback_port(&asked.0) == Some(own))
    }

    /// What a content security policy names to let a form's answer go there: the origin, or the scheme where that is
    /// all that can be named. A source of CSP has no form for an IPv6 address (CSP Level 3 §2.3.1).
    pub fn source(&self) -> String {
        let Ok(uri) = Uri::parse(self.0.as_str()) else { return String::new() };
        let scheme = uri.scheme().as_str();
        match uri.authority() {
            Some(authority) if is_web(scheme) && !authority.host().starts_with('[') => {
                format!("{scheme}://{}", authority.as_str().trim_end_matches(':'))
            }
            _ => format!("{scheme}:"),
        }
    }

    /// Whom the person sends the answer to: the host; or the private-use scheme, behind which a host means nothing, with the
    /// colon that no host ends in.
    pub fn host(&self) -> String {
        let Ok(uri) = Uri::parse(self.0.as_str()) else { return String::new() };
        match uri.authority() {
            Some(authority) if is_web(uri.scheme().as_str()) => authority.host().to_owned(),
            _ => format!("{}:", uri.scheme().as_str()),
        }
    }

    /// True where it goes to a host that proves who it is.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// True where the answer goes to the person's own machine, where any program may listen.
    pub fn is_loopback(&self) -> bool {
        if !self.0.starts_with("http://") && !self.0.starts_with("https://") {
            return false; // A scheme can end as a host does.
        }
        let host = self.host().to_ascii_lowercase();
        let address: Option<std::net::Ipv4Addr> = host.parse().ok();
        host == "[::1]"
            || host == "localhost"
            || host.ends_with(".localhost")
            || address.is_some_and(|address| address.is_loopback())
    }
}

fn is_web(scheme: &str) -> bool {
    matches!(scheme, "https" | "http")
}

/// The parts of an http URI on a loopback address before and behind its port.
fn without_loopback_port(text: &str) -> Option<(&str, &str)> {
    let host = ["http://127.0.0.1", "http://[::1]"].into_iter().find(|host| text.starts_with(host))?;
    let rest = text.get(host.len()..)?;
    let rest = match rest.strip_prefix(':') {
        Some(ported) => ported.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn unsafe_redirect_uris_are_refused() {
        for text in [
            "JavaScript:alert(1)",
            "javascript:alert(1)",
            "data:text/html,x",
            "blob:https://a.test/x",
            "file:///etc/passwd",
            " https://a.test/cb",
            "\tjavascript:alert(1)",
            "java\nscript:alert(1)",
            "https://a.test/c b",
            "https://a.test\\@b.test/",
            "https://a.test/cb#f",
            "https://user@a.test/cb",
            "https://user:pass@a.test/cb",
            "https:///cb",
            "http://a.test/cb",
            "http://localhost.evil.test/cb",
            "http://127.0.0.1.evil.test/cb",
            "HTTPS://a.test/cb",
            "https://a.test;script-src/cb",
            "https://a.test,b.test/cb",
            "https://a.test'/cb",
            "https://a%2Etest/cb",
            "https://a.test:99999/cb",
            "https://1.2.3.999/cb",
            "https://a_b.test/cb",
            "https://[v1.x]/cb",
            "http://2130706433/cb",
            "http://[::ffff:127.0.0.1]/cb",
            "//a.test/cb",
            "/cb",
            "",
            "urn:ietf:wg:oauth:2.0:oob",
        ] {
            assert!(RedirectUri::parse(text).is_err(), "{text:?}");
        }
        assert!(RedirectUri::parse(&format!("https://a.test/{}", "x".repeat(2000))).is_err());
    }

    #[test]
    fn comparison_is_exact() {
        let own = uri("https://a.test/cb");
        assert!(own.admits(&uri("https://a.test/cb")));
        for other in [
            "https://a.test/CB",
            "https://A.test/cb",
            "https://a.test/cb/",
            "https://a.test/cb?x=1",
            "https://a.test:443/cb",
            "https://a.test:444/cb",
            "https://b.test/cb",
            "https://a.test/x/../cb",
        ] {
            assert!(!own.admits(&uri(other)), "{other}");
        }
    }

    #[test]
    fn only_loopback_addresses_may_change_their_port() {
        let own = uri("http://127.0.0.1:9999/cb");
        assert!(own.admits(&uri("http://127.0.0.1:1/cb")) && own.admits(&uri("http://127.0.0.1/cb")));
        assert!(uri("http://[::1]/cb").admits(&uri("http://[::1]:8000/cb")));
        for other in ["http://127.0.0.1:1/other", "http://[::1]:9999/cb", "http://localhost:9999/cb"] {
            assert!(!own.admits(&uri(other)), "{other}");
        }
        assert!(!uri("http://localhost:1/cb").admits(&uri("http://localhost:2/cb")));
        assert!(!uri("https://127.0.0.1:1/cb").admits(&uri("https://127.0.0.1:2/cb")));
    }

    #[test]
    fn private_use_schemes_need_a_dot() {
        assert!(
            RedirectUri::parse("com.example.app:/cb").is_ok() && RedirectUri::parse("example:/cb").is_err()
        );
    }

    #[test]
    fn a_content_security_policy_can_name_every_redirect_uri() {
        for (text, source) in [
            ("https://a.test/cb?x=1", "https://a.test"),
            ("http://127.0.0.1:9999/cb", "http://127.0.0.1:9999"),
            ("http://localhost:9999/cb", "http://localhost:9999"),
            ("https://A.test:444/cb", "https://A.test:444"),
            ("https://a.test:/cb", "https://a.test"),
            ("http://[::1]:9999/cb", "http:"),
            ("https://[2001:db8::1]/cb", "https:"),
            ("com.example.app:/cb", "com.example.app:"),
            ("com.example.app://host/cb", "com.example.app:"),
        ] {
            assert_eq!(uri(text).source(), source);
        }
    }

    #[test]
    fn a_person_is_told_the_host_or_the_scheme_whose_program_gets_the_answer() {
        assert_eq!(uri("https://a.test:444/cb").host(), "a.test");
        let app = uri("com.evil.app://accounts.bank.test/cb");
        assert_eq!((app.host().as_str(), app.is_loopback()), ("com.evil.app:", false));
        for text in ["https://LocalHost:9/cb", "https://app.localhost/cb", "https://127.0.0.2/cb"] {
            assert!(uri(text).is_loopback(), "{text}");
        }
        assert!(!uri("com.evil.app://localhost/cb").is_loopback() && uri("http://[::1]/cb").is_loopback());
    }

    #[test]
    fn a_web_application_has_no_address_on_the_persons_machine() {
        for (text, web) in [
            ("https://a.test/cb", true),
            ("https://localhost/cb", false),
            ("https://127.0.0.1/cb", false),
            ("http://127.0.0.1/cb", false),
            ("com.example.app:/cb", false),
        ] {
            assert_eq!(ApplicationType::Web.may_have(&uri(text)), web, "{text}");
            assert!(ApplicationType::Native.may_have(&uri(text)), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = RedirectUri::parse(&text);
        }
    }
}
