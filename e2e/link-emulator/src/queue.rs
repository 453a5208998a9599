//! The kernel's queues of packets: one socket for both directions of a link.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with, sockopt,
};

use crate::departures::{Direction, Packet};
use crate::packets::{self, Message};

/// Packets that the kernel keeps for each direction; more are lost.
const CAPACITY: u32 = 1 << 16;
/// What the kernel has told us and we have not read yet: some 20,000 packets.
const UNREAD: usize = 4 << 20;

/// The queues of both directions.
pub struct Queue {
    socket: OwnedFd,
    up: u16,
    down: u16,
    buffer: Vec<u8>,
}

impl Queue {
    /// Takes the packets of the queues `up` and `down` of the network namespace that we are in.
    ///
    /// # Errors
    /// Without the right to it, or where somebody else has one of them.
    pub fn open(up: u16, down: u16) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))
            .context("open a socket to the kernel's packet filter; its queues must be built in (CONFIG_NETFILTER_NETLINK_QUEUE)")?;
        bind(&socket, &SocketAddrNetlink::new(0, 0)).context("bind the socket to the packet filter")?;
        sockopt::set_socket_recv_buffer_size_force(&socket, UNREAD).context("enlarge the socket's buffer")?;
        let mut queue = Self {
            socket,
            up,
            down,
            buffer: vec![0; 1 << 16],
        };
        for number in [up, down] {
            for request in packets::bind(number, CAPACITY) {
                queue.ask(&request).with_context(|| {
                    format!("take packets of queue {number}; is another emulator at this node?")
                })?;
            }
        }
        Ok(queue)
    }

    /// What to wait on for packets.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The packets that have come; does not wait.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn arrived(&mut self) -> Result<Vec<Packet>> {
        let mut packets = Vec::new();
        loop {
            match recv(&self.socket, &mut self.buffer, RecvFlags::DONTWAIT) {
                Ok((_, length)) => packets.extend(self.packets(length)),
                Err(Errno::AGAIN) => return Ok(packets),
                // What did not fit into the buffer was dropped by the kernel, as a link does that is overrun.
                Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(error) => return Err(error).context("receive packets"),
            }
        }
    }

    /// Lets a packet go on, or drops it.
    ///
    /// # Errors
    /// When the socket fails. A packet that the kernel does not know any more is no error.
    pub fn release(&self, packet: Packet, passes: bool) -> Result<()> {
        let number = match packet.direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        };
        let verdict = packets::verdict(number, packet.id, passes);
        send(&self.socket, &verdict, SendFlags::empty())
            .context("tell the kernel what becomes of a packet")?;
        Ok(())
    }

    fn packets(&self, length: usize) -> Vec<Packet> {
        let received = self.buffer.get(..length).unwrap_or_default();
        let messages = packets::read(received).into_iter();
        messages.filter_map(|message| self.packet(message)).collect()
    }

    fn packet(&self, message: Message) -> Option<Packet> {
        let Message::Packet { queue, id, length } = message else {
            return None; // a packet for which our verdict came too late
        };
        let direction = if queue == self.up {
            Direction::Up
        } else {
            Direction::Down
        };
        Some(Packet {
            direction,
            id,
            length,
        })
    }

    /// Sends a request and waits for the kernel's answer, which comes at once. No packet can come before: the rules
    /// that send us packets are made afterwards.
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        send(&self.socket, request, SendFlags::empty()).context("ask the packet filter")?;
        let (_, length) =
            recv(&self.socket, &mut self.buffer, RecvFlags::empty()).context("hear its answer")?;
        match packets::read(self.buffer.get(..length).unwrap_or_default()).first() {
            Some(Message::Answer(0)) => Ok(()),
            Some(Message::Answer(error)) => Err(Errno::from_raw_os_error(-error)).context("it refuses"),
            other => bail!("it answered {other:?}"),
        }
    }
}
