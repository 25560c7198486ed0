//! What each leak gives, and what it does not: a master key, a dump of storage, both, the log.

use crate::world::*;
use edgemint::{
    crypto::{KINDS, Keys, Secret},
    model::{
        place::Shard,
        ticket::{Access, Claims, Code, Refresh, Subject, Ticket},
    },
    objects::protocol::account_shard::SessionRef,
};
use serde_json::{Value, json};

fn keys(master: &str) -> Keys {
    Keys::parse(master, ISSUER).unwrap_or_else(|why| panic!("{why}"))
}

/// The secret of a row, as somebody reads it in a dump.
fn secret_of(row: &str) -> Secret {
    let row: Value = serde_json::from_str(row).unwrap();
    edgemint::json::take(row["secret"].clone()).unwrap()
}

/// The only row of a sort.
fn stolen(site: &Site, binding: &'static str, sort: &str) -> Secret {
    use edgemint::host::Store as _;
    let disks = site.world.disks(binding);
    let tables = disks.iter().flat_map(|(_, disk)| {
        let tables = disk.tables().unwrap();
        tables.into_iter().filter(|table| table.starts_with(sort)).map(move |table| (disk, table))
    });
    let rows = tables.flat_map(|(disk, table)| disk.scan(&table, None, None, 9).unwrap());
    secret_of(&rows.last().unwrap().2)
}

/// The proofs that the rows of a dump would give, and the tickets that some master key makes of them.
struct Forger {
    keys: Keys,
    grant: Secret,
    session: Secret,
}

impl Forger {
    fn code(&self, real: &Code) -> String {
        let proof = self.grant.proof(&[b"code"]);
        Code { proof, ..real.clone() }.seal(&self.keys).unwrap()
    }

    fn refresh(&self, real: &Refresh) -> String {
        let proof = self.grant.proof(&[b"refresh", &real.generation.to_be_bytes()]);
        Refresh { proof, ..real.clone() }.seal(&self.keys).unwrap()
    }

    fn access(&self, real: &Access) -> String {
        let claims = Claims { id: "forged".into(), ..real.claims.clone() };
        let proof = self.grant.mac(&[b"access"]).proof(&[&claims.bytes().unwrap()]);
        Access { claims, proof }.seal(&self.keys).unwrap()
    }

    fn session(&self, real: &SessionRef) -> String {
        let proof = self.session.proof(&[b"session"]);
        SessionRef { proof, ..real.clone() }.seal(&self.keys).unwrap()
    }
}

/// What a forger can do: a code redeemed, a refresh, an access token that is active, a browser that is signed in.
fn gains(forge: impl Fn(&Site) -> Forger) -> [bool; 4] {
    let site = Site::new();
    let own = keys(KEY_A);
    let code = site.code("demo-web", &[]);
    let offered = forge(&site).code(&Code::open(&own, &code).unwrap());
    let (status, answer) = site.redeem(&offered);
    let redeemed = status == 200;
    let tokens = if redeemed { answer } else { site.redeem(&code).1 };
    let forger = forge(&site);
    let access = Access::open(&own, &string(&tokens, "access_token")).unwrap();
    let active = site.inspect(&forger.access(&access))["active"] == true;
    let refresh = Refresh::open(&own, &string(&tokens, "refresh_token")).unwrap();
    let refreshed = site.refresh(&forger.refresh(&refresh)).0 == 200;
    let session = SessionRef::open(&own, &site.cookie("edgemint-session").unwrap()).unwrap();
    let cookie = format!("edgemint-session={}", forger.session(&session));
    let target = format!("/authorize?{}", form(&authorization("demo-web", &[("prompt", "consent")])));
    let page = site.send(&request(http::Method::GET, &target, &[("cookie", &cookie)], ""));
    [redeemed, refreshed, active, text(&page).contains("consent-allow")]
}

#[test]
fn a_master_key_alone_makes_no_code_refresh_token_session_or_access_token_of_a_grant() {
    let guess = || Secret(vec![0; 32]);
    let forge = |_: &Site| Forger { keys: keys(KEY_A), grant: guess(), session: guess() };
    assert_eq!(gains(forge), [false; 4]);
}

#[test]
fn a_dump_of_storage_without_a_master_key_makes_nothing() {
    let forge = |site: &Site| Forger {
        keys: keys(KEY_B),
        grant: stolen(site, "GRANTS", "grants"),
        session: stolen(site, "ACCOUNTS", "sessions"),
    };
    assert_eq!(gains(forge), [false; 4]);
}

#[test]
fn a_dump_and_its_master_key_together_make_everything() {
    let forge = |site: &Site| Forger {
        keys: keys(KEY_A),
        grant: stolen(site, "GRANTS", "grants"),
        session: stolen(site, "ACCOUNTS", "sessions"),
    };
    // That this is true says that the two tests above would see it.
    assert_eq!(gains(forge), [true; 4]);
}

#[test]
fn a_master_key_alone_makes_tokens_of_a_client_for_itself_once_one_of_them_was_seen() {
    let site = Site::new();
    let now = edgemint::host::Host::now(&site.world);
    let claims = |incarnation: &str, version: u64| Claims {
        subject: Subject::Client {
            shard: Shard::parse("weur-0").unwrap(),
            client: "demo-machine".into(),
            incarnation: incarnation.into(),
            version,
        },
        scope: edgemint::model::scope::Scope::parse("orders.read").unwrap(),
        issued: now,
        expires: now.plus(edgemint::host::Seconds(3600)),
        id: "forged".into(),
    };
    let forged = |claims: Claims| Access { claims, proof: Secret::default() }.seal(&keys(KEY_A)).unwrap();
    // The life of a client is random, and every token of its own names it.
    let (_, own) = site.token(MACHINE, &OWN);
    let seen = Access::open(&keys(KEY_A), &string(&own, "access_token")).unwrap().claims.subject;
    let Subject::Client { incarnation, version, .. } = seen else { panic!("not the client's own") };
    assert_eq!(site.inspect(&forged(claims(&incarnation, version)))["active"], true);
    // Disabling the client ends what was forged, too; and so does taking the key from the list.
    site.patch("/admin/clients/demo-machine", &json!({ "enabled": false }));
    assert_eq!(site.inspect(&forged(claims(&incarnation, version))), dead());
}

#[test]
fn a_log_holds_nothing_that_opens_anything() {
    let site = Site::new();
    let tokens = site.tokens();
    site.refresh(&string(&tokens, "refresh_token"));
    site.refresh("emr_a.garbage");
    let log: String = site.world.events().iter().map(Value::to_string).collect();
    assert!(log.contains("grants_"), "it names the grant");
    for (_, prefix) in KINDS {
        assert!(!log.contains(&format!("{prefix}_")), "{prefix}");
    }
}
