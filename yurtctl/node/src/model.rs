//! A model of a node for tests: its files are in a folder, and systemd, kubelet and yurthub are what follows from them.
//!
//! What each program is asked is a point of [`trial`]. systemd itself, and a real kubelet, are the matter of the tests of the
//! real cluster.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::FOLDER;
use crate::disk::trial;
use crate::host::Host;
use crate::service;
use crate::spec::{
    CONFIG_FOLDER, Content, DATA_FOLDER, HUB_UNIT, KUBECONFIG, NodeSpec, PROGRAMS, Program, Switch, TextFile,
};
use crate::steps::Scene;
use crate::systemd::CallError;
use crate::transaction::{Goal, Store, Transaction};

const UNITS: &str = "/etc/systemd/system";
const LINK: &str = "/sys/class/net/yurthub0";
const CALL: Duration = Duration::from_millis(10);

/// A node.
#[derive(Debug)]
pub(crate) struct Model {
    root: TempDir,
    is_k3s: bool,
    /// What the kubelet was started with last: whether its drop-in, or its file, was there, and with which content.
    kubelet: RefCell<Option<String>>,
    /// The drop-in as systemd has read it last.
    loaded: RefCell<Option<String>>,
    /// The program that yurthub was started from.
    hub: RefCell<Option<String>>,
    /// Whether the service that converts is started.
    pub(crate) serving: Cell<bool>,
    clock: Cell<Duration>,
    /// What was called.
    pub(crate) calls: RefCell<Vec<String>>,
    /// Calls that have this fail so many times.
    failing: RefCell<Vec<(String, usize)>>,
    /// The next call that has this is spared.
    sparing: RefCell<Option<String>>,
    /// The call of this number takes this long.
    pub(crate) slow: Cell<Option<(usize, Duration)>>,
    /// The call of this number, and so many after it, fail.
    pub(crate) broken: Cell<(usize, usize)>,
}

impl Model {
    /// An ordinary node.
    pub(crate) fn new(is_k3s: bool) -> Self {
        // In memory where that is possible: thousands of durable changes are made.
        let root = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        for folder in [
            "usr/local/bin",
            "etc/systemd/system/multi-user.target.wants",
            "var/lib",
            "sys/class/net",
        ] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Self {
            root,
            is_k3s,
            kubelet: RefCell::default(),
            loaded: RefCell::default(),
            hub: RefCell::default(),
            serving: Cell::new(false),
            clock: Cell::default(),
            calls: RefCell::default(),
            failing: RefCell::default(),
            sparing: RefCell::default(),
            slow: Cell::default(),
            broken: Cell::new((usize::MAX, 0)),
        }
    }

    pub(crate) fn store(&self) -> Store {
        Store::at(&self.at(Path::new(FOLDER)))
    }

    /// Calls that have `call` fail so many times.
    pub(crate) fn fail(&self, call: &str, times: usize) {
        self.failing.borrow_mut().push((call.to_owned(), times));
    }

    /// Calls that have `call` fail so many times, but for the next one.
    pub(crate) fn fail_after_first(&self, call: &str, times: usize) {
        self.sparing.replace(Some(call.to_owned()));
        self.fail(call, times);
    }

    /// All works again.
    pub(crate) fn repair(&self) {
        self.failing.borrow_mut().clear();
        self.broken.set((usize::MAX, 0));
        self.slow.set(None);
    }

    /// The power goes and comes.
    pub(crate) fn reboot(&self) {
        self.serving
            .set(self.is_there("multi-user.target.wants/yurt-conversion.service"));
        drop(fs::remove_file(self.at(Path::new(LINK))));
        *self.hub.borrow_mut() = None;
        self.reload();
        if self.is_there(&format!("multi-user.target.wants/{HUB_UNIT}")) {
            drop(self.start_hub());
        }
        self.start_kubelet();
    }

    /// The service was killed: systemd starts it again where it knows it.
    pub(crate) fn restart_service(&self) {
        self.serving
            .set(self.serving.get() && self.is_there(service::UNIT));
    }

    fn is_there(&self, unit: &str) -> bool {
        // A link's target is on the node, not here.
        let path = self.at(&Path::new(UNITS).join(unit));
        path.symlink_metadata().is_ok()
    }

    /// All that makes the node what it is, but for our folder: files with mode and content, and what runs.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        collect(self.root.path(), self.root.path(), &mut found);
        found.insert("kubelet".to_owned(), format!("{:?}", self.kubelet.borrow()));
        found.insert("yurthub".to_owned(), format!("{:?}", self.hub.borrow()));
        found
    }

    /// What is in our folder.
    pub(crate) fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at(Path::new(FOLDER))).into_iter().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What shall be on the node in this version.
    pub(crate) fn spec(&self, version: u32) -> NodeSpec {
        let config = Path::new(CONFIG_FOLDER);
        let text = format!("version {version}\n");
        let turn = format!("# {version}\n--kubeconfig={KUBECONFIG}\n");
        let file = |path: PathBuf, content| TextFile { path, content };
        NodeSpec {
            version: version.to_string(),
            node: "edge1".to_owned(),
            programs: PROGRAM_NAMES
                .map(|name| Program::of(name, &program(name, version)))
                .to_vec(),
            files: vec![
                file(config.join("config.yaml"), Content::Private(text.clone())),
                file(KUBECONFIG.into(), Content::Private("ours\n".to_owned())),
                file(Path::new(UNITS).join(HUB_UNIT), Content::Public(text)),
                file(
                    Path::new(UNITS).join("multi-user.target.wants").join(HUB_UNIT),
                    Content::Link(Path::new(UNITS).join(HUB_UNIT)),
                ),
            ],
            pods_address: "169.254.2.1".parse().ok(),
            switch: Switch {
                unit: self.kubelet_unit().to_owned(),
                file: file(self.switch_path(), Content::Public(turn)),
                kubeconfig: KUBECONFIG.into(),
                original_kubeconfig: Some("/etc/kubernetes/kubelet.conf".into()),
                healthz_port: 10248,
            },
        }
    }

    pub(crate) fn transaction(&self, goal: Goal, version: u32) -> Transaction {
        Transaction {
            id: format!("{goal:?} {version} at {}", self.calls.borrow().len()),
            goal,
            deadline_s: 2,
            restart_kubelet: false,
            spec: self.spec(version),
        }
    }

    /// A step's view of it, where nothing was converted or begun before.
    pub(crate) fn scene<'a>(&'a self, store: &'a Store, transaction: &'a Transaction) -> Scene<'a> {
        Scene {
            host: self,
            store,
            transaction,
            was_converted: false,
            again: false,
            left: Duration::from_secs(9),
        }
    }

    fn kubelet_unit(&self) -> &'static str {
        if self.is_k3s {
            "k3s.service"
        } else {
            "kubelet.service"
        }
    }

    fn switch_path(&self) -> PathBuf {
        PathBuf::from(if self.is_k3s {
            "/etc/rancher/k3s/config.yaml.d/20-yurthub.yaml"
        } else {
            "/etc/systemd/system/kubelet.service.d/20-yurthub.conf"
        })
    }

    fn reload(&self) {
        *self.loaded.borrow_mut() = fs::read_to_string(self.at(&self.switch_path())).ok();
    }

    fn start_kubelet(&self) {
        // k3s reads its own folder; another kubelet is what systemd has read.
        if self.is_k3s {
            self.reload();
        }
        *self.kubelet.borrow_mut() = self.loaded.borrow().clone();
    }

    fn start_hub(&self) -> Result<(), String> {
        let program = fs::read_to_string(self.at(&Path::new(PROGRAMS).join("yurthub")));
        if !self.is_there(HUB_UNIT) {
            return Err("there is no such unit".to_owned());
        }
        *self.hub.borrow_mut() = Some(program.map_err(|error| error.to_string())?);
        let data = self.at(Path::new(DATA_FOLDER));
        fs::create_dir_all(&data).map_err(|error| error.to_string())?;
        fs::write(data.join("store"), "mirror").map_err(|error| error.to_string())?;
        fs::write(self.at(Path::new(LINK)), "").map_err(|error| error.to_string())
    }

    fn answer(&self, line: &str) -> Result<String, String> {
        let hub_serves = || self.hub.borrow().is_some();
        let nothing = Ok(String::new());
        match line {
            "systemctl daemon-reload" => {
                self.reload();
                nothing
            }
            "systemctl restart yurthub.service" => self.start_hub().map(|()| String::new()),
            "systemctl stop yurthub.service" => {
                *self.hub.borrow_mut() = None;
                nothing
            }
            "systemctl show -P LoadState -- yurthub.service" => {
                let is_known = hub_serves() || self.is_there(HUB_UNIT);
                Ok(if is_known { "loaded\n" } else { "not-found\n" }.to_owned())
            }
            "systemctl restart -- kubelet.service" | "systemctl restart -- k3s.service" => {
                self.start_kubelet();
                nothing
            }
            "systemctl start --no-block yurt-conversion.service" => {
                self.serving.set(true);
                nothing
            }
            "systemctl show -P ActiveState -- yurt-conversion.service" => {
                Ok(if self.serving.get() { "active\n" } else { "inactive\n" }.to_owned())
            }
            "ip link delete yurthub0" => {
                fs::remove_file(self.at(Path::new(LINK))).map_err(|error| error.to_string())?;
                nothing
            }
            _ if line.contains("yurthub warm") && hub_serves() => nothing,
            _ if line.contains("yurthub get nodes") && hub_serves() && self.kubelet.borrow().is_some() => {
                Ok(r#"{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2999-01-01T00:00:00Z"}]}}"#.to_owned())
            }
            _ if line.contains("yurthub ") => Err("yurthub does not answer".to_owned()),
            _ if line.contains("ActiveEnterTimestampMonotonic") => Ok("0\n".to_owned()),
            _ if line.starts_with("ip ") || line.starts_with("journalctl ") => nothing,
            _ if line.starts_with("systemctl reset-failed") => nothing,
            _ => panic!("the model does not know `{line}`"),
        }
    }

    fn fails(&self, line: &str, number: usize) -> bool {
        let (first, many) = self.broken.get();
        if (first..first.saturating_add(many)).contains(&number) {
            return true;
        }
        if self
            .sparing
            .borrow_mut()
            .take_if(|spared| line.contains(spared.as_str()))
            .is_some()
        {
            return false;
        }
        let mut failing = self.failing.borrow_mut();
        let rule = failing
            .iter_mut()
            .find(|(call, times)| *times > 0 && line.contains(call.as_str()));
        rule.map(|(_, times)| *times -= 1).is_some()
    }
}

pub(crate) const PROGRAM_NAMES: [&str; 2] = ["yurthub", "yurtctl"];

/// The bytes of a program.
pub(crate) fn program(name: &str, version: u32) -> Vec<u8> {
    format!("{name} {version}").into_bytes()
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = Path::new("/").join(path.strip_prefix(root).unwrap());
        if name == Path::new(FOLDER) {
            continue;
        }
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        let what = if metadata.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if metadata.is_dir() {
            collect(root, &path, found);
            format!("{mode:o} folder")
        } else {
            format!("{mode:o} {}", fs::read_to_string(&path).unwrap())
        };
        found.insert(name.display().to_string(), what);
    }
}

impl Host for Model {
    fn root(&self) -> &Path {
        self.root.path()
    }

    fn call(&self, program: &str, args: &[&str], _: Duration) -> Result<String, CallError> {
        let line = format!("{program} {}", args.join(" "));
        trial::point(|| {});
        let number = self.calls.borrow().len();
        self.calls.borrow_mut().push(line.clone());
        let slow = self.slow.get().filter(|(slow, _)| *slow == number);
        self.pause(slow.map_or(CALL, |(_, time)| time));
        let answer = if self.fails(&line, number) {
            Err("it is broken".to_owned())
        } else {
            self.answer(&line)
        };
        answer.map_err(|said| CallError::Failed { call: line, said })
    }

    fn is_turned(&self, _: &Path) -> Option<bool> {
        // As on a real node: what k3s was started with is not to be seen.
        Some(if self.is_k3s {
            self.at(&self.switch_path()).exists()
        } else {
            self.kubelet.borrow().is_some()
        })
    }

    fn kubelet_health(&self, _: u16) -> Result<(), String> {
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.clock.get()
    }

    fn now(&self) -> u64 {
        // The same, so that records can be compared.
        1_000_000
    }

    fn say(&self, _: &str) {}

    fn pause(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
    }
}
