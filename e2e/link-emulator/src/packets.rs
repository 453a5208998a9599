//! The kernel's language for queues of packets (nfnetlink): messages read and written as bytes. Pure.
//!
//! Source: `include/uapi/linux/netfilter/{nfnetlink,nfnetlink_queue}.h`, `include/uapi/linux/netlink.h`.

const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
const SUBSYSTEM_QUEUE: u16 = 3 << 8;
const MESSAGE_PACKET: u16 = SUBSYSTEM_QUEUE;
const MESSAGE_VERDICT: u16 = SUBSYSTEM_QUEUE | 1;
const MESSAGE_CONFIG: u16 = SUBSYSTEM_QUEUE | 2;
const MESSAGE_ERROR: u16 = 2;
const FLAG_REQUEST: u16 = 1;
const FLAG_ACK: u16 = 4;

const CONFIG_COMMAND: u16 = 1;
const CONFIG_PARAMETERS: u16 = 2;
const CONFIG_LENGTH: u16 = 3;
const COMMAND_BIND: u8 = 1;
const COPY_PACKET: u8 = 2;

const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const PAYLOAD: u16 = 10;
const WHOLE_LENGTH: u16 = 13;
const TYPE_MASK: u16 = 0x3fff;

const VERDICT_DROP: u32 = 0;
const VERDICT_ACCEPT: u32 = 1;

/// The header of an Ethernet frame, which is not part of the packet that is queued.
const ETHERNET: u64 = 14;

/// What the kernel said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A packet waits for a verdict.
    Packet {
        /// The queue in which it waits.
        queue: u16,
        /// Its number there.
        id: u32,
        /// Length of its Ethernet frame.
        length: u64,
    },
    /// An answer to a request with `FLAG_ACK`: 0, or an error number.
    Answer(i32),
}

/// Asks for the packets of `queue`: only the first byte of each, and their lengths. One message for each thing.
pub fn bind(queue: u16, capacity: u32) -> [Vec<u8>; 3] {
    // The byte that is asked for makes the kernel say the length; 0 would mean all of it.
    let parameters = [&1u32.to_be_bytes()[..], &[COPY_PACKET]].concat();
    [
        message(
            MESSAGE_CONFIG,
            queue,
            &[(CONFIG_COMMAND, &[COMMAND_BIND, 0, 0, 0])],
            FLAG_ACK,
        ),
        message(
            MESSAGE_CONFIG,
            queue,
            &[(CONFIG_PARAMETERS, &parameters)],
            FLAG_ACK,
        ),
        message(
            MESSAGE_CONFIG,
            queue,
            &[(CONFIG_LENGTH, &capacity.to_be_bytes())],
            FLAG_ACK,
        ),
    ]
}

/// Lets the packet `id` of `queue` go on, or drops it.
pub fn verdict(queue: u16, id: u32, passes: bool) -> Vec<u8> {
    let verdict = if passes { VERDICT_ACCEPT } else { VERDICT_DROP };
    let header = [verdict.to_be_bytes(), id.to_be_bytes()].concat();
    message(MESSAGE_VERDICT, queue, &[(VERDICT_HEADER, &header)], 0)
}

fn message(kind: u16, queue: u16, attributes: &[(u16, &[u8])], flags: u16) -> Vec<u8> {
    let mut body = vec![0, 0]; // any family, version 0
    body.extend(queue.to_be_bytes());
    for (attribute, value) in attributes {
        body.extend((value.len() as u16 + 4).to_ne_bytes());
        body.extend(attribute.to_ne_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((FLAG_REQUEST | flags).to_ne_bytes());
    message.extend([0; 8]); // sequence and sender
    message.extend(body);
    message
}

/// The messages of what was received; what is none of ours or cut off is left out.
pub fn read(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(length) = u32_at(bytes, 0).map(|length| length as usize) {
        let Some(message) = bytes.get(..length).filter(|message| message.len() >= HEADER) else {
            break;
        };
        messages.extend(one(message));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

fn one(message: &[u8]) -> Option<Message> {
    let kind = u16_at(message, 4)?;
    if kind == MESSAGE_ERROR {
        return Some(Message::Answer(u32_at(message, HEADER)?.cast_signed()));
    }
    if kind != MESSAGE_PACKET {
        return None;
    }
    let queue = u16_at(message, HEADER + 2)?.swap_bytes_if_little();
    let (mut id, mut length) = (None, None);
    let mut attributes = message.get(HEADER + FAMILY_HEADER..)?;
    while let (Some(size), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let size = size as usize;
        let Some(value) = attributes.get(4..size) else {
            break;
        };
        let number = value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match kind & TYPE_MASK {
            PACKET_HEADER => id = number,
            WHOLE_LENGTH => length = number.map(u64::from),
            // Said instead where the byte that was asked for is all there is.
            PAYLOAD => length = length.or(Some(value.len() as u64)),
            _ => {}
        }
        attributes = attributes.get(size.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Message::Packet {
        queue,
        id: id?,
        length: length.unwrap_or(0) + ETHERNET,
    })
}

trait FromNetwork {
    fn swap_bytes_if_little(self) -> Self;
}

impl FromNetwork for u16 {
    /// A number that was read in this machine's order and is in the network's.
    fn swap_bytes_if_little(self) -> Self {
        Self::from_be(self)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    bytes.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet as the kernel tells of it: header, one byte, the whole length.
    fn packet(queue: u16, id: u32, whole: Option<u32>) -> Vec<u8> {
        let header = [&id.to_be_bytes()[..], &[0x08, 0, 2]].concat();
        let whole = whole.map(u32::to_be_bytes);
        let mut attributes: Vec<(u16, &[u8])> = vec![(PACKET_HEADER, &header), (PAYLOAD, b"E")];
        if let Some(whole) = &whole {
            attributes.push((WHOLE_LENGTH, whole));
        }
        message(MESSAGE_PACKET, queue, &attributes, 0)
    }

    #[test]
    fn packets_are_read_with_their_lengths() {
        let bytes = [packet(43, 7, Some(1486)), packet(42, 8, None)].concat();
        let expected = [(43, 7, 1500), (42, 8, 15)];
        let expected = expected.map(|(queue, id, length)| Message::Packet { queue, id, length });
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn what_is_cut_off_or_strange_gives_nothing() {
        let whole = packet(43, 7, Some(1486));
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), [], "{end}");
        }
        for length in [0u32, 3, 15, u32::MAX] {
            let mut strange = whole.clone();
            strange[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(read(&strange), [], "{length}");
        }
        // An attribute that claims no length at all must not hold us for ever.
        let mut strange = whole;
        strange[20..22].copy_from_slice(&0u16.to_ne_bytes());
        assert_eq!(read(&strange), []);
    }

    #[test]
    fn a_verdict_names_packet_and_queue() {
        let bytes = verdict(0x0102, 0x0304_0506, true);
        assert_eq!(bytes.len(), 32);
        assert_eq!(bytes[..4], 32u32.to_ne_bytes());
        assert_eq!(bytes[16..20], [0, 0, 1, 2]);
        assert_eq!(bytes[24..], [0, 0, 0, 1, 3, 4, 5, 6]);
    }

    #[test]
    fn answers_are_read() {
        let mut bytes = message(MESSAGE_ERROR, 0, &[], 0);
        bytes[16..20].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(read(&bytes), [Message::Answer(-1)]);
    }
}
