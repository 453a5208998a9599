//! Each finding of yurtctl is in the table of docs/yurtctl.md, and the table has no other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names in `error("name", …` and `warning("name", …`, outside tests.
fn in_code() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in ["error(", "warning("] {
            for rest in code.split(call).skip(1) {
                let Some(quoted) = rest.trim_start().strip_prefix('"') else {
                    continue;
                };
                // Not the text of `#[error("…")]`.
                let name = quoted.split('"').next().unwrap();
                if name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()) {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}

/// The names in the first column of the table below `## Doctor`.
fn in_docs() -> BTreeSet<String> {
    let text = include_str!("../../docs/yurtctl.md");
    let (_, part) = text.split_once("## Doctor").unwrap();
    let part = part.split("\n## ").next().unwrap();
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    let first = rows.map(|row| row.split('|').nth(1).unwrap());
    first
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned))
        .collect()
}

#[test]
fn the_table_of_findings_is_complete() {
    let code = in_code();
    assert!(code.contains("no-dns") && code.len() > 25, "{code:?}");
    assert_eq!(code, in_docs());
}
