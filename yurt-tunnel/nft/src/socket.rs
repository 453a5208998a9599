//! The netlink socket to nftables.
//!
//! The kernel does what it is told before `send` returns, and puts its answers into the socket's queue by then; only dumps
//! go on while they are read. So nothing here waits.
//!
//! Invariant: what is read for one request is bounded, and answers to another one are not taken for it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::attribute::Attributes;
use crate::error::{NftError, Unreadable};
use crate::message::{self, Answer, Kind, Sent};

/// For what is sent at once. The kernel cuts it to `net.core.wmem_max` where the process may not force it.
const SEND_BUFFER: usize = 1 << 20;
/// A datagram of the kernel: those of dumps have 32 KiB at most, and a refusal repeats the message it is about.
const DATAGRAM: usize = 1 << 17;
/// Datagrams of one answer. A dump of 10,000 elements has about 20.
const DATAGRAMS: usize = 1_000;

/// A socket; what it owns in nftables goes when it is dropped.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens one in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn open() -> Result<Self, NftError> {
        let error = |step| {
            move |errno: Errno| NftError::Socket {
                step,
                source: errno.into(),
            }
        };
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::NETFILTER),
        )
        .map_err(error("open a socket to nftables"))?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0)).map_err(error("bind a socket to nftables"))?;
        if sockopt::set_socket_send_buffer_size_force(&fd, SEND_BUFFER).is_err() {
            sockopt::set_socket_send_buffer_size(&fd, SEND_BUFFER).map_err(error("size the buffer"))?;
        }
        Ok(Self { fd, sequence: 1 })
    }

    /// The number that the next message gets.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Applies a batch, whole or not at all.
    ///
    /// # Errors
    /// The first refusal, by its name.
    pub fn apply(&mut self, batch: &Sent) -> Result<(), NftError> {
        const STEP: &str = "change the table";
        self.sequence = self.sequence.wrapping_add(1 << 16);
        self.send(&batch.bytes, STEP)?;
        let (mut refused, mut done) = (None, false);
        self.receive(STEP, |answer| {
            if let Answer::Verdict { sequence, errno } = answer
                && let Some(label) = batch.label(*sequence)
            {
                done |= batch.is_last(*sequence) && *errno == 0;
                if *errno != 0 && refused.is_none() {
                    refused = Some(NftError::refused(label, *errno, batch.is_begin(*sequence)));
                }
            }
            Ok(false)
        })?;
        match (refused, done) {
            (Some(error), _) => Err(error),
            (None, true) => Ok(()),
            (None, false) => Err(unreadable(STEP, Unreadable::Missing)),
        }
    }

    /// Hands all objects of one kind to `each`. Returns whether they are of one moment.
    ///
    /// # Errors
    /// When the kernel refuses, or its answer cannot be read.
    pub fn dump(
        &mut self,
        step: &'static str,
        kind: Kind,
        attributes: &Attributes,
        mut each: impl FnMut(u16, &[u8]) -> Result<(), Unreadable>,
    ) -> Result<bool, NftError> {
        let number = self.next();
        self.send(&message::dump(kind, number, attributes), step)?;
        let (mut end, mut whole) = (None, true);
        self.receive(step, |answer| {
            match *answer {
                Answer::Object {
                    sequence,
                    kind,
                    interrupted,
                    attributes,
                } if sequence == number => {
                    whole &= !interrupted;
                    each(kind, attributes)?;
                }
                Answer::Done { sequence, errno } | Answer::Verdict { sequence, errno }
                    if sequence == number =>
                {
                    end = Some(errno);
                }
                _ => {}
            }
            Ok(end.is_some())
        })?;
        match end {
            Some(0) => Ok(whole),
            // How a dump says that it was overtaken, on some kernels.
            Some(errno) if errno == Errno::INTR.raw_os_error() => Ok(false),
            Some(errno) => Err(NftError::refused(step, errno, false)),
            None => Err(unreadable(step, Unreadable::Endless)),
        }
    }

    /// The number of the last change that anybody made to nftables in this network namespace.
    ///
    /// # Errors
    /// When the kernel refuses, or its answer cannot be read.
    pub fn generation(&mut self) -> Result<u32, NftError> {
        const STEP: &str = "ask for the number of the last change";
        let number = self.next();
        self.send(&message::get(Kind::GetGen, number, &Attributes::new()), STEP)?;
        let mut found = None;
        self.receive(STEP, |answer| {
            if let Answer::Object {
                sequence, attributes, ..
            } = *answer
                && sequence == number
            {
                found = crate::attribute::find(attributes, 1)
                    .and_then(|value| value.try_into().ok())
                    .map(u32::from_be_bytes);
            }
            Ok(found.is_some())
        })?;
        found.ok_or(unreadable(STEP, Unreadable::Missing))
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self, bytes: &[u8], step: &'static str) -> Result<(), NftError> {
        match rustix::net::send(&self.fd, bytes, SendFlags::empty()) {
            Ok(_) => Ok(()),
            Err(Errno::MSGSIZE) => Err(NftError::TooLarge { bytes: bytes.len() }),
            Err(errno) => Err(NftError::Socket {
                step,
                source: errno.into(),
            }),
        }
    }

    /// Hands what is in the queue to `each`, until that says that it was all, or until there is no more.
    fn receive(
        &self,
        step: &'static str,
        mut each: impl FnMut(&Answer<'_>) -> Result<bool, Unreadable>,
    ) -> Result<(), NftError> {
        let mut buffer = vec![0; DATAGRAM];
        for _ in 0..DATAGRAMS {
            let length = match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    let source = io::Error::from(errno);
                    return Err(NftError::Socket { step, source });
                }
            };
            let mut all = false;
            for answer in message::read(buffer.get(..length).unwrap_or_default()) {
                let answer = answer.map_err(|cut| unreadable(step, cut.into()))?;
                all |= each(&answer).map_err(|why| unreadable(step, why))?;
            }
            if all {
                return Ok(());
            }
        }
        Err(unreadable(step, Unreadable::Endless))
    }
}

const fn unreadable(step: &'static str, why: Unreadable) -> NftError {
    NftError::Unreadable { step, why }
}
