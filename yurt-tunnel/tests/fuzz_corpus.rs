//! Runs the bodies of the fuzz targets over the committed corpus.

#![expect(clippy::expect_used, reason = "a corpus that cannot be read is a failed test")]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::path::Path;

fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("an entry of the corpus").path();
        body(&std::fs::read(path).expect("an input of the corpus"));
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is not empty");
}

#[test]
fn messages_of_the_corpus() {
    run("messages", bodies::messages);
}

#[test]
fn heads_of_the_corpus() {
    run("connect", bodies::connect);
}

#[test]
fn greetings_of_the_corpus() {
    run("greeting", bodies::greeting);
}

#[test]
fn datagrams_of_the_corpus() {
    run("netlink", bodies::netlink);
}
