//! The settings: one table of what there is, under the names and in the forms of the wire.

use super::{gateway, outside::origin_of, redirect_uri::RedirectUri, resource};
use crate::{
    host::Algorithm,
    json::{Json, json},
};
use serde_json::{Map, Value};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// What it may be.
    pub form: Form,
    /// What it means, in a sentence.
    pub about: &'static str,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A whole number, in the unit that the key names.
    Number {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
        /// Where nothing is said.
        default: u64,
        /// Whether it may be [`NEVER`].
        never: bool,
    },
    /// `true` or `false`; and which where nothing is said.
    Switch(bool),
    /// One of these; the first where nothing is said.
    Choice(&'static [&'static str]),
    /// A text of at most so many bytes.
    Text {
        /// The most bytes.
        longest: usize,
        /// Where nothing is said.
        default: &'static str,
    },
}

/// A lifetime without an end; -1 on the wire.
pub const NEVER: u64 = u64::MAX;

/// A length of time in seconds that may be [`NEVER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(pub u64);

impl Json for Lifetime {
    fn blank() -> Self {
        Self(NEVER)
    }

    fn read(&mut self, tree: Value) -> bool {
        let read = tree.as_i64().and_then(|seconds| Self::try_from(seconds).ok());
        read.map(|read| *self = read).is_some()
    }

    fn write(&self, text: &mut String) {
        i64::from(*self).write(text);
    }
}

impl From<Lifetime> for i64 {
    fn from(Lifetime(seconds): Lifetime) -> Self {
        Self::try_from(seconds).unwrap_or(-1)
    }
}

impl TryFrom<i64> for Lifetime {
    type Error = &'static str;

    fn try_from(seconds: i64) -> Result<Self, &'static str> {
        match u64::try_from(seconds) {
            Ok(seconds) => Ok(Self(seconds)),
            Err(_) if seconds == -1 => Ok(Self(NEVER)),
            Err(_) => Err("neither a length of time nor -1"),
        }
    }
}

impl Form {
    /// What it is where nothing is said, as it is shown.
    pub fn default(self) -> Value {
        match self {
            Self::Number { default, .. } => json!(default),
            Self::Switch(default) => json!(default),
            Self::Choice(names) => json!(names.first()),
            Self::Text { default, .. } => json!(default),
        }
    }

    /// What it must be.
    pub fn demand(self) -> String {
        match self {
            Self::Number { least, most, never, .. } => {
                let or = if never { ", or -1, which is never" } else { "" };
                format!("must be a whole number from {least} to {most}{or}")
            }
            Self::Switch(_) => "must be true or false".to_owned(),
            Self::Choice(names) => format!("must be one of {}", names.join(", ")),
            Self::Text { longest, .. } => {
                format!("must be a text of at most {longest} bytes, without control characters")
            }
        }
    }

    fn number(self, value: &Value) -> Result<u64, String> {
        let Self::Number { least, most, default, never } = self else { return Err(self.demand()) };
        match value {
            // RFC 7396: null takes the member away, back to its default.
            Value::Null => Ok(default),
            value if never && value.as_i64() == Some(-1) => Ok(NEVER),
            value => {
                value.as_u64().filter(|number| (least..=most).contains(number)).ok_or_else(|| self.demand())
            }
        }
    }

    fn switch(self, value: &Value) -> Result<bool, String> {
        match (self, value) {
            (Self::Switch(default), Value::Null) => Ok(default),
            (_, Value::Bool(truth)) => Ok(*truth),
            // As exports of before have it.
            (_, number) => match number.as_u64() {
                Some(number @ 0..=1) => Ok(number == 1),
                _ => Err(self.demand()),
            },
        }
    }

    fn text(self, value: &Value) -> Result<String, String> {
        match (self, value) {
            (Self::Choice(names), Value::Null) => Ok(names.first().copied().unwrap_or_default().to_owned()),
            (Self::Choice(names), Value::String(name)) if names.contains(&name.as_str()) => Ok(name.clone()),
            (Self::Text { default, .. }, Value::Null) => Ok(default.to_owned()),
            (Self::Text { longest, .. }, Value::String(text))
                if text.len() <= longest && !text.chars().any(char::is_control) =>
            {
                Ok(text.clone())
            }
            _ => Err(self.demand()),
        }
    }
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(plain)
}

fn is_https(text: &str) -> bool {
    // A content security policy has no form for an IPv6 address.
    text.starts_with("https://") && !text.starts_with("https://[") && RedirectUri::parse(text).is_ok()
}

/// A switch that is kept as one, or as the 0 or 1 that some were once.
struct Switch(bool);

impl Json for Switch {
    fn blank() -> Self {
        Self(false)
    }

    fn read(&mut self, tree: Value) -> bool {
        self.0 = tree.as_bool().unwrap_or_else(|| tree.as_u64().is_some_and(|number| number > 0));
        true
    }

    fn write(&self, text: &mut String) {
        self.0.write(text);
    }
}

impl From<bool> for Switch {
    fn from(truth: bool) -> Self {
        Self(truth)
    }
}

impl From<Switch> for bool {
    fn from(Switch(truth): Switch) -> Self {
        truth
    }
}

fn shown(number: u64) -> Value {
    if number == NEVER { json!(-1) } else { json!(number) }
}

/// Declares [`Settings`] from one table.
macro_rules! settings {
    (
        lifetimes { $($life:ident $life_key:literal $life_least:literal $life_most:literal $life_default:literal $life_doc:literal)* }
        numbers { $($number:ident $number_key:literal $least:literal $most:literal $default:literal $number_doc:literal)* }
        switches { $($switch:ident $switch_key:literal $switch_default:literal $switch_doc:literal)* }
        choices { $($choice:ident $choice_key:literal $choice_names:expr, $choice_doc:literal)* }
        texts { $($text:ident $text_key:literal $longest:literal $text_default:literal $text_doc:literal)* }
    ) => {
        /// The settings.
        #[derive(Clone, Debug, PartialEq, Eq, Json)]
        #[json(default)]
        #[allow(clippy::struct_excessive_bools)] // Switches, each with a key of its own.
        pub struct Settings {
            $(#[doc = $life_doc] pub $life: u64,)*
            $(#[doc = $number_doc] pub $number: u64,)*
            $(#[doc = $switch_doc] #[json(via = Switch)] pub $switch: bool,)*
            $(#[doc = $choice_doc] pub $choice: String,)*
            $(#[doc = $text_doc] pub $text: String,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($life: $life_default,)*
                    $($number: $default,)*
                    $($switch: $switch_default,)*
                    $($choice: $choice_names.first().copied().unwrap_or_default().to_owned(),)*
                    $($text: $text_default.to_owned(),)*
                }
            }
        }

        impl Settings {
            /// The table.
            pub const TABLE: &'static [Setting] = &[
                $(Setting {
                    key: $life_key,
                    form: Form::Number { least: $life_least, most: $life_most, default: $life_default, never: true },
                    about: $life_doc,
                },)*
                $(Setting {
                    key: $number_key,
                    form: Form::Number { least: $least, most: $most, default: $default, never: false },
                    about: $number_doc,
                },)*
                $(Setting { key: $switch_key, form: Form::Switch($switch_default), about: $switch_doc },)*
                $(Setting { key: $choice_key, form: Form::Choice($choice_names), about: $choice_doc },)*
                $(Setting {
                    key: $text_key,
                    form: Form::Text { longest: $longest, default: $text_default },
                    about: $text_doc,
                },)*
            ];

            /// As the administration API shows them.
            pub fn to_json(&self) -> Map<String, Value> {
                let mut out = Map::new();
                $(out.insert($life_key.to_owned(), shown(self.$life));)*
                $(out.insert($number_key.to_owned(), shown(self.$number));)*
                $(out.insert($switch_key.to_owned(), json!(self.$switch));)*
                $(out.insert($choice_key.to_owned(), json!(self.$choice));)*
                $(out.insert($text_key.to_owned(), json!(self.$text));)*
                out
            }

            fn put(&mut self, form: Form, key: &str, value: &Value) -> Result<(), String> {
                match key {
                    $($life_key => self.$life = form.number(value)?,)*
                    $($number_key => self.$number = form.number(value)?,)*
                    $($switch_key => self.$switch = form.switch(value)?,)*
                    $($choice_key => self.$choice = form.text(value)?,)*
                    $($text_key => self.$text = form.text(value)?,)*
                    _ => {}
                }
                Ok(())
            }
        }
    };
}

#[rustfmt::skip]
settings! {
    lifetimes {
        access_lifetime    "token.defaultExpirySeconds"   1 31_536_000 3600      "How long an access token lives, in seconds; -1: until something ends it."
    }
    numbers {
        code_lifetime      "authCode.expirySeconds"       1 600        60        "How long an authorization code lives, in seconds."
        code_retry         "authCode.retrySeconds"        0 60         10        "How long a redeemed, PKCE-bound code is refused without ending its family, in seconds."
        refresh_grace      "refresh.graceSeconds"         0 60         10        "How long the previous refresh token gets the same successor again, in seconds; 0 is strict."
        refresh_idle       "refresh.idleSeconds"          1 31_536_000 2_592_000 "How long a refresh token may lie unused, in seconds."
        refresh_absolute   "refresh.absoluteSeconds"      1 31_536_000 7_776_000 "How long a family of refresh tokens lives, in seconds."
        session_lifetime   "session.lifetimeSeconds"      60 2_592_000 28_800    "How long a browser stays signed in, in seconds."
        login_per_user     "login.failuresPerUser"        1 100        10        "How many logins of one name may fail in five minutes before it is closed for the rest of them."
        login_per_address  "login.failuresPerAddress"     1 1_000_000  30        "How many logins from one address may fail in five minutes before it is closed for the rest of them."
        client_failures    "client.failuresPerMinute"     1 1_000_000  60        "How often one client from one address may fail in a minute to prove itself, or send what is no token, before failures are 429."
        registration_open  "registration.open"            0 2          0         "Who may register clients at /register: 0 nobody, 1 who has an initial access token, 2 anybody."
        registration_rate  "registration.perHour"         1 1_000_000  20        "How many clients may register from one address in an hour, or say anew what they are."
        registration_most  "registration.unusedMost"      1 100_000    1000      "How many clients may lie registered that nobody has allowed anything; who would be one more waits. Initial access tokens go before it."
        registration_unused "registration.unusedSeconds"  60 31_536_000 86_400   "How long a client that registered itself lives until somebody allows it something, in seconds."
        registration_used  "registration.usedSeconds"     172_800 31_536_000 7_776_000 "How long a client that registered itself, or is a document, lives after its last use, in seconds."
        shards             "grants.shardsPerRegion"       1 1024       8         "Among how many shards of a region new grants are spread."
        log_success        "log.successPercent"           0 100        100       "How many of a hundred successes are logged; refusals and changes always are."
        removal_interval   "token.removalIntervalSeconds" 60 604_800   86_400    "How often a shard looks for tokens that are over among those without an end of their own, in seconds."
        removal_batch      "token.removalBatch"           1 5000       5000      "How many of these it looks at in one go; the next follows a minute later."
        audit_retention    "audit.retentionDays"          1 3650       365       "How long the log of changes reaches back at least, in days."
        id_token_lifetime  "idToken.expirySeconds"        60 86_400    3600      "How long an ID token is good, in seconds."
        key_rotation       "keys.rotationDays"            1 3650       90        "How long a key signs before the next one does, in days."
        key_lead           "keys.publishSeconds"          1 2_592_000  86_400    "How long a key is published before it signs, in seconds. Others may keep the published keys for a quarter of that, an hour at most."
        check_cache        "check.cacheSeconds"           0 60         0         "How long a location may go on by what it knows of an access token at /check, in seconds; 0 asks every time. A token that was revoked passes so much longer, and what a scope opens follows there when the replica does."
    }
    switches {
        require_https      "requireHTTPS"                 true  "Whether what does not come over https is refused, and pages are asked for there again; a laptop in development is spared."
        require_post       "requirePost"                  true  "Whether webMethods' addresses refuse all but POST, apart from authorize."
        require_pkce       "requirePKCE"                  false "Whether every client must use PKCE that does not say otherwise."
        disabling_ends     "disableClient.disableTokens"  true  "Whether tokens of a disabled client are inactive until it is enabled again."
        response_header    "custom.responseHeader"        false "Whether refusals of clients carry their code also in the header X-OAuth-Error."
        query_tokens       "bearerToken.queryParameter"   false "Whether an access token may come in the query of a GET (RFC 6750 section 2.3). Addresses are logged."
        documents          "registration.documents"       false "Whether a client id may be the https address of a document that describes the client."
        revoke_ends_grant  "revoke.accessTokenEndsGrant"  false "Whether revoking an access token ends its grant."
    }
    choices {
        registration_profile "registration.profile"       &["oauth21", "openid"], "The profile of clients that register themselves: openid where they are to be served as OpenID Connect is certified, without PKCE too."
        check_source       "check.source"                 &["nginx", "traefik", "caddy", "envoy"], "Which proxy asks at /check, and so where the method and the address of the original request are read."
        jwt_algorithm      "token.jwtAlgorithm"           Algorithm::NAMES, "How access tokens are signed that are JWTs, and answers about tokens where the client does not say otherwise."
    }
    texts {
        jwt_resources      "token.jwtResources"           5000 ""                        "The resources whose access tokens are JWTs, whatever the client has, separated by spaces; empty: none."
        compat_prefix      "compat.prefix"                100 "invoke"                   "What webMethods' addresses begin with, without slashes around it."
        external_origins   "external.allowedOrigins"      5000 ""                        "The origins of servers elsewhere that may be asked for tokens, separated by spaces: scheme, host, and a port where it is not the usual one; empty: any on the internet."
        gateway_routes     "gateway.routes"               5000 ""                        "Which requests are passed on, and to which server, once they are found to be allowed: host/prefix=origin, separated by spaces; empty: none."
        approval_title     "approvalpage.title"           200 "Access Approval"          "The title of the page where a person decides."
        approval_header    "approvalpage.header"          200 "Resource access approval" "The heading of that page."
        approval_logo      "approvalpage.logo"            1000 ""                        "The https address of a picture on that page; empty: none."
        approval_footer    "approvalpage.footer"          1000 ""                        "What stands below on that page; empty: nothing."
    }
}

impl Settings {
    /// Sets one. The error is what to tell the administrator; nothing changed then.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let setting = Self::TABLE.iter().find(|setting| setting.key == key);
        let setting = setting.ok_or("there is no such setting")?;
        let prefix = value.as_str().filter(|_| key == "compat.prefix");
        if prefix.is_some_and(|prefix| !prefix.split('/').all(is_segment)) {
            return Err("must be segments of letters, digits, - . _ ~, with a slash between them".to_owned());
        }
        let logo = value.as_str().filter(|text| key == "approvalpage.logo" && !text.is_empty());
        if logo.is_some_and(|logo| !is_https(logo)) {
            return Err("must be an https address, or empty".to_owned());
        }
        let origins = value.as_str().filter(|text| key == "external.allowedOrigins" && !text.is_empty());
        let is_origin = |text: &str| text.contains("://") && origin_of(text) == text;
        if origins.is_some_and(|origins| !origins.split(' ').all(is_origin)) {
            return Err("must be origins such as https://as.example, separated by single spaces".to_owned());
        }
        let resources = value.as_str().filter(|text| key == "token.jwtResources" && !text.is_empty());
        if resources.is_some_and(|resources| !resources.split(' ').all(resource::is_identifier)) {
            return Err("must be absolute URIs without fragment, separated by single spaces".to_owned());
        }
        if let Some(routes) = value.as_str().filter(|_| key == "gateway.routes") {
            gateway::check(routes)?;
        }
        self.put(setting.form, key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_or_unknown_changes_nothing() {
        let mut settings = Settings::default();
        for (key, value) in [
            ("refresh.graceSeconds", json!(61)),
            ("refresh.graceSeconds", json!(-1)),
            ("refresh.graceSeconds", json!("10")),
            ("token.defaultExpirySeconds", json!(0)),
            ("token.defaultExpirySeconds", json!(-2)),
            ("token.defaultExpirySeconds", json!(31_536_001)),
            ("registration.documents", json!(2)),
            ("registration.documents", json!("true")),
            ("approvalpage.title", json!("a\nb")),
            ("approvalpage.title", json!("a".repeat(201))),
            ("compat.prefix", json!("")),
            ("compat.prefix", json!("/invoke")),
            ("compat.prefix", json!("a/../b")),
            ("approvalpage.logo", json!("http://a.test/x.png")),
            ("approvalpage.logo", json!("javascript:alert(1)")),
            ("token.jwtResources", json!("orders")),
            ("token.jwtResources", json!("https://a.test  https://b.test")),
            ("token.jwtAlgorithm", json!("none")),
            ("gateway.routes", json!("api.test")),
            ("gateway.routes", json!("api.test=https://rest.test/base")),
            ("gateway.routes", json!(["api.test=https://rest.test"])),
            ("magic", json!(1)),
        ] {
            assert!(settings.set(key, &value).is_err(), "{key} {value}");
        }
        assert_eq!(settings, Settings::default());
        settings.set("refresh.graceSeconds", &json!(0)).unwrap();
        assert_eq!(settings.refresh_grace, 0);
        settings.set("refresh.graceSeconds", &Value::Null).unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn every_setting_takes_what_it_shows_and_its_default_back() {
        let other = |key: &str, form: Form| match form {
            Form::Number { most, .. } => json!(most),
            Form::Switch(default) => json!(!default),
            Form::Choice(names) => json!(names.last()),
            Form::Text { .. } if key == "compat.prefix" => json!("rest/v1"),
            Form::Text { .. } if key == "external.allowedOrigins" => json!("https://a.test"),
            Form::Text { .. } if key == "token.jwtResources" => json!("https://a.test/orders urn:b"),
            Form::Text { .. } if key == "gateway.routes" => json!("api.test/orders=https://orders.test"),
            Form::Text { .. } => json!("https://a.test/another"),
        };
        for Setting { key, form, .. } in Settings::TABLE {
            let mut settings = Settings::default();
            assert_eq!(settings.to_json()[*key], form.default());
            settings.set(key, &other(key, *form)).unwrap();
            assert_eq!(settings.to_json()[*key], other(key, *form), "{key}");
            let shown = settings.to_json()[*key].clone();
            settings.set(key, &shown).unwrap();
            assert_eq!(settings.to_json()[*key], other(key, *form), "{key}");
            settings.set(key, &Value::Null).unwrap();
            assert_eq!(settings, Settings::default(), "{key}");
        }
    }

    #[test]
    fn a_switch_that_was_kept_as_a_number_is_read() {
        let mut old = crate::json::write(&Settings::default());
        for (is, was) in [
            ("\"documents\":false", "\"documents\":1"),
            ("\"revoke_ends_grant\":false", "\"revoke_ends_grant\":0"),
        ] {
            assert!(old.contains(is));
            old = old.replace(is, was);
        }
        let read: Settings = crate::json::read(&old).unwrap();
        assert_eq!(read, Settings { documents: true, ..Settings::default() });
    }

    #[test]
    fn never_is_minus_one_on_the_wire() {
        let mut settings = Settings::default();
        settings.set("token.defaultExpirySeconds", &json!(-1)).unwrap();
        assert_eq!(settings.access_lifetime, NEVER);
        assert_eq!(settings.to_json()["token.defaultExpirySeconds"], json!(-1));
        let stored = crate::json::write(&settings);
        assert_eq!(crate::json::read::<Settings>(&stored).unwrap(), settings);
    }
}
