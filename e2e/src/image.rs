//! The image of all our programs: packed from the programs as they are shipped, and loaded into nodes.
//!
//! Packed by Debian's buildah from the Dockerfile, without an engine, a registry or a network. Invariants: the same
//! programs give the same image, byte for byte; what is in its place is whole; the machine's own images are not touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::Cmd;
use crate::node::Node;
use crate::programs::{self, Architecture};
use crate::progress::say;
use crate::wait::wait_for;
use crate::{hub, lock};

/// The name of the image, as the chart calls it.
const NAME: &str = "yurt";
/// Packing takes a second.
const PACK_DEADLINE: Duration = Duration::from_mins(3);
const LOCK_DEADLINE: Duration = Duration::from_mins(10);
/// Unpacking on a node takes a second.
const LOAD_DEADLINE: Duration = Duration::from_mins(1);

/// An image in a file.
#[derive(Clone, Debug)]
pub struct Image {
    /// A Docker archive, which `docker load`, `ctr images import` and skopeo read.
    pub archive: PathBuf,
    /// Name and tag, as pods name it: `yurt:0.1.0`.
    pub reference: String,
    /// The digest of its configuration, which names the content of its layers too: `sha256:…`. Engines call it the image's
    /// ID. The digest by which a registry knows it is another one, and is made when it is pushed.
    pub digest: String,
    /// The archive's length in bytes.
    pub size: u64,
}

/// Builds the programs, and packs them.
///
/// # Errors
/// When cargo or buildah fails.
pub fn build() -> Result<Image> {
    build_for(Architecture::X86_64)
}

/// As [`build`], for another processor.
///
/// # Errors
/// As [`build`], and for a processor that nobody builds for.
pub fn build_for(architecture: Architecture) -> Result<Image> {
    let built: Vec<_> = programs::IN_THE_IMAGE
        .iter()
        .map(|name| programs::build(name, architecture))
        .collect::<Result<_>>()?;
    pack(architecture, &built)
}

/// The image that tests use, with the yurthub of [`hub::built`].
///
/// # Errors
/// As [`build`].
pub fn built() -> Result<Image> {
    with(hub::built()?)
}

/// The image with the yurthub at `yurthub`; made once in this process.
///
/// # Errors
/// As [`build`].
pub fn with(yurthub: &Path) -> Result<Image> {
    static MADE: Mutex<BTreeMap<PathBuf, Image>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(image) = made.get(yurthub) {
        return Ok(image.clone());
    }
    let packed = [
        yurthub,
        programs::yurtctl()?,
        programs::controller_manager()?,
        programs::tunnel()?,
    ];
    let image = pack(Architecture::X86_64, &packed)?;
    made.insert(yurthub.to_owned(), image.clone());
    Ok(image)
}

/// Packs static programs, in the order of [`programs::IN_THE_IMAGE`], into `target/image/yurt-ARCHITECTURE.tar`.
///
/// # Errors
/// When buildah fails, or is not there.
pub fn pack(architecture: Architecture, built: &[impl AsRef<Path>]) -> Result<Image> {
    pack_into(&programs::target_folder().join("image"), architecture, built)
}

fn pack_into(folder: &Path, architecture: Architecture, built: &[impl AsRef<Path>]) -> Result<Image> {
    ensure!(
        built.len() == programs::IN_THE_IMAGE.len(),
        "{} programs are to be packed instead of {}",
        built.len(),
        programs::IN_THE_IMAGE.len()
    );
    let _lock = lock::exclusive(&folder.join("lock"), "the folder of images", LOCK_DEADLINE)?;
    let packing = folder.join("packing");
    // A killed process may have left its own.
    clear(&packing)?;
    let context = packing.join("context");
    fs::create_dir_all(&context).with_context(|| format!("make {}", context.display()))?;
    for (name, program) in programs::IN_THE_IMAGE.iter().zip(built) {
        let (place, program) = (context.join(name), program.as_ref());
        fs::copy(program, &place).with_context(|| format!("copy {}", program.display()))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("make {} a program", place.display()))?;
    }
    let reference = format!("{NAME}:{}", env!("CARGO_PKG_VERSION"));
    let new = packing.join("image.tar");
    run_buildah(&packing, architecture, &reference, &new)?;
    let digest = digest(&new)?;
    let archive = folder.join(format!("{NAME}-{architecture}.tar"));
    fs::rename(&new, &archive).with_context(|| format!("put the image to {}", archive.display()))?;
    clear(&packing)?;
    let size = fs::metadata(&archive).with_context(|| format!("look at {}", archive.display()))?;
    Ok(Image {
        archive,
        reference,
        digest,
        size: size.len(),
    })
}

fn run_buildah(packing: &Path, architecture: Architecture, reference: &str, archive: &Path) -> Result<()> {
    let buildah = || {
        Cmd::new("buildah")
            .arg("--root")
            .arg(packing.join("storage"))
            .arg("--runroot")
            .arg(packing.join("run"))
            .args(["--storage-driver", "vfs"])
            .deadline(PACK_DEADLINE)
    };
    let id = packing.join("id");
    // The image must not tell when, in which container (as the format of Docker would), or by which buildah it was made.
    buildah()
        .args(["bud", "--isolation", "chroot", "--format", "oci"])
        .args(["--timestamp", "0", "--identity-label=false"])
        .args(["--platform", architecture.platform()])
        .args(["--build-arg", concat!("VERSION=", env!("CARGO_PKG_VERSION"))])
        .arg("--iidfile")
        .arg(&id)
        .arg("--file")
        .arg(programs::root().join("Dockerfile"))
        .arg(packing.join("context"))
        .run_ok()
        .context("build the image; `cargo xtask setup` installs buildah")?;
    let id = fs::read_to_string(&id).with_context(|| format!("read {}", id.display()))?;
    // Pushed by its ID: of a name it would take buildah's own form along, as a second one.
    let place = format!("docker-archive:{}:{reference}", archive.display());
    buildah()
        .args(["push", id.trim(), &place])
        .run_ok()
        .context("write the image to a file")?;
    Ok(())
}

/// A Docker archive's own table of contents.
fn read_contents(archive: &Path) -> Result<Value> {
    let tar = Cmd::new("tar").arg("-xOf").arg(archive).arg("manifest.json");
    serde_json::from_str(&tar.run_ok()?)
        .with_context(|| format!("read the table of contents of {}", archive.display()))
}

/// The digest of the one image in a Docker archive.
fn digest(archive: &Path) -> Result<String> {
    let table = read_contents(archive)?;
    let config = table[0]["Config"].as_str();
    let hex = config.and_then(|name| name.strip_suffix(".json"));
    let hex = hex.with_context(|| format!("find the image in {}: {table}", archive.display()))?;
    Ok(format!("sha256:{hex}"))
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

/// Makes sure that `node` has `image`, so that its pods need not pull it. Quick when it has.
///
/// # Errors
/// When the node is not up, or its containerd refuses the image.
pub fn load(node: &Node, image: &Image) -> Result<()> {
    if has(node, image)? {
        return Ok(());
    }
    say(format_args!("loading {} into {}", image.reference, node.name()));
    forget(node, image)?;
    import(node, &image.archive)?;
    // What the kubelet asks hears of a new image a moment later.
    wait_for("containerd to know the image", LOAD_DEADLINE, || {
        ensure!(has(node, image)?, "{} is not listed", image.digest);
        Ok(Some(()))
    })
}

/// Gives `node` what is in `archive`, whether it has it or not.
///
/// # Errors
/// When the node is not up, or its containerd refuses the archive.
pub fn import(node: &Node, archive: &Path) -> Result<()> {
    let bytes = fs::read(archive).with_context(|| format!("read {}", archive.display()))?;
    node.cmd(["ctr", "--namespace", "k8s.io", "images", "import", "-"])?
        .stdin(bytes)
        .deadline(LOAD_DEADLINE)
        .run_ok()
        .with_context(|| format!("load {} into {}", archive.display(), node.name()))?;
    Ok(())
}

/// Removes what `node` has under that name: what containerd tells the kubelet of a name that is given to another image
/// lacks the other one's digest.
fn forget(node: &Node, image: &Image) -> Result<()> {
    let named = format!("/{}", image.reference);
    let names = node.exec_ok(["ctr", "--namespace", "k8s.io", "images", "list", "--quiet"])?;
    for name in names.lines().filter(|name| name.ends_with(&named)) {
        node.exec_ok(["ctr", "--namespace", "k8s.io", "images", "remove", name])?;
    }
    Ok(())
}

/// Whether the kubelet of `node` would find the image: the kubelet may have collected it meanwhile.
fn has(node: &Node, image: &Image) -> Result<bool> {
    let list = node.exec_ok(["ctr", "--namespace", "k8s.io", "images", "list"])?;
    Ok(is_listed(&list, image))
}

/// Whether name and digest are there and mean the same. The name has a registry's host and path before it.
fn is_listed(list: &str, image: &Image) -> bool {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.nth(1)?.to_owned()))
    };
    let rows: Vec<_> = list.lines().filter_map(row).collect();
    let named = format!("/{}", image.reference);
    let target = |name: &str| {
        let row = rows.iter().find(|(known, _)| known == name);
        row.map(|(_, target)| target)
    };
    // Another registry may have an older one of that name.
    target(&image.digest).is_some_and(|wanted| {
        rows.iter()
            .any(|(name, target)| name.ends_with(&named) && target == wanted)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    fn image() -> Image {
        Image {
            archive: PathBuf::new(),
            reference: "yurt:0.1.0".to_owned(),
            digest: "sha256:cc".to_owned(),
            size: 0,
        }
    }

    #[test]
    fn an_image_tells_of_its_programs_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let pack = |number: u64, program: &str| {
            let folder = folder.path().join(number.to_string());
            fs::create_dir(&folder).unwrap();
            let written = folder.join("program");
            fs::write(&written, program).unwrap();
            let age = Duration::from_hours(number);
            File::open(&written)
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
            let image = pack_into(
                &folder,
                Architecture::X86_64,
                &[&written; programs::IN_THE_IMAGE.len()],
            )
            .unwrap();
            let names = read_contents(&image.archive).unwrap()[0]["RepoTags"].clone();
            assert_eq!(names.as_array().map(Vec::len), Some(1), "{names}");
            (image.digest, fs::read(image.archive).unwrap())
        };
        let first = pack(1, "program");
        assert_eq!(first, pack(2, "program"));
        assert_ne!(first.0, pack(3, "another").0);
    }

    #[test]
    fn an_image_of_the_same_name_is_not_taken_for_this_one() {
        const HEAD: &str = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n";
        let list = |name: &str, target: &str, digest: &str| {
            format!(
                "{HEAD}{name} application/x sha256:{target} 1.0 MiB linux/amd64 -\nsha256:{digest} application/x sha256:aa 1.0 MiB linux/amd64 -\n"
            )
        };
        assert!(is_listed(
            &list("registry.example/library/yurt:0.1.0", "aa", "cc"),
            &image()
        ));
        assert!(!is_listed(
            &list("registry.example/library/yurt:0.1.0", "bb", "cc"),
            &image()
        ));
        assert!(!is_listed(
            &list("registry.example/library/yurt:0.1.0", "aa", "dd"),
            &image()
        ));
        assert!(!is_listed(
            &list("registry.example/library/yurt:0.2.0", "aa", "cc"),
            &image()
        ));
        assert!(!is_listed(HEAD, &image()));
    }
}
