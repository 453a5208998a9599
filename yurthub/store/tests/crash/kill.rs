//! SIGKILL at random moments, one life after another over the same folder.

use std::time::Duration;

use yurthub_store::EngineKind;

use crate::writer::Writer;

const KILLS: u32 = 15;

pub(crate) fn run(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut acked = 0;
    for kill in 0..KILLS {
        let writer = Writer::start(engine, dir.path(), seed);
        // Some die while they open.
        if kill % 4 != 3 {
            let found = writer.opened();
            assert!(
                found >= acked,
                "{engine}, seed {seed}: batch {acked} was acknowledged, {found} is the last there"
            );
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..120))); // the random moment, not a wait for something
        acked = acked.max(writer.acked());
        writer.kill();
    }
    let writer = Writer::start(engine, dir.path(), seed);
    let found = writer.opened();
    assert!(
        found >= acked && acked > 0,
        "{engine}, seed {seed}: {acked} acknowledged, {found} found"
    );
    writer.kill();
    println!("{engine}: {KILLS} kills, {acked} batches");
}
