//! Access tokens that are JWTs (RFC 9068): what they say, who can verify them, and what they are good for.

use crate::world::*;
use edgemint::host::{Host as _, Seconds, Store as _};

#[test]
fn a_grant_knows_when_its_person_proved_themself_and_a_row_of_before_is_read() {
    let site = Site::new();
    let since = site.world.now().0;
    site.code("demo-web", &[]);
    site.world.pass(Seconds(600));
    let code = site.code("demo-web", &[]);
    let dump = site.world.dump();
    assert_eq!(
        dump.matches(&format!("\\\"auth_time\\\":{since}")).count(),
        3,
        "session and two grants: {dump}"
    );
    // A row that was written before this was known.
    for (_, disk) in site.world.disks("GRANTS") {
        for table in disk.tables().unwrap() {
            for (owner, key, row) in disk.scan(&table, None, None, 9).unwrap() {
                disk.put(&table, &owner, &key, &row.replace(&format!(",\"auth_time\":{since}"), "")).unwrap();
            }
        }
    }
    assert_eq!(site.world.dump().matches("\\\"auth_time").count(), 1);
    assert_eq!(site.redeem(&code).0, 200);
}
