//! That a client is used, told to the registry: of clients that registered themselves or are a document, since these end
//! when nobody uses them. The first time before it gets anything; from then on once a day, and no request fails for it.

use super::{Context, Limited};
use crate::{
    crypto,
    error::{Code, Error, Fault},
    host::{self, Author, Host, Seconds},
    model::{client::Client, policy::Policy},
    objects::protocol::registry::{self, Command, Registry, Reply},
    wire::Request,
};
use futures_util::future::{Either, select};
use std::{pin::pin, rc::Rc};

/// How long a request that has succeeded waits for the registry to hear of it, in milliseconds.
const PATIENCE: u64 = 500;
/// And how long an isolate then does not try again for that client.
const AGAIN: Seconds = Seconds(300);

impl<H: Host> Context<'_, H> {
    /// Before a person's decision is kept: what is given to a client that the registry takes for unused, or does not know,
    /// would not end with it. Gives the client as it is from now on.
    pub async fn begin_use(
        &self,
        request: &Request,
        policy: &Policy,
        client: Rc<Client>,
        username: &str,
    ) -> Result<Rc<Client>, Error> {
        if !client.unused {
            return Ok(client);
        }
        let command = match client.version {
            0 => {
                if let Some(until) = self.strike(Limited::Registration, policy, request, "").await {
                    let detail = "too many applications became known from this address: wait";
                    return Err(Error::new(Code::TooManyRequests, detail).after(until.wait(self.now)));
                }
                let incarnation = crypto::text(&self.host.random::<8>());
                Command::Adopt(Box::new(Client { incarnation, ..Client::clone(&client) }))
            }
            _ => Command::Use(client.id.clone()),
        };
        let (kind, name, trace) = ("user".to_owned(), username.to_owned(), self.trace.clone());
        let by = Author { kind, name, address: None, trace };
        let reply = host::ask::<Registry, H>(self.host, registry::NAME, command, Some(by)).await?;
        let over = |why: &'static str| {
            Error::new(Code::InvalidClient, "the application is not registered here any more").because(why)
        };
        match *reply {
            Reply::Changed(_, told) if told.acknowledged < told.of => Err(Error::stale()),
            Reply::Client(Some(client)) | Reply::Changed(client, _) => {
                Ok(self.memory().remember(*client, self.now))
            }
            Reply::Client(None) => Err(over("expired client")),
            Reply::Invalid(_) => Err(over("document refused")),
            _ => Err(Fault::new("the registry gave no client").into()),
        }
    }

    /// After a request of a client succeeded.
    pub async fn tell_of_use(&self, client: &Client, policy: &Policy) {
        let due = client.slides(policy, self.now).is_some();
        if !due || !self.memory().may_tell(&client.id, self.now, AGAIN) {
            return;
        }
        let telling = self.ask::<Registry>(registry::NAME, Command::Use(client.id.clone()));
        if let Either::Left((Ok(reply), _)) = select(pin!(telling), pin!(self.host.pause(PATIENCE))).await
            && let Reply::Client(Some(client)) = *reply
        {
            self.memory().remember(*client, self.now);
        }
    }
}
