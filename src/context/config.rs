//! The configuration of a deployment: mode, issuer, keys. It serves only if all of it makes sense.

use crate::{
    crypto::{self, Keys},
    model::authority::is_plain,
};
use fluent_uri::Uri;
use subtle::ConstantTimeEq as _;

/// The variables and secrets as the deployment has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vars {
    /// `MODE`.
    pub mode: Option<String>,
    /// `ISSUER`.
    pub issuer: Option<String>,
    /// `MASTER_KEY`.
    pub master_key: Option<String>,
    /// `ADMIN_TOKEN`.
    pub admin_token: Option<String>,
}

/// A configuration that makes sense.
pub struct Config {
    /// `issuer`, without a slash at its end. Never taken from a request.
    pub issuer: String,
    /// Development: data that everybody knows, on loopback only.
    pub development: bool,
    /// The master keys of this issuer.
    pub keys: Keys,
    admin: Option<[u8; 32]>,
}

impl Config {
    /// Reads the variables, or says why this deployment must not serve. Never repeats a key.
    pub fn read(vars: &Vars) -> Result<Self, &'static str> {
        let development = vars.mode.as_deref() == Some("development");
        let issuer = vars.issuer.as_deref().unwrap_or_default();
        if issuer.is_empty() {
            return Err("ISSUER is not set");
        }
        check_issuer(issuer, development)?;
        let keys = Keys::parse(vars.master_key.as_deref().unwrap_or_default(), issuer)?;
        let admin = vars.admin_token.as_deref().filter(|token| !token.is_empty());
        if admin.is_some_and(|token| token.len() < 32) {
            return Err("ADMIN_TOKEN is shorter than 32 characters");
        }
        let admin = admin.map(|token| crypto::digest(token.as_bytes()));
        Ok(Self { issuer: issuer.to_owned(), development, keys, admin })
    }

    /// Whether this is `ADMIN_TOKEN`, in constant time. Without one nobody is.
    pub fn is_administrator(&self, token: &str) -> bool {
        self.admin.is_some_and(|own| own.ct_eq(&crypto::digest(token.as_bytes())).into())
    }

    /// Scheme, host and port of the issuer.
    pub fn origin(&self) -> &str {
        &self.issuer
    }

    /// Host and port of the issuer.
    pub fn host(&self) -> &str {
        self.issuer.split_once("://").map_or("", |(_, host)| host)
    }

    /// The name of a cookie: bound to the host and to https, but on a laptop, where not every program would take it.
    pub fn cookie(&self, name: &str) -> String {
        if self.development { name.to_owned() } else { format!("__Host-{name}") }
    }

    /// A cookie for the whole host that scripts cannot read and other sites' forms do not send (RFC 6265bis §5.6.7).
    pub fn set_cookie(&self, name: &str, value: &str, max_age: u64) -> String {
        let secure = if self.development { "" } else { "; Secure" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}", self.cookie(name))
    }
}

/// RFC 8414 §2: https, no query, no fragment. A path is not served yet. Clients compare it as text (RFC 8414 §3.3), and
/// so do we with the host that a browser sends: it must be written as a browser would write it.
fn check_issuer(issuer: &str, development: bool) -> Result<(), &'static str> {
    let uri = Uri::parse(issuer).map_err(|_| "ISSUER is not a URL")?;
    if issuer.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("ISSUER must be in lower case");
    }
    let default = if uri.scheme().as_str() == "https" { "443" } else { "80" };
    let port = uri.authority().and_then(|authority| authority.port());
    if port.is_some_and(|port| {
        port.as_str().is_empty() || port.as_str() == default || port.as_str().starts_with('0')
    }) {
        return Err("ISSUER must not name the port that is the scheme's own, or an empty one");
    }
    let host = uri.authority().map(|authority| authority.host()).unwrap_or_default();
    if host.is_empty() || uri.authority().is_some_and(|authority| authority.has_userinfo()) {
        return Err("ISSUER has no host, or user information");
    }
    if !uri.authority().is_some_and(|authority| is_plain(&authority)) {
        return Err("ISSUER has a host or port that browsers write in another way");
    }
    if !uri.path().as_str().is_empty() || uri.has_query() || uri.has_fragment() {
        return Err("ISSUER must be scheme, host and port only, without a slash at its end");
    }
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match (development, loopback, uri.scheme().as_str()) {
        (true, true, "http" | "https") | (false, _, "https") => Ok(()),
        (true, ..) => Err("MODE is development, and ISSUER is not loopback"),
        (false, ..) => Err("ISSUER is not https"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(mode: &str, issuer: &str) -> Vars {
        Vars {
            mode: Some(mode.into()),
            issuer: Some(issuer.into()),
            master_key: Some("a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into()),
            admin_token: Some("0123456789012345678901234567890123456789".into()),
        }
    }

    fn why(vars: &Vars) -> Option<&'static str> {
        Config::read(vars).err()
    }

    #[test]
    fn development_is_for_loopback_and_production_for_https() {
        assert_eq!(why(&vars("development", "http://localhost:8787")), None);
        assert_eq!(why(&vars("production", "https://as.test")), None);
        assert!(why(&vars("development", "https://as.test")).is_some());
        assert!(why(&vars("development", "http://localhost.evil.test")).is_some());
        assert!(why(&vars("production", "http://localhost:8787")).is_some());
        assert!(why(&vars("", "http://as.test")).is_some());
        for issuer in
            ["", "as.test", "https://as.test/", "https://as.test?x", "https://a@as.test", "https://as.test/x"]
        {
            assert!(why(&vars("production", issuer)).is_some(), "{issuer}");
        }
    }

    #[test]
    fn an_issuer_is_written_as_browsers_write_it() {
        for issuer in [
            "https://AS.test",
            "HTTPS://as.test",
            "https://as.test:443",
            "https://as.test:",
            "https://as.test:0443",
        ] {
            assert!(why(&vars("production", issuer)).is_some(), "{issuer}");
        }
        assert!(why(&vars("development", "http://localhost:80")).is_some());
        assert_eq!(why(&vars("production", "https://as.test:8443")), None);
        assert_eq!(why(&vars("development", "http://localhost:443")), None);
    }

    #[test]
    fn keys_must_be_there_and_long_enough() {
        let good = vars("production", "https://as.test");
        assert!(why(&Vars { master_key: None, ..good.clone() }).is_some());
        assert!(why(&Vars { master_key: Some("a:AAAA".into()), ..good.clone() }).is_some());
        assert!(why(&Vars { admin_token: Some("short".into()), ..good.clone() }).is_some());
        assert!(
            Config::read(&Vars { admin_token: None, ..good })
                .is_ok_and(|config| !config.is_administrator(""))
        );
    }

    #[test]
    fn cookies_are_bound_to_the_host_in_production() {
        let config =
            Config::read(&vars("production", "https://as.test")).unwrap_or_else(|why| panic!("{why}"));
        let cookie = config.set_cookie("session", "v", 60);
        assert_eq!(cookie, "__Host-session=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
    }
}
