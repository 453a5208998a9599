//! Network namespaces of one test, and connections in them.
//!
//! Invariant: a namespace goes when it is dropped, with all that is in it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, SockRef, Socket, Type};

/// A connection on one machine, three times of what a busy one needs.
const SOON: Duration = Duration::from_secs(10);

/// A network namespace.
pub(crate) struct Net {
    name: String,
    address: IpAddr,
}

impl Net {
    /// One that reaches nothing but itself.
    pub(crate) fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("yt-{test}-{}-{count}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let net = Self {
            name,
            address: Ipv4Addr::LOCALHOST.into(),
        };
        net.ip(&["link", "set", "lo", "up"]);
        net
    }

    /// A host and a machine beside it, whose default routes go to each other.
    pub(crate) fn joined(test: &str) -> (Self, Self) {
        let (mut host, mut client) = (Self::new(test), Self::new(test));
        let peer = ["peer", "name", "eth0", "netns", &client.name];
        host.ip(&[&["link", "add", "eth0", "type", "veth"][..], &peer].concat());
        for (net, own, other) in [(&mut host, "1", "2"), (&mut client, "2", "1")] {
            net.address = format!("198.51.100.{own}").parse().unwrap();
            net.ip(&["addr", "add", &format!("198.51.100.{own}/24"), "dev", "eth0"]);
            net.ip(&[
                "addr",
                "add",
                &format!("2001:db8::{own}/64"),
                "dev",
                "eth0",
                "nodad",
            ]);
            net.ip(&["link", "set", "eth0", "up"]);
            net.ip(&["route", "add", "default", "via", &format!("198.51.100.{other}")]);
            net.ip(&[
                "-6",
                "route",
                "add",
                "default",
                "via",
                &format!("2001:db8::{other}"),
            ]);
        }
        (host, client)
    }

    /// Its IPv4 address.
    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    /// Does `what` on a thread in this namespace.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
                    .unwrap();
                what()
            });
            thread.join().unwrap()
        })
    }

    /// What `nft` lists, without what differs between two tables that are the same.
    pub(crate) fn ruleset(&self) -> String {
        let listed = self.exec(&["nft", "list", "ruleset"]);
        let owner = |line: &&str| !line.trim_start().starts_with("# progname");
        listed.lines().filter(owner).collect::<Vec<_>>().join("\n")
    }

    /// How many elements a set of ours has.
    pub(crate) fn elements(&self, set: &str) -> usize {
        let listed = self.exec(&["nft", "list", "set", "inet", "yurt-tunnel", set]);
        listed.matches(". 10250").count()
    }

    /// Hands `rules` to `nft`.
    pub(crate) fn nft(&self, rules: &str) {
        self.exec(&["nft", rules]);
    }

    /// This very program, to run its `holder` here.
    pub(crate) fn holder(&self, owner: bool) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "holder", "--nocapture"])
            .env("HOLDER", if owner { "owner" } else { "orphan" });
        command
    }

    fn ip(&self, args: &[&str]) {
        run("ip", &[&["-n", &self.name], args].concat());
    }

    fn exec(&self, args: &[&str]) -> String {
        run("ip", &[&["netns", "exec", &self.name], args].concat())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // A test that panics already says why.
        drop(Command::new("ip").args(["netns", "del", &self.name]).status());
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The redirect's listener: one socket for each family.
pub(crate) struct Listener {
    v4: TcpListener,
    v6: TcpListener,
}

impl Listener {
    pub(crate) fn open() -> Self {
        let v4 = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = v4.local_addr().unwrap().port();
        let v6 = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        v6.set_only_v6(true).unwrap();
        v6.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())
            .unwrap();
        v6.listen(16).unwrap();
        Self { v4, v6: v6.into() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.v4.local_addr().unwrap().port()
    }

    pub(crate) fn accept(&self, v6: bool) -> TcpStream {
        accept(if v6 { &self.v6 } else { &self.v4 })
    }
}

/// Listens at `port` on all IPv4 addresses.
pub(crate) fn listen(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()
}

/// The next connection; panics where none comes.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut found = None;
    wait_until(SOON, || {
        found = listener.accept().ok();
        found.is_some()
    });
    let (stream, _) = found.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Dials, not for long.
pub(crate) fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, Duration::from_secs(2))
}

/// Where the client of an accepted connection wanted to go.
pub(crate) fn original(stream: &TcpStream) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    let found = match stream.local_addr().unwrap() {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    found.ok()?.as_socket()
}

/// Bytes go both ways, and an end of one direction leaves the other one.
pub(crate) fn talk(mut client: TcpStream, mut server: TcpStream) {
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(SOON)).unwrap();
    }
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "question");
    server.write_all(b"answer").unwrap();
    drop(server);
    heard.clear();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "answer");
}

/// Asks until it is so; panics at the deadline.
pub(crate) fn wait_until(deadline: Duration, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < deadline, "not so within {deadline:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
