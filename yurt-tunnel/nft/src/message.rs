//! Netlink messages of nftables: batches that are applied whole or not at all, requests for what is there, and what the
//! kernel answers (`include/uapi/linux/netlink.h`, `nfnetlink.h`, `nf_tables.h`).
//!
//! Invariant: a batch has as many labels as messages, so that each refusal has a name.

use crate::attribute::{Attributes, padded};

/// `NFPROTO_INET`: a table for IPv4 and IPv6 together.
pub const INET: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`, in the upper half of a type.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const ERROR: u16 = 2;
const DONE: u16 = 3;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
/// The dump was overtaken by a change (`NLM_F_DUMP_INTR`).
const INTERRUPTED: u16 = 0x10;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nfgenmsg`: family, version, and a number of the subsystem.
const FAMILY_HEADER: usize = 4;

/// What is done, or asked (`enum nf_tables_msg_types`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[expect(missing_docs, reason = "each is called as in the kernel's header")]
pub enum Kind {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    NewRule = 6,
    GetRule = 7,
    NewSet = 9,
    GetSet = 10,
    NewSetElem = 12,
    GetSetElem = 13,
    DelSetElem = 14,
    NewGen = 15,
    GetGen = 16,
}

impl Kind {
    const fn number(self) -> u16 {
        SUBSYSTEM << 8 | self as u16
    }

    const fn flags(self) -> u16 {
        match self {
            Self::NewTable | Self::NewChain | Self::NewSet | Self::NewSetElem => CREATE,
            Self::NewRule => CREATE | APPEND,
            _ => 0,
        }
    }
}

/// Changes that happen together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    labels: Vec<&'static str>,
    first: u32,
    last_message: usize,
}

impl Batch {
    /// An empty one; its messages are counted from `sequence`.
    pub fn new(sequence: u32) -> Self {
        let mut batch = Self {
            bytes: Vec::new(),
            labels: Vec::new(),
            first: sequence,
            last_message: 0,
        };
        batch.push(&Head::bound(BATCH_BEGIN), &[], "begin a change");
        batch
    }

    /// Adds a change; `label` says what it is, for errors: `create the table`.
    #[must_use]
    pub fn with(mut self, kind: Kind, attributes: &Attributes, label: &'static str) -> Self {
        let head = Head::of(kind, kind.flags());
        self.push(&head, attributes.as_bytes(), label);
        self
    }

    fn push(&mut self, head: &Head, body: &[u8], label: &'static str) {
        self.last_message = self.bytes.len();
        let sequence = self.next_sequence();
        head.write(&mut self.bytes, sequence, body);
        self.labels.push(label);
    }

    /// The number of the next message; those of the batch are below it.
    pub fn next_sequence(&self) -> u32 {
        self.first.wrapping_add(self.labels.len() as u32)
    }

    /// The batch as it is sent, and what its messages are called. The last change is answered, whatever becomes of it.
    pub fn finish(mut self) -> Sent {
        let flags = self.last_message + 6;
        if let Some(flags) = self.bytes.get_mut(flags..flags + 2) {
            let with_ack = u16::from_ne_bytes([flags[0], flags[1]]) | ACK;
            flags.copy_from_slice(&with_ack.to_ne_bytes());
        }
        self.push(&Head::bound(BATCH_END), &[], "end a change");
        Sent {
            bytes: self.bytes,
            labels: self.labels,
            first: self.first,
        }
    }
}

/// A batch that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What is sent.
    pub bytes: Vec<u8>,
    labels: Vec<&'static str>,
    first: u32,
}

impl Sent {
    /// What the message with number `sequence` is called; none where the batch has no such one.
    pub fn label(&self, sequence: u32) -> Option<&'static str> {
        let index = sequence.wrapping_sub(self.first) as usize;
        self.labels.get(index).copied()
    }

    /// Whether `sequence` is the last change, the one that is always answered.
    pub fn is_last(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first) as usize + 2 == self.labels.len()
    }

    /// Whether `sequence` is the beginning: what is refused with its number is the batch as a whole.
    pub const fn is_begin(&self, sequence: u32) -> bool {
        sequence == self.first
    }
}

/// A request for all objects of one kind.
pub fn dump(kind: Kind, sequence: u32, attributes: &Attributes) -> Vec<u8> {
    request(kind, DUMP, sequence, attributes)
}

/// A request for one object.
pub fn get(kind: Kind, sequence: u32, attributes: &Attributes) -> Vec<u8> {
    request(kind, 0, sequence, attributes)
}

fn request(kind: Kind, flags: u16, sequence: u32, attributes: &Attributes) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head::of(kind, flags).write(&mut bytes, sequence, attributes.as_bytes());
    bytes
}

/// What stands before the attributes of a message.
struct Head {
    kind: u16,
    flags: u16,
    family: u8,
    resource: u16,
}

impl Head {
    const fn of(kind: Kind, flags: u16) -> Self {
        Self {
            kind: kind.number(),
            flags,
            family: INET,
            resource: 0,
        }
    }

    /// Of the beginning and the end of a batch.
    const fn bound(kind: u16) -> Self {
        Self {
            kind,
            flags: 0,
            family: 0,
            resource: SUBSYSTEM,
        }
    }

    fn write(&self, into: &mut Vec<u8>, sequence: u32, body: &[u8]) {
        let length = (HEADER + FAMILY_HEADER + body.len()) as u32;
        into.extend(length.to_ne_bytes());
        into.extend(self.kind.to_ne_bytes());
        into.extend((REQUEST | self.flags).to_ne_bytes());
        into.extend(sequence.to_ne_bytes());
        // The kernel knows the port of the socket.
        into.extend(0u32.to_ne_bytes());
        into.extend([self.family, 0]);
        into.extend(self.resource.to_be_bytes());
        into.extend(body);
        into.resize(padded(into.len()), 0);
    }
}

/// What the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Message number `sequence` was done (`errno` 0) or refused.
    Verdict {
        /// Of the message that is answered.
        sequence: u32,
        /// A positive error number; 0: done.
        errno: i32,
    },
    /// The end of a dump.
    Done {
        /// Of the request.
        sequence: u32,
        /// A positive error number; 0: all is there.
        errno: i32,
    },
    /// An object.
    Object {
        /// Of the request.
        sequence: u32,
        /// Its type in the subsystem, as [`Kind`] numbers them.
        kind: u16,
        /// A change overtook the dump: it is to be asked again.
        interrupted: bool,
        /// Its attributes.
        attributes: &'a [u8],
    },
}

/// A message that says that it is longer than what is there, or shorter than its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the kernel's answer is cut")]
pub struct CutMessage;

/// The messages of one datagram of the kernel. Ends after the first that is cut.
pub fn read(datagram: &[u8]) -> impl Iterator<Item = Result<Answer<'_>, CutMessage>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (found, after) =
            first(rest).map_or((Err(CutMessage), &[][..]), |(found, after)| (Ok(found), after));
        rest = after;
        Some(found)
    })
}

fn first(bytes: &[u8]) -> Option<(Answer<'_>, &[u8])> {
    let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let half = |at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let length = word(0)? as usize;
    let (kind, flags, sequence) = (half(4)?, half(6)?, word(8)?);
    let body = bytes.get(HEADER..length)?;
    let errno = body
        .first_chunk()
        .map(|code| i32::from_ne_bytes(*code).saturating_neg());
    let answer = match kind {
        ERROR => Answer::Verdict {
            sequence,
            errno: errno?,
        },
        DONE => Answer::Done {
            sequence,
            errno: errno.unwrap_or_default(),
        },
        kind => Answer::Object {
            sequence,
            kind: kind & 0xff,
            interrupted: flags & INTERRUPTED != 0,
            attributes: body.get(FAMILY_HEADER..)?,
        },
    };
    Some((answer, bytes.get(padded(length)..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_last_change_asks_for_an_answer() {
        let attributes = Attributes::new().text(1, "t");
        let batch =
            Batch::new(7)
                .with(Kind::NewTable, &attributes, "one")
                .with(Kind::DelTable, &attributes, "two");
        assert_eq!(batch.next_sequence(), 10);
        let sent = batch.finish();
        let mut asked = Vec::new();
        let mut at = 0;
        while let Some(header) = sent.bytes.get(at..at + HEADER) {
            let flags = u16::from_ne_bytes([header[6], header[7]]);
            asked.push(flags & ACK != 0);
            at += padded(u32::from_ne_bytes(*header.first_chunk().unwrap()) as usize);
        }
        assert_eq!(asked, [false, false, true, false]);
        assert_eq!(sent.label(8), Some("one"));
        assert_eq!(sent.label(6), None);
        assert_eq!(sent.label(11), None);
        assert!(sent.is_last(9) && !sent.is_last(10) && sent.is_begin(7));
    }

    #[test]
    fn a_refusal_is_read_with_its_number() {
        let mut bytes = Vec::new();
        Head::bound(ERROR).write(&mut bytes, 9, &[]);
        bytes[HEADER..HEADER + 4].copy_from_slice(&(-17i32).to_ne_bytes());
        let expected = Answer::Verdict {
            sequence: 9,
            errno: 17,
        };
        assert_eq!(read(&bytes).collect::<Vec<_>>(), [Ok(expected)]);
        assert_eq!(read(&bytes[..18]).collect::<Vec<_>>(), [Err(CutMessage)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(read(&bytes).count() <= bytes.len() / HEADER + 1);
        }

        #[test]
        fn damaged_answers_give_values_or_an_error(at in 0..60usize, value in any::<u8>(), attributes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = get(Kind::GetSet, 3, &Attributes::new().bytes(4, &attributes));
            bytes.extend(get(Kind::GetSet, 4, &Attributes::new()));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            prop_assert!(read(&bytes).count() <= bytes.len() / HEADER + 1);
        }
    }
}
