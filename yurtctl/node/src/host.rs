//! The node as steps meet it: its files' root, its programs, its kubelet and its time. [`Machine`] is the one that this
//! process runs on.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::facts;
use crate::systemd::{self, CallError};

const ASK: Duration = Duration::from_secs(10);

/// A node.
pub trait Host: fmt::Debug {
    /// Where its `/` is.
    fn root(&self) -> &Path;
    /// Runs a program of it to its end, at most `limit` long.
    fn call(&self, program: &str, args: &[&str], limit: Duration) -> Result<String, CallError>;
    /// Whether a kubelet runs there that uses `kubeconfig`; `None` where none runs.
    fn is_turned(&self, kubeconfig: &Path) -> Option<bool>;
    /// What is wrong with the kubelet, as its health endpoint at `port` tells; 0: it has none.
    fn kubelet_health(&self, port: u16) -> Result<(), String>;
    /// Time since this process began, by a clock that nobody sets.
    fn elapsed(&self) -> Duration;
    /// The node's clock, in seconds since 1970. For people.
    fn now(&self) -> u64;
    /// To the log of this process.
    fn say(&self, line: &str);
    /// Lets time pass.
    fn pause(&self, time: Duration);

    /// Where a path of the node is for this process.
    fn at(&self, path: &Path) -> PathBuf {
        self.root().join(path.strip_prefix("/").unwrap_or(path))
    }

    /// `systemctl` with `args`.
    fn systemctl(&self, args: &[&str], limit: Duration) -> Result<String, CallError> {
        self.call("systemctl", args, limit)
    }

    /// A property of a unit; empty where it has none.
    fn property(&self, unit: &str, name: &str) -> Result<String, CallError> {
        let text = self.systemctl(&["show", "-P", name, "--", unit], ASK)?;
        Ok(text.trim().to_owned())
    }
}

/// The node that this process is on.
#[derive(Debug)]
pub struct Machine {
    start: Instant,
}

impl Machine {
    /// From now on.
    pub fn here() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Host for Machine {
    fn root(&self) -> &Path {
        Path::new("/")
    }

    fn call(&self, program: &str, args: &[&str], limit: Duration) -> Result<String, CallError> {
        systemd::call(program, args, limit)
    }

    fn is_turned(&self, kubeconfig: &Path) -> Option<bool> {
        facts::is_turned(kubeconfig)
    }

    fn kubelet_health(&self, port: u16) -> Result<(), String> {
        if port == 0 {
            return Ok(());
        }
        match ask(port) {
            Ok(answer) if answer.split_whitespace().nth(1) == Some("200") => Ok(()),
            Ok(answer) => Err(format!(
                "its health endpoint says {:?}",
                answer.lines().last().unwrap_or_default()
            )),
            Err(error) => Err(format!("its health endpoint does not answer ({error})")),
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs())
    }

    fn say(&self, line: &str) {
        drop(writeln!(io::stderr(), "{line}"));
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

fn ask(port: u16) -> io::Result<String> {
    let limit = Duration::from_secs(2);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4 << 10).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request with `status`.
    fn answering(status: &'static str) -> (u16, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream
                .write_all(format!("HTTP/1.0 {status}\r\n\r\nwhy").as_bytes())
                .unwrap();
        });
        (port, thread)
    }

    #[test]
    fn a_kubelet_is_healthy_when_it_says_so() {
        let machine = Machine::here();
        for (status, expected) in [
            ("200 OK", Ok(())),
            ("500 No", Err("its health endpoint says \"why\"".to_owned())),
        ] {
            let (port, thread) = answering(status);
            assert_eq!(machine.kubelet_health(port), expected);
            thread.join().unwrap();
        }
        assert_eq!(machine.kubelet_health(0), Ok(()));
    }

    #[test]
    fn paths_of_the_node_are_below_its_root() {
        assert_eq!(Machine::here().at(Path::new("/etc/x")), Path::new("/etc/x"));
    }
}
