//! What is asked of a grant, in plain words, and as the message that the edge would send.

use edgemint::{
    crypto::Secret,
    host::{Seconds, Timestamp},
    model::{
        grant::{self, Binding, Offer, Person, Returned, Terms, Token},
        mark::ClientRef,
        pkce::Challenge,
        place::Address,
        scope::Scope,
        ticket::Claims,
    },
    objects::protocol::grant_shard,
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const URI: &str = "https://app.test/cb";
/// How long an access token lives.
pub const ACCESS: Seconds = Seconds(1200);

/// What a client's profile and the settings say of its grants.
#[derive(Clone, Debug)]
pub struct Profile {
    pub name: &'static str,
    /// Codes are bound to a `code_challenge`.
    pub challenge: bool,
    /// The token request must name the redirect URI.
    pub uri: bool,
    pub rotate: bool,
    pub retry: Seconds,
    pub grace: Seconds,
    pub code: Seconds,
    pub idle: Option<Seconds>,
    pub absolute: Option<Seconds>,
    pub refreshes: Option<u32>,
}

#[rustfmt::skip]
pub fn profiles() -> Vec<Profile> {
    const IDLE: Option<u64> = Some(600);
    const ABSOLUTE: Option<u64> = Some(900);
    let row = |name, challenge, uri, rotate, (retry, grace), code, (idle, absolute): (Option<u64>, Option<u64>), refreshes| Profile {
        name, challenge, uri, rotate, retry: Seconds(retry), grace: Seconds(grace), code: Seconds(code),
        idle: idle.map(Seconds), absolute: absolute.map(Seconds), refreshes,
    };
    vec![
        //  name                                        challenge uri    rotate windows   code lifetimes         refreshes
        row("a public client",                          true,  false, true,  (10, 10), 60,  (IDLE, ABSOLUTE), None),
        row("a confidential client",                    true,  true,  true,  (10, 10), 60,  (IDLE, ABSOLUTE), None),
        row("a confidential client without PKCE",       false, true,  true,  (10, 10), 60,  (IDLE, ABSOLUTE), None),
        row("a client of strict settings",              true,  false, true,  (0, 0),   60,  (IDLE, ABSOLUTE), None),
        row("a client of wide windows, refreshing twice", true, false, true, (60, 60), 60,  (IDLE, ABSOLUTE), Some(2)),
        row("a client whose families never end",        true,  true,  true,  (10, 10), 60,  (None, None),     Some(3)),
        row("a client that does not rotate",            true,  true,  false, (10, 10), 60,  (IDLE, ABSOLUTE), None),
        row("a legacy client, refreshing without end",  false, true,  false, (10, 10), 600, (None, None),     None),
        row("a legacy client, refreshing twice",        false, true,  false, (10, 10), 600, (None, None),     Some(2)),
        row("a legacy client that does not refresh",    false, true,  false, (10, 10), 600, (None, None),     Some(0)),
    ]
}

/// A token that was given, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRef {
    Refresh(u32),
    Access(usize),
}

/// What a code is redeemed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// What its request began with.
    All,
    NoVerifier,
    AVerifier,
    WrongVerifier,
    NoUri,
    OtherUri,
}

#[derive(Clone, Debug)]
pub struct Redemption {
    pub with: With,
    pub retry: Seconds,
    pub refreshes: Option<u32>,
}

impl Redemption {
    /// 1: it is the right client's, with the right verifier (RFC 7636 §4.6) and redirect URI (RFC 6749 §4.1.3).
    pub fn is_right(&self, profile: &Profile) -> bool {
        match self.with {
            With::All => true,
            With::NoVerifier => !profile.challenge,
            With::AVerifier => profile.challenge,
            With::NoUri => !profile.uri,
            With::WrongVerifier | With::OtherUri => false,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Wish {
    Offer { scope: Scope, person: u64 },
    Give { scope: Scope, person: u64, retry: Seconds },
    Redeem(Redemption),
    Refresh { token: u32, scope: Option<Scope>, grace: Seconds },
    Inspect(TokenRef),
    Revoke { token: TokenRef, whole: bool },
    Withdraw,
    End,
}

/// One wish of one client, and what the edge that brings it knew then.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `app`, whose grant it is; `other`; `api`, which may introspect.
    pub client: &'static str,
    pub life: u32,
    pub version: u64,
    pub policy: u64,
    /// The proof is not the grant's.
    pub forged: bool,
    pub wish: Wish,
}

impl Ask {
    /// As one would tell it.
    pub fn words(&self) -> String {
        let who = match self.client {
            "app" => "the client",
            "api" => "a resource server",
            _ => "another client",
        };
        let token = |token: &TokenRef| match token {
            TokenRef::Refresh(number) => format!("refresh token {number}"),
            TokenRef::Access(number) => format!("access token {number}"),
        };
        let words = match &self.wish {
            Wish::Offer { scope, person } => format!("the person, by account v{person}, allows \"{scope}\""),
            Wish::Give { scope, person, .. } => {
                format!("the person, by account v{person}, allows \"{scope}\" at once")
            }
            Wish::Redeem(Redemption { with, .. }) => {
                let with = match with {
                    With::All => "",
                    With::NoVerifier => " without a verifier",
                    With::AVerifier => " with a verifier",
                    With::WrongVerifier => " with a wrong verifier",
                    With::NoUri => " without a redirect URI",
                    With::OtherUri => " with another redirect URI",
                };
                format!("{who} redeems the code{with}")
            }
            Wish::Refresh { token, scope: None, .. } => format!("{who} refreshes with token {token}"),
            Wish::Refresh { token, scope: Some(scope), .. } => {
                format!("{who} refreshes with token {token} for \"{scope}\"")
            }
            Wish::Inspect(of) => format!("{who} introspects {}", token(of)),
            Wish::Revoke { token: of, whole: false } => format!("{who} revokes {}", token(of)),
            Wish::Revoke { token: of, whole: true } => format!("{who} revokes {} and its grant", token(of)),
            Wish::Withdraw => "the person takes it back".to_owned(),
            Wish::End => "an administrator ends it".to_owned(),
        };
        if self.forged { format!("{words}, with a forged proof") } else { words }
    }
}

/// What was handed out, as those who hold it have it.
#[derive(Default)]
pub struct Given {
    pub code: Option<Secret>,
    pub refresh: Vec<Secret>,
    pub access: Vec<(Claims, Secret)>,
}

impl Given {
    fn token(&self, token: TokenRef, forged: bool) -> Token {
        let proof = |own: Option<&Secret>| match own {
            Some(own) if !forged => own.clone(),
            _ => Secret(vec![7; 16]),
        };
        match token {
            TokenRef::Refresh(number) => {
                let own = (number as usize).checked_sub(1).and_then(|at| self.refresh.get(at));
                Token::Refresh { generation: number, proof: proof(own) }
            }
            TokenRef::Access(number) => {
                let (claims, own) = &self.access[number];
                Token::Access { claims: claims.clone(), proof: proof(Some(own)) }
            }
        }
    }

    fn command(&self, ask: &Ask, profile: &Profile, now: Timestamp) -> grant::Command {
        let client = ClientRef {
            id: ask.client.into(),
            incarnation: format!("life {}", ask.life),
            version: ask.version,
        };
        let terms = |retry, grace, refreshes| Terms {
            allowed: Scope::parse("read write admin").unwrap(),
            code_retry: retry,
            grace,
            idle: profile.idle,
            rotate: profile.rotate,
            refreshable: refreshes != Some(0),
            refreshes,
            ..Terms::default()
        };
        let offer = |client: ClientRef, scope: &Scope, person: u64| {
            Box::new(Offer {
                client,
                person: Person {
                    sub: "sub".into(),
                    username: "ada".into(),
                    version: person,
                    groups: vec![],
                    auth_time: None,
                    withdrawals: 0,
                },
                scope: scope.clone(),
                binding: Binding {
                    challenge: profile.challenge.then(|| Challenge::of(VERIFIER)),
                    redirect_uri: URI.into(),
                    redirect_uri_required: profile.uri,
                    redirect_uri_sent: true,
                },
                code_lifetime: profile.code,
                absolute: profile.absolute,
                until: profile.absolute.map(|absolute| now.plus(absolute).plus(ACCESS)),
                openid: None,
            })
        };
        match &ask.wish {
            Wish::Offer { scope, person } => grant::Command::Offer(offer(client, scope, *person)),
            Wish::Give { scope, person, retry } => grant::Command::Give {
                offer: offer(client, scope, *person),
                terms: terms(*retry, profile.grace, profile.refreshes),
            },
            Wish::Redeem(Redemption { with, retry, refreshes }) => {
                let own = self.code.clone().filter(|_| !ask.forged).unwrap_or_default();
                let verifier = match with {
                    With::NoVerifier => None,
                    With::AVerifier => Some(VERIFIER.to_owned()),
                    With::WrongVerifier => Some("A".repeat(43)),
                    _ => profile.challenge.then(|| VERIFIER.to_owned()),
                };
                let redirect_uri = match with {
                    With::NoUri => None,
                    With::OtherUri => Some("https://app.test/cb/".to_owned()),
                    _ => Some(URI.to_owned()),
                };
                let terms = terms(*retry, profile.grace, *refreshes);
                grant::Command::Redeem {
                    client,
                    proof: own,
                    verifier,
                    redirect_uri,
                    returned: Returned::Usual,
                    terms,
                }
            }
            Wish::Refresh { token, scope, grace } => {
                let Token::Refresh { generation, proof } = self.token(TokenRef::Refresh(*token), ask.forged)
                else {
                    unreachable!("a refresh token's reference")
                };
                let terms = terms(profile.retry, *grace, profile.refreshes);
                grant::Command::Refresh { client, generation, proof, scope: scope.clone(), terms }
            }
            Wish::Inspect(token) => grant::Command::Inspect {
                caller: client,
                any: ask.client == "api",
                token: self.token(*token, ask.forged),
            },
            Wish::Revoke { token, whole } => {
                grant::Command::Revoke { by: Some((client, self.token(*token, ask.forged), *whole)) }
            }
            Wish::Withdraw => grant::Command::Withdraw,
            Wish::End => grant::Command::Revoke { by: None },
        }
    }

    /// The message, as it is sent once or more often.
    pub fn message(
        &self,
        ask: &Ask,
        allowed: &Scope,
        profile: &Profile,
        at: &Address,
        sent: Timestamp,
        id: usize,
    ) -> String {
        let mut command = self.command(ask, profile, sent);
        if let grant::Command::Redeem { terms, .. }
        | grant::Command::Give { terms, .. }
        | grant::Command::Refresh { terms, .. } = &mut command
        {
            terms.allowed = allowed.clone();
        }
        let command = grant_shard::Command::Grant {
            table: at.table,
            owner: at.owner.clone(),
            key: at.key.clone(),
            policy: ask.policy,
            command,
        };
        crate::model::message(&id.to_string(), Some(sent), command)
    }
}
