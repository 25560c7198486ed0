//! What keys cost while the registry is away, or has no room for more.

use super::{Isolate, TYP, keys, kid, with_header};
use crate::world::*;
use edgemint::{
    error::Code,
    host::{Algorithm, Seconds},
    jws,
};
use serde_json::json;

#[test]
fn a_kid_that_nobody_knows_waits_for_no_registry_that_is_away() {
    let site = Site::new();
    let isolate = Isolate::of(&site);
    let header = format!("{{\"alg\":\"ES256\",\"typ\":\"{TYP}\",\"kid\":\"unknown\"}}");
    let forged = with_header(&isolate.sign(), &header);
    let open = || isolate.at(async |cx| jws::open(cx, TYP, &forged).await.map_err(|error| error.code));
    site.world.pass(Seconds(6));
    site.world.fate("REGISTRY", &[Fate::Lost; 2]);
    site.world.operations();
    for _ in 0..100 {
        assert_eq!(open(), Err(Code::TemporarilyUnavailable), "nobody knows");
    }
    assert_eq!(site.world.operations(), ["REGISTRY", "REGISTRY"], "asked once, and once again");
    site.world.pass(Seconds(5));
    assert_eq!(open(), Ok(None));
}

#[test]
fn a_rotation_that_fails_is_tried_again_after_five_seconds_and_not_where_there_is_no_room() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "keys.rotationDays": 1, "keys.publishSeconds": 4000 }));
    let isolate = Isolate::of(&site);
    let first = isolate.sign();
    site.world.pass(Seconds(86_400 - 4000 - 10));
    isolate.sign();
    site.world.pass(Seconds(11));
    site.world.fate("REGISTRY", &[Fate::Lost; 100]);
    isolate.sign();
    site.world.operations();
    for _ in 0..50 {
        assert_eq!(kid(&isolate.sign()), kid(&first), "the old one signs on");
    }
    assert!(site.world.operations().iter().filter(|one| *one == "REGISTRY").count() <= 2);
    // A year's tokens keep every key: after twenty there is none more, and nobody asks for one with each signature.
    site.world.fate("REGISTRY", &[]);
    for _ in 0..25 {
        site.world.pass(Seconds(86_400));
        isolate.sign_for(Algorithm::Es256, 31_536_000).unwrap();
    }
    assert_eq!(keys(&site).len(), 20);
    site.world.operations();
    for _ in 0..50 {
        isolate.sign();
    }
    assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
}
