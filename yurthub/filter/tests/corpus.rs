//! Runs the body of the fuzz target over its corpus, and over real items whole, cut short and with single
//! bytes changed, the same ones in each run.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

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
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

#[test]
fn corpus() {
    for (name, data) in files("fuzz/corpus/apply") {
        eprintln!("{name}");
        bodies::apply(&data);
    }
}

#[test]
fn damaged_items() {
    for (name, body) in files("tests/fixtures") {
        let encoding = match name.rsplit_once('.') {
            Some((_, "json")) => Encoding::Json,
            Some((_, "pb")) => Encoding::Protobuf,
            _ => continue,
        };
        let resource = match name.split(['.', '_']).next() {
            Some("service") => "services",
            Some("pod") => "pods",
            _ => "configmaps",
        };
        eprintln!("{name}");
        let resource = bodies::RESOURCES.iter().position(|one| *one == resource).unwrap();
        let choice = u8::try_from(2 * resource).unwrap() + u8::from(encoding == Encoding::Protobuf);
        let (_, item) = single::split(encoding, &body.into()).unwrap();
        let mut data = [&[choice], &item[..]].concat();
        bodies::apply(&data);
        let step = data.len() / 100 + 1;
        for at in (1..data.len()).step_by(step) {
            bodies::apply(&data[..at]);
            for mask in [0x04, 0x80] {
                data[at] ^= mask;
                bodies::apply(&data);
                data[at] ^= mask;
            }
        }
    }
}
