//! The cloud with two apiservers, second by second.

use super::*;
use Evidence::{Answer, ConnectFailed, ConnectionLost, Silence, Unwatched};

const PATIENCE: Patience = Patience {
    first_verdict: Duration::from_secs(1),
    doubt: Duration::from_secs(1),
};
const SETTLING: Duration = Duration::from_secs(10);
const A: ServerId = ServerId(0);
const B: ServerId = ServerId(1);
const UP: Standing = Standing::Active(Phase::Up);
const DOWN: Standing = Standing::Active(Phase::Down);

fn fleet(now: Instant, origins: &[(Origin, bool)]) -> Fleet {
    let mut fleet = Fleet::new(PATIENCE);
    for origin in origins {
        fleet.add(*origin, SETTLING, now);
    }
    fleet
}

fn two(now: Instant) -> Fleet {
    fleet(now, &[(Origin::Configured, false); 2])
}

fn after(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

#[test]
fn the_cloud_is_there_with_the_first_that_answers_and_the_other_rests() {
    let now = Instant::now();
    let mut fleet = two(now);
    assert_eq!((fleet.errand(A), fleet.errand(B)), (Errand::Seek, Errand::Seek));
    assert_eq!(fleet.on(A, Answer, now), Some(Phase::Up));
    assert_eq!(fleet.standing(B), Standing::Resting { works: false });
    assert!(matches!(fleet.errand(B), Errand::Check(_)));
    assert_eq!(fleet.attempted(B, Answer, (now, 1.0)), (false, None));
    assert_eq!(fleet.standing(B), Standing::Resting { works: true });
    assert_eq!(fleet.order(now), [A, B]);
}

#[test]
fn the_cloud_is_away_only_when_all_that_count_have_failed() {
    let now = Instant::now();
    let mut fleet = two(now);
    assert_eq!(fleet.on(A, ConnectFailed, now), None);
    assert_eq!(fleet.on(B, ConnectFailed, now), Some(Phase::Down));
    let mut fleet = two(now);
    assert_eq!(fleet.tick(after(now, 1)), Some(Phase::Down));
}

#[test]
fn when_one_dies_the_other_is_asked_and_takes_over_without_an_outage() {
    let now = Instant::now();
    let mut fleet = two(now);
    fleet.on(A, Answer, now);
    assert_eq!(fleet.on(A, ConnectionLost, now), Some(Phase::Suspect));
    assert_eq!(fleet.errand(B), Errand::Seek);
    assert_eq!(fleet.on(A, ConnectFailed, now), None, "B has its time");
    assert_eq!(fleet.order(now), [B], "what is down is not tried before it");
    assert_eq!(fleet.on(B, Answer, now), Some(Phase::Up));
    assert_eq!((fleet.standing(A), fleet.standing(B)), (DOWN, UP));
    assert_eq!(fleet.errand(A), Errand::Check(after(now, 1)));
}

#[test]
fn silence_of_one_is_no_doubt_while_another_is_used() {
    let now = Instant::now();
    let mut fleet = two(now);
    fleet.on(A, Answer, now);
    fleet.on(A, Silence, now);
    fleet.on(B, Answer, now);
    assert_eq!(fleet.tick(after(now, 1)), None);
    assert_eq!((fleet.standing(A), fleet.phase), (DOWN, Phase::Up));
}

#[test]
fn when_both_die_the_cloud_is_away_and_with_one_it_is_back() {
    let now = Instant::now();
    let mut fleet = two(now);
    fleet.on(A, Answer, now);
    fleet.on(A, ConnectFailed, now);
    assert_eq!(fleet.tick(after(now, 1)), Some(Phase::Down));
    assert_eq!((fleet.errand(A), fleet.errand(B)), (Errand::Seek, Errand::Seek));
    assert_eq!(
        fleet.attempted(B, Answer, (after(now, 2), 1.0)),
        (true, Some(Phase::Up))
    );
    assert_eq!(fleet.order(after(now, 2)), [B], "at once, nobody else is there");
}

#[test]
fn a_preferred_server_that_is_back_is_used_again_when_it_has_stayed() {
    let now = Instant::now();
    let mut fleet = two(now);
    fleet.on(A, ConnectFailed, now);
    fleet.on(B, Answer, now);
    assert_eq!(fleet.attempted(A, Answer, (now, 1.0)), (true, None));
    assert_eq!(fleet.order(after(now, 9)), [B, A]);
    assert_eq!(fleet.order(after(now, 10)), [A, B]);
    fleet.rest(B, after(now, 10));
    assert_eq!(fleet.standing(B), Standing::Resting { works: true });
    // A doubt that passes is no return.
    fleet.on(A, ConnectionLost, after(now, 11));
    fleet.on(A, Answer, after(now, 11));
    assert_eq!(fleet.order(after(now, 11)), [A, B]);
}

#[test]
fn learned_servers_count_once_they_have_worked() {
    let now = Instant::now();
    let mut fleet = fleet(now, &[(Origin::Configured, false), (Origin::Learned, false)]);
    assert_eq!(fleet.standing(B), Standing::Resting { works: false });
    assert_eq!(
        fleet.on(A, ConnectFailed, now),
        Some(Phase::Down),
        "B is not waited for"
    );
    assert_eq!(fleet.order(now), [A]);
    let Errand::Check(first) = fleet.errand(B) else {
        panic!("it is looked for all the same")
    };
    assert_eq!(fleet.attempted(B, Silence, (first, 1.0)), (false, None));
    assert_eq!(fleet.errand(B), Errand::Check(first + Duration::from_mins(2)));
    assert_eq!(fleet.attempted(B, Answer, (first, 1.0)), (true, Some(Phase::Up)));
    assert!(fleet.has_worked(B));
    fleet.on(B, ConnectFailed, first);
    assert_eq!(fleet.errand(B), Errand::Seek, "from now on it is counted on");
}

#[test]
fn checks_of_what_never_answers_become_rare() {
    let now = Instant::now();
    let mut fleet = fleet(now, &[(Origin::Configured, false), (Origin::Learned, false)]);
    fleet.on(A, Answer, now);
    for _ in 0..20 {
        fleet.attempted(B, Silence, (now, 1.0));
    }
    assert_eq!(fleet.errand(B), Errand::Check(now + Duration::from_hours(1)));
}

#[test]
fn a_server_with_a_wrong_certificate_or_without_a_name_is_not_used() {
    let now = Instant::now();
    let mut fleet = fleet(now, &[(Origin::Configured, false), (Origin::Learned, true)]);
    fleet.dismiss(B, now);
    assert_eq!(
        (fleet.standing(B), fleet.order(now)),
        (Standing::Dismissed, vec![A])
    );
    assert_eq!(fleet.errand(B), Errand::Check(now + UNFIT));
    fleet.attempted(B, Answer, (now, 1.0));
    assert_eq!(fleet.standing(B), UP, "its certificate was replaced");
    fleet.set_gone(B, true, now);
    assert_eq!(
        (fleet.standing(B), fleet.errand(B)),
        (Standing::Dismissed, Errand::Idle)
    );
}

#[test]
fn an_orderly_end_of_the_last_watch_over_a_server_is_doubt_only_where_no_other_is_used() {
    let now = Instant::now();
    let mut fleet = two(now);
    fleet.on(A, Answer, now);
    assert_eq!(fleet.on(A, Unwatched, now), Some(Phase::Suspect));
    fleet.on(B, Answer, now);
    fleet.on(A, Answer, now);
    fleet.on(B, Unwatched, now);
    assert_eq!(fleet.standing(B), Standing::Resting { works: true });
}
