//! What the kernel does and knows about one TCP connection: it asks an idle one for a sign of life (keepalive, some 100
//! bytes for question and answer) and counts what the other end has not answered.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::net::TcpStream;

/// Between the first question that stays unanswered and the next: as often as the kernel can.
const BETWEEN: Duration = Duration::from_secs(1);
/// Unanswered questions after which the kernel itself gives the connection up. yurthub decides long before.
const GIVE_UP: u32 = 60;
/// `TCP_CLOSE` of the kernel's `include/net/tcp_states.h`.
const CLOSED: u8 = 7;

/// Sends small requests at once, and lets the kernel ask for a sign of life when nothing has arrived for `idle` (whole
/// seconds, others are rounded up).
pub(super) fn prepare(stream: &TcpStream, idle: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, BETWEEN)?;
    sockopt::set_tcp_keepcnt(stream, GIVE_UP)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

/// What the kernel knows of a connection at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// The kernel has given the connection up.
    pub(super) closed: bool,
    /// Segments with data that the other end has not acknowledged.
    pub(super) unacknowledged: u32,
    /// Keepalive probes that the other end has not answered.
    pub(super) probes: u32,
    /// Since anything arrived from the other end, an acknowledgement at least.
    pub(super) silent: Duration,
    /// The round trip as the kernel has smoothed it; zero where it has not measured one.
    pub(super) round_trip: Duration,
}

/// Reads samples. Holds the socket open: to be dropped with its connection.
pub(super) struct Gauge(OwnedFd);

impl Gauge {
    pub(super) fn of(stream: &TcpStream) -> io::Result<Self> {
        stream.as_fd().try_clone_to_owned().map(Self)
    }

    /// Ends the connection at once, whoever else holds it: readers and writers get an error, and the kernel repeats nothing
    /// that the other end has not acknowledged.
    pub(super) fn cut(&self) {
        // Fails only on a socket that is closed already.
        let _ = sockopt::set_socket_linger(&self.0, Some(Duration::ZERO));
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    pub(super) fn sample(&self) -> io::Result<Sample> {
        let info = tcp_info(&self.0)?;
        let silent = info.tcpi_last_ack_recv.min(info.tcpi_last_data_recv);
        Ok(Sample {
            closed: info.tcpi_state == CLOSED,
            unacknowledged: info.tcpi_unacked,
            probes: info.tcpi_probes.into(),
            silent: Duration::from_millis(silent.into()),
            round_trip: Duration::from_micros(info.tcpi_rtt.into()),
        })
    }
}

/// `TCP_INFO` (tcp(7)), which no crate in use offers without `unsafe`.
#[expect(
    unsafe_code,
    reason = "one system call; its memory is plain numbers, of which all bits are valid"
)]
fn tcp_info(socket: &OwnedFd) -> io::Result<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` is valid for `length` bytes of writing for the time of the call, and the descriptor is open.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: integers only, zeroed before: also where an old kernel filled in less than all of it.
    Ok(unsafe { info.assume_init() })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_kernel_tells_what_was_answered_and_when() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        prepare(&stream, Duration::from_millis(1500)).unwrap();
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), Duration::from_secs(2));
        let gauge = Gauge::of(&stream).unwrap();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(peer.read_u8().await.unwrap(), b'x');
        peer.write_all(b"y").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'y');
        let sample = gauge.sample().unwrap();
        assert!(!sample.closed && sample.probes == 0, "{sample:?}");
        assert!(sample.silent < Duration::from_secs(1), "{sample:?}");
        assert!(
            sample.round_trip > Duration::ZERO && sample.round_trip < Duration::from_secs(1),
            "{sample:?}"
        );
        peer.set_zero_linger().unwrap();
        drop(peer);
        assert!(stream.read_u8().await.is_err());
        assert!(gauge.sample().unwrap().closed);
    }
}
