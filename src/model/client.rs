//! Registered clients (RFC 7591 §2) and their policy.

use super::{
    grant::Terms,
    mark::{ClientRef, Mark, Restrictions, Standing},
    metadata::{AccessFormat, Metadata, Rotation, SubjectType},
    policy::{ADMIN, ADMIN_READ, EXTERNAL, Policy},
    profile::Profile,
    redirect_uri::RedirectUri,
    scope::Scope,
    settings::{Lifetime, NEVER},
    ticket::{Access, Claims},
};
use crate::{
    crypto::{self, Secret},
    error::{Code, Error, Fault, quotable},
    host::{Algorithm, Attempts, FORMAT, Seconds, Timestamp},
    json::Json,
    list::List as _,
};

/// One client. Its record is the truth in the registry, a copy everywhere else.
#[derive(Clone, Debug, Json)]
pub struct Client {
    /// The format of the record.
    pub format: u8,
    /// `client_id`.
    pub id: String,
    /// At random: which life of that id. Every token carries it.
    pub incarnation: String,
    /// Of a counter that all records share, so it only grows, also across lives of one id.
    pub version: u64,
    /// What was issued under an older version is dead.
    pub min_version: u64,
    /// When it was registered.
    pub issued: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
    /// HMAC of the secret under a salt; absent for public clients. The secret has 256 bits, so a slow hash would add
    /// nothing but a way to exhaust us.
    pub secret: Option<Hashed>,
    /// Secrets before that, each until it is no longer taken.
    #[json(omit)]
    pub previous_secrets: Vec<(Hashed, Timestamp)>,
    /// The rest.
    pub metadata: Metadata,
    /// When something was taken away from it.
    #[json(default)]
    pub restrictions: Restrictions,
    /// Of one that registered itself: when it ends, unless it is used before.
    #[json(omit)]
    pub expires: Option<Timestamp>,
    /// Of such a one: nobody has allowed it anything yet.
    #[json(omit)]
    pub unused: bool,
    /// The wishes that last changed it.
    pub attempts: Attempts,
}

/// A client secret at rest.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Hashed {
    salt: Secret,
    mac: Secret,
}

/// How secrets are kept.
const METHOD: &str = "hmac-sha256";

impl Hashed {
    /// Of a secret that has 256 bits.
    pub fn of(secret: &str, salt: [u8; 16]) -> Self {
        let salt = Secret(salt.to_vec());
        Self { mac: salt.mac(&[b"client secret", secret.as_bytes()]), salt }
    }

    /// As an export has it: method, salt and MAC.
    pub fn to_text(&self) -> String {
        format!("{METHOD}${}${}", crypto::text(&self.salt.0), crypto::text(&self.mac.0))
    }

    /// Reads what [`Hashed::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (salt, mac) = text.strip_prefix(METHOD)?.strip_prefix('$')?.split_once('$')?;
        let read = |text: &str, length| crypto::bytes(text).filter(|bytes| bytes.len() == length).map(Secret);
        Some(Self { salt: read(salt, 16)?, mac: read(mac, 32)? })
    }

    /// In constant time.
    pub fn is(&self, secret: &str) -> bool {
        self.salt.mac(&[b"client secret", secret.as_bytes()]) == self.mac
    }
}

impl Client {
    /// One that the registry does not know yet: what is missing, that fills in.
    pub fn new(id: String, incarnation: [u8; 8], metadata: Metadata, secret: Option<Hashed>) -> Self {
        Self {
            format: FORMAT,
            id,
            incarnation: crypto::text(&incarnation),
            version: 0,
            min_version: 0,
            issued: Timestamp::default(),
            changed: Timestamp::default(),
            secret,
            previous_secrets: Vec::new(),
            metadata,
            restrictions: Restrictions::default(),
            expires: None,
            unused: false,
            attempts: Attempts::default(),
        }
    }

    /// Goes into an access token of its own. Only administration asks for more than the seal, which is all that proves
    /// others: who holds a master key, and not what is kept of the client's secret, makes no administrator of himself.
    pub fn prove(&self, claims: &Claims) -> Result<Secret, Fault> {
        let administers = [ADMIN, ADMIN_READ, EXTERNAL].iter().any(|name| claims.scope.contains(name));
        match self.secret.as_ref().filter(|_| administers) {
            Some(kept) => Ok(kept.mac.proof(&[b"administration", &claims.bytes()?])),
            None => Ok(Secret::default()),
        }
    }

    /// Whether a token that administers was made so.
    pub fn has_proved(&self, Access { claims, proof }: &Access) -> Result<bool, Fault> {
        let own = self.prove(claims)?;
        Ok(!own.0.is_empty() && own == *proof)
    }

    /// What people are shown.
    pub fn name(&self) -> &str {
        self.metadata.client_name.as_deref().unwrap_or(&self.id)
    }

    /// For a command.
    pub fn reference(&self) -> ClientRef {
        ClientRef { id: self.id.clone(), incarnation: self.incarnation.clone(), version: self.version }
    }

    /// How many secrets are taken beside the current one.
    pub const OVERLAPPING: usize = 8;

    /// Whether this is its secret, or still is.
    pub fn knows(&self, secret: &str, now: Timestamp) -> bool {
        let current = self.secret.as_ref().is_some_and(|kept| kept.is(secret));
        let previous = &self.previous_secrets;
        current | previous.iter().any(|(kept, until)| kept.is(secret) && now < *until)
    }

    /// True where it holds a secret.
    pub fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }

    /// True where it may use a grant type.
    pub fn may_use(&self, grant_type: &str) -> bool {
        self.metadata.grant_types.iter().any(|own| own == grant_type)
    }

    /// Whether a code of this client must be bound to a challenge.
    pub fn requires_pkce(&self, policy: &Policy) -> bool {
        let global = policy.settings.require_pkce || self.metadata.profile.defaults().require_pkce;
        let default = !self.is_confidential() || global;
        self.metadata.require_pkce.unwrap_or(default)
    }

    /// Refuses what is not within the client's scope, by the name of the first that is not.
    pub fn demand(&self, scope: &Scope) -> Result<(), Error> {
        match scope.names().find(|name| !self.metadata.scope.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let name = quotable(name);
                let detail = format!("the scope {name} is unknown, or not among this client's");
                Err(Error::new(Code::InvalidScope, detail))
            }
        }
    }

    /// What it may have. A scope can be taken from the catalogue though clients have it that registered themselves.
    pub fn scope_in(&self, policy: &Policy) -> Scope {
        match self.expires {
            Some(_) => self.metadata.scope.common(&policy.names()),
            None => self.metadata.scope.clone(),
        }
    }

    /// Under which subject it knows a person (OpenID Connect Core §8.1).
    pub fn subject(&self, policy: &Policy, sub: &str) -> String {
        self.pairwise(policy, "pairwise", sub)
    }

    /// Under which `sid` it knows a session: by the same one two sectors would know that it is one person.
    pub fn sid(&self, policy: &Policy, session: &str) -> String {
        self.pairwise(policy, "sid", session)
    }

    fn pairwise(&self, policy: &Policy, what: &str, of: &str) -> String {
        if self.metadata.subject_type != SubjectType::Pairwise {
            return of.to_owned();
        }
        let sector = self.metadata.sector().unwrap_or_else(|| format!("client {}", self.id));
        // It stays with the policy, through an export too; a master key does not stay.
        let parts: [&[u8]; 3] = [what.as_bytes(), sector.as_bytes(), of.as_bytes()];
        crypto::text(&policy.filter.mac(&parts).0)
    }

    /// Whether its access tokens are JWTs (RFC 9068): it wants them, or a resource does that the scope is for.
    pub fn gets_jwt(&self, policy: &Policy, scope: &Scope) -> bool {
        let wants = |resource: &&str| policy.settings.jwt_resources.split(' ').any(|own| own == *resource);
        self.metadata.access_token_format == AccessFormat::Jwt || policy.resources(scope).iter().any(wants)
    }

    /// How its ID tokens are signed.
    pub fn id_token_algorithm(&self) -> Algorithm {
        let own = self.metadata.id_token_signed_response_alg.as_deref().and_then(Algorithm::parse);
        let usual =
            if self.metadata.profile == Profile::Openid { Algorithm::Rs256 } else { Algorithm::Es256 };
        own.unwrap_or(usual)
    }

    /// The redirect URIs that may be used.
    pub fn redirect_uris(&self) -> Vec<RedirectUri> {
        self.metadata.redirect_uris.iter().filter_map(|uri| RedirectUri::parse(uri).ok()).list()
    }

    /// True where `asked` means one that is registered.
    pub fn admits(&self, asked: &RedirectUri) -> bool {
        self.redirect_uris().iter().any(|own| own.admits(asked))
    }

    /// How long its access tokens live.
    pub fn access_lifetime(&self, policy: &Policy) -> Seconds {
        let own = self.metadata.access_token_lifetime.map(|Lifetime(seconds)| Seconds(seconds));
        own.unwrap_or_else(|| policy.seconds(|s| s.access_lifetime))
    }

    /// How long its codes live.
    pub fn code_lifetime(&self, policy: &Policy) -> Seconds {
        let own = self.metadata.code_lifetime.map(Seconds).or(self.metadata.profile.defaults().code_lifetime);
        own.unwrap_or_else(|| policy.seconds(|s| s.code_lifetime))
    }

    /// True where its grants get refresh tokens.
    pub fn is_refreshable(&self) -> bool {
        self.may_use("refresh_token") && self.metadata.refresh_count != Some(0)
    }

    /// How long a family of refresh tokens lives (`None`: no end of its own).
    pub fn refresh_absolute(&self, policy: &Policy) -> Option<Seconds> {
        self.metadata.profile.defaults().refresh_ends.then(|| policy.seconds(|s| s.refresh_absolute))
    }

    /// What its policy says to a grant.
    pub fn terms(&self, policy: &Policy) -> Terms {
        let defaults = self.metadata.profile.defaults();
        let rotate = self.metadata.refresh_rotation.map_or(defaults.rotate, |own| own == Rotation::Always);
        Terms {
            allowed: self.scope_in(policy),
            ends: self.expires,
            code_retry: policy.seconds(|s| s.code_retry),
            grace: policy.seconds(|s| s.refresh_grace),
            idle: defaults.refresh_ends.then(|| policy.seconds(|s| s.refresh_idle)),
            // A public client's refresh token is bound to nothing but its rotation (RFC 9700 §2.2.2).
            rotate: rotate || !self.is_confidential(),
            refreshable: self.is_refreshable(),
            offline: self.metadata.profile == Profile::Openid,
            refreshes: self.metadata.refresh_count,
            endless: self.access_lifetime(policy) == Seconds(NEVER),
            access: self.access_lifetime(policy),
            ..Terms::default()
        }
    }

    /// The same, to a grant whose code is being redeemed.
    pub fn terms_of_redemption(&self, policy: &Policy) -> Terms {
        Terms {
            redirect_uris: self.metadata.redirect_uris.clone(),
            require_pkce: self.requires_pkce(policy),
            ..self.terms(policy)
        }
    }

    /// What the shards are told of a change.
    pub fn mark(&self) -> Mark {
        Mark {
            version: self.version,
            standing: if self.metadata.enabled { Standing::Enabled } else { Standing::Disabled },
            min_version: self.min_version,
            not_before: Timestamp(self.metadata.not_before.unwrap_or_default().saturating_mul(1000)),
            restrictions: self.restrictions.clone(),
            incarnation: Some(self.incarnation.clone()),
            scope: Some(self.metadata.scope.clone()),
            groups: None,
            rules: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_only_as_a_salted_mac() {
        let hashed = Hashed::of("hush", [1; 16]);
        assert!(hashed.is("hush") && !hashed.is("hus") && !hashed.is(""));
        assert_ne!(hashed, Hashed::of("hush", [2; 16]));
        assert!(!crate::json::write(&hashed).contains("hush"));
        assert_eq!(Hashed::parse(&hashed.to_text()), Some(hashed));
        for text in ["", "hmac-sha256$$", "hmac-sha256$AA$AA", "md5$AA$AA", "hush"] {
            assert_eq!(Hashed::parse(text), None, "{text}");
        }
    }
}
