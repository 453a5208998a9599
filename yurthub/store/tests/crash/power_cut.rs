//! Power cuts of a running writer, each boot on what the last cut left.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use powercut_disk::cache::{Cut, KeepPercent};
use powercut_disk::rig::Rig;
use yurthub_store::EngineKind;

use crate::writer::Writer;

const DISK: usize = 64 << 20;
/// Boots on the same disk before a new one is formatted.
const LIVES: u32 = 6;
/// How long to wait for a moment with enough unflushed blocks.
const AIM: Duration = Duration::from_millis(150);

pub(crate) fn run(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let count = std::env::var("STORE_POWER_CUTS").unwrap_or_else(|_| "10".to_owned());
    crate::run_isolated(&[
        "power cuts",
        &engine.to_string(),
        dir.path().to_str().unwrap(),
        &count,
    ]);
}

pub(crate) fn drive(engine: EngineKind, dir: &Path, count: u32) {
    let seed = fastrand::u64(..);
    println!("{engine}: seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = crate::child(&["disk"]);
    let (mut cuts, mut batches) = (Vec::<Cut>::new(), 0);
    let (image, next_image) = (dir.join("image"), dir.join("next-image"));
    let mut acked = 0;
    for cut in 0..count {
        let new_disk = cut % LIVES == 0;
        let mut rig = if new_disk {
            Rig::format(dir, DISK, &disk)
        } else {
            Rig::resume(dir, &image, &disk)
        }
        .unwrap();
        if new_disk {
            batches += acked;
            acked = 0;
        }
        let history = seed.wrapping_add(u64::from(cut / LIVES));
        let writer = Writer::start(engine, &rig.mountpoint(), history);
        let while_it_opens = cut % 4 == 3;
        if !while_it_opens {
            let found = writer.opened();
            assert!(
                found >= acked,
                "{engine}, seed {seed}, cut {cut}: {acked} was acknowledged, {found} is the last there"
            );
        }
        let longest = if while_it_opens { 60 } else { 200 };
        std::thread::sleep(Duration::from_millis(random.u64(0..longest))); // the random moment, not a wait for something
        let at_least = random.usize(0..12);
        let begun = Instant::now();
        cuts.push(loop {
            acked = acked.max(writer.acked()); // before the cut: later ones may be lost
            let at_least = if begun.elapsed() < AIM { at_least } else { 0 };
            let keep = KeepPercent::random(&mut random);
            if let Some(cut) = rig.cut_if(at_least, &next_image, keep, &mut random).unwrap() {
                break cut;
            }
        });
        writer.kill();
        drop(rig);
        fs::rename(&next_image, &image).unwrap();
    }
    let rig = Rig::resume(dir, &image, &disk).unwrap();
    let last = Writer::start(
        engine,
        &rig.mountpoint(),
        seed.wrapping_add(u64::from(count.saturating_sub(1) / LIVES)),
    );
    let found = last.opened();
    assert!(
        found >= acked,
        "{engine}, seed {seed}, at the end: {acked} was acknowledged, {found} is the last there"
    );
    last.kill();
    let with = |counts: fn(&Cut) -> bool| cuts.iter().filter(|cut| counts(cut)).count();
    let (unflushed, kept) = (with(|cut| cut.unflushed > 0), with(|cut| cut.kept > 0));
    println!(
        "{engine}: {count} cuts, {unflushed} with unflushed blocks, {kept} kept a part, {} batches",
        batches + acked
    );
    assert!(batches + acked > 0, "no batch was ever acknowledged");
}

/// The positive control: without it, a rig that loses nothing would make every store look durable.
pub(crate) fn drive_control(dir: &Path) {
    let mut rig = Rig::format(dir, 16 << 20, &crate::child(&["disk"])).unwrap();
    let synced = |name: &str| {
        let mut file = File::create(rig.mountpoint().join(name)).unwrap();
        file.write_all(b"content").unwrap();
        file
    };
    synced("synced").sync_all().unwrap();
    File::open(rig.mountpoint()).unwrap().sync_all().unwrap();
    let _unsynced = synced("unsynced");
    let image = dir.join("image");
    rig.cut(&image, KeepPercent::NOTHING, &mut fastrand::Rng::new())
        .unwrap();
    drop(rig);
    let rig = Rig::resume(&dir.join("next"), &image, &crate::child(&["disk"])).unwrap();
    assert_eq!(fs::read(rig.mountpoint().join("synced")).unwrap(), b"content");
    let lost = fs::read(rig.mountpoint().join("unsynced"));
    assert!(
        !lost.is_ok_and(|content| content == b"content"),
        "what was never synced survived a cut"
    );
}
