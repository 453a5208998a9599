//! The files of a node, which may be off.
//!
//! Invariant: a node that runs is reached through itself (its overlay must not be written to from outside), one that
//! is off through its folders on the machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Node;
use crate::command::Cmd;

impl Node {
    /// Puts `bytes` to `path` (absolute) in the node, with permissions `mode`, owned by root, all at once (a
    /// temporary file renamed). The node may be off.
    ///
    /// # Errors
    /// When the path is not absolute, or cannot be written.
    pub fn push_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        ensure!(
            path.starts_with('/'),
            "put a file on {}: {path:?} is not an absolute path",
            self.name
        );
        let write =
            r#"mkdir -p "$(dirname "$1")" && cat >"$1.new" && chmod "$2" "$1.new" && mv -T "$1.new" "$1""#;
        let mode = format!("{mode:o}");
        let cmd = if self.is_up() {
            self.cmd(["sh", "-c", write, "sh", path, &mode])?
        } else {
            Cmd::new("sh")
                .args(["-c", write, "sh"])
                .arg(self.on_disk(path))
                .arg(mode)
        };
        cmd.stdin(bytes)
            .run_ok()
            .with_context(|| format!("put {path} on {}", self.name))?;
        Ok(())
    }

    /// The bytes of `path` (absolute) in the node, which may be off.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let failed = || format!("read {path} of {}", self.name);
        if self.is_up() {
            let cat = self.cmd(["cat", path])?;
            let output = cat.run()?;
            cat.succeeded(&output).with_context(failed)?;
            return Ok(output.stdout);
        }
        let new = self.on_disk(path);
        let original = self
            .instance
            .cache()
            .join("rootfs")
            .join(path.trim_start_matches('/'));
        fs::read(&new)
            .or_else(|_| fs::read(original))
            .with_context(failed)
    }

    /// Where a file of the node that is off lies on the machine, if it was ever written; with [`Node::bind`] in mind.
    pub fn on_disk(&self, path: &str) -> PathBuf {
        let state = self.state();
        let own = [
            ("/var/lib/containerd", "containerd"),
            ("/var/lib/kubelet", "kubelet"),
        ];
        let own = own.map(|(target, folder)| (PathBuf::from(target), state.join(folder)));
        let binds = fs::read_to_string(state.join("binds")).unwrap_or_default();
        let binds = parse_binds(&binds).into_iter().chain(own);
        for (target, source) in binds {
            if let Ok(rest) = Path::new(path).strip_prefix(&target) {
                return source.join(rest);
            }
        }
        state.join("disk").join(path.trim_start_matches('/'))
    }

    /// Puts the folder `target` of the node on another file system: from its next boot on, it is the machine's folder
    /// `source`. What the node had there is hidden. Neither path may have white space.
    ///
    /// # Errors
    /// When that cannot be noted.
    pub fn bind(&self, source: &Path, target: &str) -> Result<()> {
        let (source, file) = (source.display().to_string(), self.state().join("binds"));
        let plain = |path: &str| path.starts_with('/') && !path.contains(char::is_whitespace);
        ensure!(
            plain(&source) && plain(target),
            "bind {source:?} to {target:?}: not plain absolute paths"
        );
        let lines = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, format!("{lines}{source} {target}\n"))
            .with_context(|| format!("write {}", file.display()))
    }

    /// Takes back all [`Node::bind`]s, from the next boot on.
    ///
    /// # Errors
    /// When that cannot be noted.
    pub fn unbind_all(&self) -> Result<()> {
        let file = self.state().join("binds");
        fs::write(&file, "").with_context(|| format!("write {}", file.display()))
    }
}

/// `(target, source)` of each line `source target`, the last line first, as mounts hide each other.
fn parse_binds(lines: &str) -> Vec<(PathBuf, PathBuf)> {
    let pairs = lines.lines().filter_map(|line| line.split_once(' '));
    let mut binds: Vec<_> = pairs
        .map(|(source, target)| (PathBuf::from(target), PathBuf::from(source)))
        .collect();
    binds.reverse();
    binds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{Instance, Profile};

    #[test]
    fn the_last_bind_of_a_folder_wins() {
        let binds = parse_binds("/a /var/lib/x\n/b /var/lib/x\n");
        assert_eq!(binds[0], (PathBuf::from("/var/lib/x"), PathBuf::from("/b")));
    }

    #[test]
    fn files_of_a_node_that_is_off_are_found_where_boot_would_put_them() {
        let node = Node::new(&Instance::new("unit", Profile::Default).unwrap(), "edge1");
        let state = Path::new("/var/tmp/yurt-unit/nodes/edge1");
        assert_eq!(node.on_disk("/etc/hosts"), state.join("disk/etc/hosts"));
        assert_eq!(
            node.on_disk("/var/lib/kubelet/config.yaml"),
            state.join("kubelet/config.yaml")
        );
        assert_eq!(
            node.on_disk("/var/lib/kubelet2/x"),
            state.join("disk/var/lib/kubelet2/x")
        );
    }
}
