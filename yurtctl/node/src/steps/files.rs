//! Files are put in their places whole, and taken away or put back as they were.
//!
//! Before the first file of a transaction is replaced, what was in its place is kept (`previous/`); whether there was
//! anything is noted too, so that a step that is begun again does not take our own file for somebody's.
//! The way back needs no space on the disk: what was kept is moved, not written.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Back, Scene, StepError};
use crate::digest;
use crate::disk::{self, Change};
use crate::host::Host;
use crate::spec::{CONFIG_FOLDER, Content, NodeSpec, Program, TextFile};

pub(super) fn place_programs(scene: &Scene<'_>) -> Result<(), StepError> {
    for program in &scene.spec().programs {
        let source = scene.store.programs().join(&program.name);
        let bytes = fs::read(&source).map_err(failed("read", &source))?;
        let found = digest::of(&bytes);
        if found != program.sha256 {
            return Err(StepError::OtherProgram { path: source, found });
        }
        let path = program.path();
        keep(scene, &path)?;
        make_folder(scene, &path)?;
        disk::write(&scene.host.at(&path), &bytes, 0o755).map_err(failed("write", &path))?;
    }
    Ok(())
}

pub(super) fn place_configuration(scene: &Scene<'_>) -> Result<(), StepError> {
    scene.spec().files.iter().try_for_each(|file| place(scene, file))
}

pub(super) fn take_programs(scene: &Scene<'_>) -> Result<(), StepError> {
    scene
        .spec()
        .programs
        .iter()
        .try_for_each(|program| take(scene, &program.path()))
}

pub(super) fn take_configuration(scene: &Scene<'_>) -> Result<(), StepError> {
    for file in scene.spec().files.iter().rev() {
        take(scene, &file.path)?;
    }
    // Whatever a person has added to it goes too, as with any configuration of a package that is purged.
    if scene.back() == Back::Nothing {
        remove_folder(scene, Path::new(CONFIG_FOLDER))?;
    }
    scene
        .host
        .systemctl(&["daemon-reload"], std::time::Duration::from_mins(1))?;
    Ok(())
}

/// Puts one file in its place.
pub(super) fn place(scene: &Scene<'_>, file: &TextFile) -> Result<(), StepError> {
    if is_as(scene.host, file) {
        return Ok(());
    }
    keep(scene, &file.path)?;
    make_folder(scene, &file.path)?;
    let path = scene.host.at(&file.path);
    match &file.content {
        Content::Public(text) => disk::write(&path, text.as_bytes(), 0o644),
        Content::Private(text) => disk::write(&path, text.as_bytes(), 0o600),
        Content::Link(target) => disk::make(&Change::Link { path: &path, target }),
    }
    .map_err(failed("write", &file.path))
}

/// Takes one file away, or puts the previous one in its place.
pub(super) fn take(scene: &Scene<'_>, path: &Path) -> Result<(), StepError> {
    let here = scene.host.at(path);
    // Of a write that was interrupted.
    let temporary = disk::temporary(&here);
    disk::make(&Change::Remove(&temporary)).map_err(failed("remove", path))?;
    if scene.back() == Back::Before {
        let previous = previous(scene, path);
        if previous.exists() {
            return restore(&previous, &here).map_err(failed("restore", path));
        }
        if !marker(&previous).exists() {
            // The step did not come to it.
            return Ok(());
        }
    }
    disk::make(&Change::Remove(&here)).map_err(failed("remove", path))?;
    let folders = scene.store.folders();
    for folder in folders.map_err(failed("read", Path::new(crate::FOLDER)))? {
        if path.starts_with(&folder) {
            // Not empty: somebody uses it by now.
            disk::make(&Change::RemoveEmpty(&scene.host.at(&folder))).map_err(failed("remove", &folder))?;
        }
    }
    Ok(())
}

/// Files of `spec` that are not on the node, or not as it says.
pub(super) fn drifted(host: &dyn Host, spec: &NodeSpec) -> Vec<PathBuf> {
    let is_as_planned = |program: &Program| {
        digest::of_file(&host.at(&program.path())).is_ok_and(|found| found == program.sha256)
    };
    let programs = spec
        .programs
        .iter()
        .filter(|program| !is_as_planned(program))
        .map(Program::path);
    let files = spec
        .files
        .iter()
        .chain([&spec.switch.file])
        .filter(|file| !is_as(host, file))
        .map(|file| file.path.clone());
    programs.chain(files).collect()
}

/// Whether the file is there as it should be.
pub(super) fn is_as(host: &dyn Host, file: &TextFile) -> bool {
    let path = host.at(&file.path);
    match &file.content {
        Content::Public(text) | Content::Private(text) => {
            fs::read(&path).is_ok_and(|found| found == text.as_bytes())
        }
        Content::Link(target) => fs::read_link(&path).is_ok_and(|found| found == *target),
    }
}

/// Where the previous content of `path` is kept. By the path itself: another transaction, that goes on where one was left
/// incomplete, may have other files.
fn previous(scene: &Scene<'_>, path: &Path) -> PathBuf {
    let name = digest::of(path.as_os_str().as_encoded_bytes());
    scene.store.previous().join(name)
}

/// Says that there was nothing.
fn marker(previous: &Path) -> PathBuf {
    previous.with_extension("absent")
}

fn keep(scene: &Scene<'_>, path: &Path) -> Result<(), StepError> {
    let previous = previous(scene, path);
    if previous.exists() || marker(&previous).exists() {
        return Ok(());
    }
    let folder = scene.store.previous();
    disk::make(&Change::MakeFolder {
        path: &folder,
        mode: 0o700,
    })
    .map_err(failed("make", &folder))?;
    let here = scene.host.at(path);
    let metadata = here.symlink_metadata().ok().filter(fs::Metadata::is_file);
    let Some(metadata) = metadata else {
        return disk::write(&marker(&previous), b"", 0o600).map_err(failed("note the absence of", path));
    };
    let bytes = fs::read(&here).map_err(failed("keep", path))?;
    disk::write(&previous, &bytes, mode_of(&metadata)).map_err(failed("keep", path))
}

fn restore(previous: &Path, path: &Path) -> io::Result<()> {
    let change = Change::Rename {
        from: previous,
        to: path,
    };
    match disk::make(&change) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let mode = mode_of(&fs::metadata(previous)?);
            disk::write(path, &fs::read(previous)?, mode)
        }
        moved => moved,
    }
}

fn mode_of(metadata: &fs::Metadata) -> u32 {
    metadata.permissions().mode() & 0o777
}

/// Makes the folder of `path`, and remembers those that were not there.
fn make_folder(scene: &Scene<'_>, path: &Path) -> Result<(), StepError> {
    let missing: Vec<_> = path
        .ancestors()
        .skip(1)
        .take_while(|folder| !scene.host.at(folder).exists())
        .collect();
    for folder in missing.into_iter().rev() {
        scene
            .store
            .note_folder(folder)
            .map_err(failed("note the folder", folder))?;
        disk::make(&Change::MakeFolder {
            path: &scene.host.at(folder),
            mode: 0o755,
        })
        .map_err(failed("make", folder))?;
    }
    Ok(())
}

pub(super) fn remove_folder(scene: &Scene<'_>, path: &Path) -> Result<(), StepError> {
    disk::make(&Change::RemoveFolder(&scene.host.at(path))).map_err(failed("remove", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StepError {
    let path = path.to_owned();
    move |source| StepError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, PROGRAM_NAMES, program};
    use crate::transaction::{Goal, Store, Transaction};

    struct Stage {
        node: Model,
        store: Store,
        transaction: Transaction,
    }

    impl Stage {
        fn new(goal: Goal) -> Self {
            let node = Model::new(false);
            let store = node.store();
            store.make().unwrap();
            for name in PROGRAM_NAMES {
                store.bring(name, &program(name, 1)).unwrap();
            }
            let transaction = node.transaction(goal, 1);
            Self {
                node,
                store,
                transaction,
            }
        }

        fn scene(&self) -> Scene<'_> {
            self.node.scene(&self.store, &self.transaction)
        }

        /// Puts a file of somebody where one of ours goes.
        fn write(&self, path: &Path, text: &str, mode: u32) -> PathBuf {
            let here = self.node.at(path);
            fs::create_dir_all(here.parent().unwrap()).unwrap();
            fs::write(&here, text).unwrap();
            fs::set_permissions(&here, fs::Permissions::from_mode(mode)).unwrap();
            here
        }

        fn mode(&self, path: &Path) -> u32 {
            mode_of(&fs::metadata(self.node.at(path)).unwrap())
        }
    }

    #[test]
    fn programs_are_for_all_to_run_and_what_is_private_is_for_root() {
        let stage = Stage::new(Goal::Converted);
        place_programs(&stage.scene()).unwrap();
        place_configuration(&stage.scene()).unwrap();
        assert_eq!(stage.mode(Path::new("/usr/local/bin/yurthub")), 0o755);
        for file in &stage.transaction.spec.files {
            let expected = match file.content {
                Content::Public(_) => 0o644,
                Content::Private(_) => 0o600,
                Content::Link(_) => continue,
            };
            assert_eq!(stage.mode(&file.path), expected, "{}", file.path.display());
        }
        assert_eq!(stage.mode(Path::new(CONFIG_FOLDER)), 0o755);
        let spec = &stage.transaction.spec;
        let left = drifted(&stage.node, spec);
        assert_eq!(left, std::slice::from_ref(&spec.switch.file.path));
    }

    #[test]
    fn what_was_there_comes_back_with_its_mode_however_often_it_is_taken_back() {
        let stage = Stage::new(Goal::Converted);
        let path = &stage.transaction.spec.files[0].path;
        let here = stage.write(path, "theirs", 0o640);
        // The second one is begun again: what it finds is our own.
        place_configuration(&stage.scene()).unwrap();
        place_configuration(&stage.scene()).unwrap();
        assert_ne!(fs::read_to_string(&here).unwrap(), "theirs");
        for _ in 0..2 {
            take_configuration(&stage.scene()).unwrap();
            assert_eq!(fs::read_to_string(&here).unwrap(), "theirs");
            assert_eq!(stage.mode(path), 0o640);
        }
    }

    #[test]
    fn what_an_interrupted_write_has_left_goes_with_the_file() {
        for theirs in [false, true] {
            let stage = Stage::new(Goal::Converted);
            let path = &stage.transaction.spec.files[0].path;
            let here = stage.node.at(path);
            if theirs {
                stage.write(path, "theirs", 0o644);
            }
            place_configuration(&stage.scene()).unwrap();
            fs::write(disk::temporary(&here), "half").unwrap();
            take_configuration(&stage.scene()).unwrap();
            assert!(!disk::temporary(&here).exists());
            assert_eq!(here.exists(), theirs);
        }
    }

    #[test]
    fn what_was_not_there_goes_and_its_folder_too_unless_somebody_uses_it() {
        for used in [false, true] {
            let stage = Stage::new(Goal::Converted);
            let folder = stage.node.at(Path::new(CONFIG_FOLDER));
            place_configuration(&stage.scene()).unwrap();
            if used {
                fs::write(folder.join("theirs"), "").unwrap();
            }
            take_configuration(&stage.scene()).unwrap();
            assert_eq!(folder.exists(), used);
            assert!(!folder.join("config.yaml").exists());
        }
    }

    #[test]
    fn what_the_step_did_not_come_to_is_left_alone() {
        let stage = Stage::new(Goal::Converted);
        let here = stage.write(&stage.transaction.spec.files[0].path, "theirs", 0o644);
        take_configuration(&stage.scene()).unwrap();
        assert_eq!(fs::read_to_string(here).unwrap(), "theirs");
    }

    #[test]
    fn a_revert_takes_the_folder_of_the_configuration_with_all_that_is_in_it() {
        let stage = Stage::new(Goal::Reverted);
        place_configuration(&stage.scene()).unwrap();
        stage.write(&Path::new(CONFIG_FOLDER).join("theirs"), "", 0o644);
        take_configuration(&stage.scene()).unwrap();
        assert!(!stage.node.at(Path::new(CONFIG_FOLDER)).exists());
    }

    #[test]
    fn another_program_than_the_planned_one_is_not_placed() {
        let stage = Stage::new(Goal::Converted);
        stage.store.bring("yurthub", b"tampered").unwrap();
        let error = place_programs(&stage.scene()).unwrap_err();
        assert!(matches!(error, StepError::OtherProgram { .. }), "{error}");
        assert!(!stage.node.at(Path::new("/usr/local/bin/yurthub")).exists());
    }

    #[test]
    fn what_was_changed_since_is_drifted() {
        let stage = Stage::new(Goal::Converted);
        place_programs(&stage.scene()).unwrap();
        place_configuration(&stage.scene()).unwrap();
        let spec = &stage.transaction.spec;
        place(&stage.scene(), &spec.switch.file).unwrap();
        assert!(drifted(&stage.node, spec).is_empty());
        for path in spec.paths() {
            disk::remove(&stage.node.at(&path)).unwrap();
            stage.write(&path, "changed", 0o644);
        }
        assert_eq!(drifted(&stage.node, spec), spec.paths().collect::<Vec<_>>());
    }
}
