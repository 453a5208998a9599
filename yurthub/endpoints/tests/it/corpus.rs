//! Runs the body of the fuzz target over its corpus, and over real bytes whole, cut short and with
//! single bytes changed.

use std::{fs, path::Path};

use yurthub_object::{Encoding, single};

use crate::bodies;

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let read = |entry: fs::DirEntry| {
        (
            entry.file_name().into_string().unwrap(),
            fs::read(entry.path()).unwrap(),
        )
    };
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| read(entry.unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn corpus() {
    for (name, data) in files("fuzz/corpus/show") {
        eprintln!("{name}");
        bodies::show(&data);
    }
}

#[test]
fn damaged_fixtures() {
    for (name, data) in files("tests/fixtures") {
        eprintln!("{name}");
        let (encoding, bit) = match Path::new(&name).extension() {
            Some(extension) if extension == "pb" => (Encoding::Protobuf, 1),
            _ => (Encoding::Json, 0),
        };
        let kind = if name.starts_with("slice") { 0 } else { 2 };
        let (_, item) = single::split(encoding, &data.into()).unwrap();
        let mut data = [&[kind | bit], &item[..]].concat();
        bodies::show(&data);
        let step = data.len() / 150 + 1;
        for at in (1..data.len()).step_by(step) {
            bodies::show(&data[..at]);
            for mask in [0x01, 0x04, 0x88] {
                data[at] ^= mask;
                bodies::show(&data);
                data[at] ^= mask;
            }
        }
    }
}
