//! Runs the bodies of the fuzz targets over their corpus, and over real bytes whole, cut short and
//! with single bytes changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]
#![expect(
    clippy::print_stderr,
    reason = "names the input that broke, shown only on failure"
)]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::{fs, path::Path};

use yurthub_object::{Encoding, single};

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                fs::read(path).unwrap(),
            )
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn over_corpus(target: &str, body: fn(&[u8])) {
    for (name, data) in files(&format!("fuzz/corpus/{target}")) {
        eprintln!("{target}/{name}");
        body(&data);
    }
}

/// What chooses the encoding of a fixture.
fn first_byte(name: &str) -> u8 {
    u8::from(
        Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "pb"),
    )
}

/// Damages each fixture in some hundred ways, the same ones in each run.
fn over_damaged_fixtures(body: fn(&[u8])) {
    for (name, mut data) in files("tests/fixtures") {
        eprintln!("{name}");
        data.insert(0, first_byte(&name));
        body(&data);
        let step = data.len() / 40 + 1;
        for at in (1..data.len()).step_by(step) {
            body(&data[..at]);
            for mask in [0x01, 0x88] {
                data[at] ^= mask;
                body(&data);
                data[at] ^= mask;
            }
        }
    }
}

#[test]
fn single() {
    over_corpus("single", bodies::single);
    over_damaged_fixtures(bodies::single);
}

#[test]
fn list() {
    over_corpus("list", bodies::list);
    over_damaged_fixtures(bodies::list);
}

#[test]
fn watch() {
    over_corpus("watch", bodies::watch);
    over_damaged_fixtures(bodies::watch);
}

#[test]
fn edit() {
    over_corpus("edit", bodies::edit);
    over_damaged_fixtures(bodies::edit);
    // Items, which is what is edited in earnest.
    for (name, data) in files("tests/fixtures") {
        let encoding = if first_byte(&name) == 0 {
            Encoding::Json
        } else {
            Encoding::Protobuf
        };
        let Ok((_, item)) = single::split(encoding, &data.into()) else {
            continue;
        };
        let mut data = [&[first_byte(&name)], &item[..]].concat();
        bodies::edit(&data);
        for at in 1..data.len() {
            data[at] ^= 0x04;
            bodies::edit(&data);
            data[at] ^= 0x04;
        }
    }
}
