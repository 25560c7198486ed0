//! What the object of a connection can be told, and what it answers.

use crate::{
    crypto::{Secret, Vault},
    host::{Protocol, Seconds, Timestamp},
    json::Json,
    model::held::{Broken, Failure},
};

/// The tokens of one connection, and the one who gets new ones. Named by the connection's id.
pub struct Connection;

/// By what it is asked: the connection as the registry has it, its secret opened.
#[derive(Debug, Json)]
pub struct Terms {
    /// Its version.
    pub version: u64,
    /// Whose tokens these are.
    pub of: Secret,
    /// Its name, for the log.
    pub name: String,
    /// What is asked.
    pub token_endpoint: String,
    /// As whom.
    pub client_id: String,
    /// With what.
    pub client_secret: Option<Secret>,
    /// In the body instead of the header.
    pub in_body: bool,
    /// What is asked for.
    pub scope: String,
    /// Where the provider sends browsers back to.
    pub redirect_uri: String,
    /// What seals and opens.
    pub vault: Vault,
}

/// What is wished of the tokens.
#[derive(Debug, Json)]
pub struct Wish {
    /// By what.
    pub terms: Terms,
    /// A browser came back: which, with what code, and whether the provider named itself. Else an access token is wanted.
    pub back: Option<(String, Secret, bool)>,
    /// A resource did not take this one.
    pub refused: Option<Secret>,
    /// The call whose end was waited for: what came of it is the answer.
    #[json(default)]
    pub waited: Option<u64>,
}

/// What it can be told.
#[derive(Debug, Json)]
pub enum Command {
    /// A browser is about to be sent to the provider.
    Expect {
        /// By what.
        terms: Box<Terms>,
        /// Which one.
        nonce: String,
        /// Of PKCE.
        verifier: Secret,
        /// How long it may take.
        lifetime: Seconds,
    },
    /// An access token is wanted, or a code is brought.
    Token(Box<Wish>),
    /// How it is.
    Status(Secret),
    /// The connection is gone.
    End,
}

/// What it answers.
#[derive(Debug, Json)]
pub enum Reply {
    /// A good one.
    Token {
        /// `access_token`.
        access: Secret,
        /// `token_type`.
        token_type: String,
        /// `scope`.
        scope: String,
        /// Until when, where that is known.
        expires: Option<Timestamp>,
    },
    /// The provider gave nothing.
    Failed(Failure),
    /// Somebody must go there again.
    Broken(Broken),
    /// Nobody has been there yet.
    New,
    /// That browser is not expected, or not any more.
    Unexpected,
    /// It was sealed under a master key that is gone.
    Sealed,
    /// Asked by an older record than it knows.
    Outdated,
    /// The connection is gone.
    Ended,
    /// `new`, `connected` or `broken`; and if so, since when and why.
    Status(String, Option<Broken>),
    /// Done.
    Done,
    /// To itself: make this call.
    Call(Box<Wish>, u64),
    /// To itself: wait for it.
    Wait(Box<Wish>, u64),
}

impl Protocol for Connection {
    const BINDING: &'static str = "CONNECTIONS";
    /// Who asks waits for the provider, too.
    const PATIENCE: Seconds = Seconds(11);
    type Command = Command;
    type Reply = Reply;
}
