//! Rows of grants as they lie in a shard after a person allowed something and the client redeemed the code: two turns of the
//! shard's own code for each, with a clock and dice of their own. Nothing of the HTTP before it happens.

use crate::{
    Failure,
    operations::vars,
    world::{World, now},
};
use edgemint::{
    context::{Config, Context, Memory},
    host::{Host as _, Seconds},
    issue::{self, Authorization},
    json,
    model::{
        account,
        client::Client,
        grant::{Binding, Command, Offer, Person, Reply, Returned},
        pkce::Challenge,
        place::{Address, Shard, Table},
        policy::Policy,
        scope::Scope,
    },
};
use serde_json::Value;
use std::io::{BufRead as _, BufWriter, Write as _};

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Between the draw of a table and the grant in it, at most.
const WAIT: Seconds = Seconds(60);

/// Writes `[table, owner, key, row]` for each grant, and `{"access": …, "refresh": …}` for as many as are to be used. The
/// client and the policy, as the registry keeps them, are the first two lines of standard input.
pub fn write(issuer: &str, shard: &str, [count, samples, ago]: [&str; 3]) -> Result<(), Failure> {
    let (count, samples, ago): (usize, usize, u64) = (count.parse()?, samples.parse()?, ago.parse()?);
    let shard = Shard::parse(shard).ok_or("no such shard")?;
    let mut lines = std::io::stdin().lock().lines();
    let mut line = || lines.next().ok_or("client and policy are missing");
    let client: Client = json::read(&line()??).map_err(edgemint::error::Fault::into_cause)?;
    let policy: Policy = json::read(&line()??).map_err(edgemint::error::Fault::into_cause)?;
    let world = World::new(ago)?;
    let (config, memory) = (Config::read(&vars(issuer))?, Memory::default());
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for at in 0..count {
        let cx = Context::new(&world, &config, &memory);
        let made = now(make(&cx, &client, &policy, shard)).ok_or("it waits")?;
        let (authorization, table) = made?;
        for (name, (owner, key, row)) in world.disk("GRANTS", &shard.to_string()).take(&table.name("grants"))
        {
            writeln!(out, "{}", serde_json::json!([name, owner, key, row]))?;
        }
        // Spread over all of them.
        if samples > 0 && at % count.div_ceil(samples) == 0 {
            let tokens = issue::tokens(&cx, &client, &policy, authorization);
            let tokens = now(tokens).ok_or("it waits")?.map_err(|error| error.detail.to_string())?;
            let told: Value =
                serde_json::json!({ "access": tokens.access_token, "refresh": tokens.refresh_token });
            writeln!(out, "{told}")?;
        }
    }
    out.flush()?;
    Ok(())
}

/// One grant of a person of its own, offered and redeemed.
async fn make(
    cx: &Context<'_, World>,
    client: &Client,
    policy: &Policy,
    shard: Shard,
) -> Result<(Authorization, Table), Failure> {
    let username = format!("person-{}", u32::from_be_bytes(cx.host.random()));
    let person = Person {
        sub: account::draw_sub(&username, cx.host.random()),
        username,
        version: 1,
        groups: vec!["orders-staff".to_owned()],
        auth_time: Some(cx.now),
        withdrawals: 0,
    };
    let lifetime = issue::lifetime(client, policy, true);
    let drawn = issue::draw_address(cx, client, policy, (&person.sub, WAIT), lifetime);
    let address = Address { shard, ..drawn };
    let redirect_uri = client.metadata.redirect_uris.first().map(ToString::to_string).unwrap_or_default();
    let offer = Offer {
        client: client.reference(),
        person,
        scope: Scope::parse("orders.read orders.write")?,
        binding: Binding {
            challenge: Challenge::parse(CHALLENGE),
            redirect_uri: redirect_uri.clone(),
            redirect_uri_required: true,
            redirect_uri_sent: true,
        },
        code_lifetime: client.code_lifetime(policy),
        absolute: lifetime,
        until: address.table.end(),
        openid: None,
    };
    let offered = cx.ask_grant(&address, policy.version, Command::Offer(Box::new(offer))).await;
    let Ok(Reply::Offered(proof)) = offered else { return Err(format!("not offered: {offered:?}").into()) };
    let redeem = Command::Redeem {
        client: client.reference(),
        proof,
        verifier: Some(VERIFIER.to_owned()),
        redirect_uri: Some(redirect_uri),
        returned: Returned::Usual,
        terms: client.terms_of_redemption(policy),
    };
    match cx.ask_grant(&address, policy.version, redeem).await {
        Ok(Reply::Issued(issued)) => {
            let table = address.table;
            Ok((Authorization::Grant(address, issued), table))
        }
        other => Err(format!("not redeemed: {other:?}").into()),
    }
}
