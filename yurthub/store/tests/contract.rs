//! What every engine must do, from outside: one suite, run on each.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of it is test")]

#[path = "contract/damage.rs"]
mod damage;
#[path = "contract/fixture.rs"]
mod fixture;
#[path = "contract/group_commit.rs"]
mod group_commit;
#[path = "contract/reading.rs"]
mod reading;

use yurthub_store::EngineKind;

/// One test per engine and line.
macro_rules! suite {
    ($($suite:ident::$test:ident),* $(,)?) => {
        mod sqlite { $(#[test] fn $test() { super::$suite::$test(super::EngineKind::Sqlite); })* }
        mod sled { $(#[test] fn $test() { super::$suite::$test(super::EngineKind::Sled); })* }
        mod memory { $(#[test] fn $test() { super::$suite::$test(super::EngineKind::Memory); })* }
    };
}

suite!(
    reading::values_are_put_overwritten_and_deleted,
    reading::scans_go_in_key_order_within_the_prefix,
    reading::scans_show_pending_over_stored,
    reading::a_snapshot_stays_as_it_was_while_writers_run,
    reading::a_snapshot_outlives_the_store,
    reading::replacing_a_list_is_atomic,
    reading::usage_counts_entries_and_bytes,
    reading::oversized_and_unsealable_batches_are_refused_whole,
    group_commit::writes_of_one_interval_share_a_commit,
    group_commit::a_durable_write_does_not_wait_for_the_interval,
    group_commit::unchanged_values_are_not_written_again,
    group_commit::too_much_pending_is_refused,
    group_commit::a_closed_store_refuses_writes_and_keeps_reading,
    group_commit::values_survive_reopening,
    damage::a_second_opener_is_refused,
    damage::a_newer_format_is_refused_and_not_touched,
    damage::another_engine_is_refused,
    damage::a_flipped_bit_makes_one_value_corrupt,
    damage::another_sealing_key_reads_corrupt_not_absent,
    damage::sealed_values_are_not_in_the_files,
    damage::a_damaged_database_opens_and_says_so,
    damage::many_flipped_bits_never_yield_a_wrong_value,
);
