//! When it is valid.

use super::*;

#[test]
fn times_are_those_of_the_apiserver_while_the_cloud_is_there() {
    let signer = Signer::p256("k");
    let keys = key_set(&[signer.jwk()]);
    let begins_late = with("/nbf", json!(FROM + 500));
    let issued_late = with("/iat", json!(FROM + 500));
    let late = Err(Refusal::NotYetValid { from: FROM + 500 });
    let over = Err(Refusal::Expired { since: UNTIL });
    for (claims, now, times) in [
        (claims(), FROM - LEEWAY, Ok(Times::Current)),
        (
            claims(),
            FROM - LEEWAY - 1,
            Err(Refusal::NotYetValid { from: FROM }),
        ),
        (begins_late.clone(), FROM + 500 - LEEWAY, Ok(Times::Current)),
        (begins_late, FROM + 500 - LEEWAY - 1, late.clone()),
        (issued_late.clone(), FROM + 500 - LEEWAY, Ok(Times::Current)),
        (issued_late, FROM + 500 - LEEWAY - 1, late),
        (claims(), UNTIL + LEEWAY, Ok(Times::Current)),
        (claims(), UNTIL + LEEWAY + 1, over.clone()),
        (claims(), i64::MAX, over),
        (claims(), i64::MIN, Err(Refusal::NotYetValid { from: FROM })),
    ] {
        let verified = verify_at(&signer.token(&claims), &keys, now, None);
        assert_eq!(
            verified.map(|verified| verified.times),
            times,
            "at {now}: {claims}"
        );
    }
}

#[test]
fn times_while_the_cloud_is_away() {
    let signer = Signer::p256("k");
    let keys = key_set(&[signer.jwk()]);
    let over = Err(Refusal::Expired { since: UNTIL });
    let outlived = Ok(Times::Outlived { since: UNTIL });
    let early = Ok(Times::Early { from: FROM });
    let year = 365 * 86_400;
    let to_node = with("/kubernetes.io/pod", Value::Null);
    for (claims, cut, now, times) in [
        // Of a pod: what was good when the cut began stays good.
        (claims(), FROM + 100, FROM + 200, Ok(Times::Current)),
        (claims(), FROM + 100, UNTIL + LEEWAY, Ok(Times::Current)),
        (claims(), FROM + 100, UNTIL + LEEWAY + 1, outlived.clone()),
        (claims(), FROM + 100, UNTIL + year, outlived.clone()),
        (claims(), UNTIL + LEEWAY, UNTIL + year, outlived.clone()),
        (claims(), UNTIL + LEEWAY + 1, UNTIL + year, over.clone()),
        // A clock that fell back changes neither.
        (claims(), FROM + 100, 0, Ok(Times::Current)),
        (claims(), UNTIL + LEEWAY + 1, 0, over.clone()),
        (claims(), UNTIL + LEEWAY + 1, FROM, over.clone()),
        // What begins ahead of the clock: only told.
        (claims(), FROM - 2 * LEEWAY, FROM - 2 * LEEWAY, early.clone()),
        (claims(), 0, 100, early),
        // Of no pod: as long as it lasts, and a clock that fell back is not believed.
        (unbound(), FROM + 100, UNTIL + LEEWAY, Ok(Times::Current)),
        (unbound(), FROM + 100, UNTIL + LEEWAY + 1, over.clone()),
        (unbound(), UNTIL + LEEWAY + 1, 0, over.clone()),
        (to_node.clone(), FROM + 100, UNTIL + LEEWAY, Ok(Times::Current)),
        (to_node, FROM + 100, UNTIL + LEEWAY + 1, over.clone()),
        (claims(), i64::MIN, i64::MAX, outlived),
        (claims(), i64::MAX, i64::MIN, over),
    ] {
        let verified = verify_at(&signer.token(&claims), &keys, now, Some(cut));
        assert_eq!(
            verified.map(|verified| verified.times),
            times,
            "cut at {cut}, now {now}: {claims}"
        );
    }
}
