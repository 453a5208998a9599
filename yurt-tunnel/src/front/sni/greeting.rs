//! Finds the server's name in a TLS `ClientHello` (RFC 8446 section 4.1.2, RFC 6066 section 3). Pure.
//!
//! Invariant: a name that was found in the first bytes is found in more of them, and any bytes give an answer.

/// A greeting that names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is something else.
    #[error("the first bytes are no TLS greeting")]
    NotTls,
    /// Lengths in it contradict each other.
    #[error("the TLS greeting is damaged")]
    Damaged,
    /// The client dialled an address.
    #[error("the TLS greeting names no server: the client dialled an address and not a name")]
    NoName,
    /// It names something that is no name of DNS.
    #[error("the TLS greeting names a server that cannot be one")]
    BadName,
    /// It is longer than is read.
    #[error("the TLS greeting is too long")]
    TooLong,
    /// The client went.
    #[error("the connection ended within the TLS greeting")]
    Ended,
}

/// `handshake` of RFC 8446's `ContentType`.
const HANDSHAKE: u8 = 22;
/// `client_hello` of `HandshakeType`.
const CLIENT_HELLO: u8 = 1;
/// `server_name` of `ExtensionType`.
const SERVER_NAME: u16 = 0;
/// `host_name` of RFC 6066's `NameType`.
const HOST_NAME: u8 = 0;
/// Bytes of a record (RFC 8446 section 5.1).
const MAX_RECORD: usize = 1 << 14;
/// Bytes of a name of DNS.
const MAX_NAME: usize = 253;

/// The name in a greeting that begins with `bytes`, in small letters; none: more of it must be read.
///
/// # Errors
/// When no more bytes will bring one.
pub fn server_name(bytes: &[u8]) -> Result<Option<String>, Fault> {
    let Some(hello) = client_hello(bytes)? else {
        return Ok(None);
    };
    let found = name_of(&hello).ok_or(Fault::Damaged)??;
    let text = std::str::from_utf8(found).map_err(|_| Fault::BadName)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(allowed) {
        return Err(Fault::BadName);
    }
    Ok(Some(text.to_ascii_lowercase()))
}

/// The body of the `ClientHello`, out of as many records as it has; none: more must be read.
fn client_hello(bytes: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        if let Some((&kind, body)) = message.split_first() {
            if kind != CLIENT_HELLO {
                return Err(Fault::NotTls);
            }
            let mut body = Reader(body);
            if let Some(length) = body.number(3) {
                if length > super::MAX_GREETING {
                    return Err(Fault::TooLong);
                }
                if let Some(hello) = body.take(length) {
                    return Ok(Some(hello.to_vec()));
                }
            }
        }
        // What is there of a header is judged before the rest of it has come.
        if rest.first().is_some_and(|kind| *kind != HANDSHAKE) || rest.get(1).is_some_and(|major| *major != 3)
        {
            return Err(Fault::NotTls);
        }
        let mut record = Reader(rest);
        let Some(length) = record.take(3).and_then(|_| record.number(2)) else {
            return Ok(None);
        };
        if length == 0 || length > MAX_RECORD {
            return Err(Fault::NotTls);
        }
        let Some(fragment) = record.take(length) else {
            return Ok(None);
        };
        message.extend(fragment);
        rest = record.0;
    }
}

/// The name; none where lengths contradict each other.
fn name_of(hello: &[u8]) -> Option<Result<&[u8], Fault>> {
    let mut hello = Reader(hello);
    // Version and random.
    hello.take(34)?;
    // Session, cipher suites, compression methods.
    for length in [1, 2, 1] {
        hello.counted(length)?;
    }
    if hello.0.is_empty() {
        return Some(Err(Fault::NoName));
    }
    let mut extensions = Reader(hello.counted(2)?);
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let body = extensions.counted(2)?;
        if kind != usize::from(SERVER_NAME) {
            continue;
        }
        let mut names = Reader(Reader(body).counted(2)?);
        while !names.0.is_empty() {
            let kind = names.number(1)?;
            let name = names.counted(2)?;
            if kind == usize::from(HOST_NAME) {
                return Some(Ok(name));
            }
        }
    }
    Some(Err(Fault::NoName))
}

/// What is left of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A big-endian number of `length` bytes, three at most.
    fn number(&mut self, length: usize) -> Option<usize> {
        let bytes = self.take(length)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
        )
    }

    /// Bytes behind their length, which has `length` bytes.
    fn counted(&mut self, length: usize) -> Option<&'a [u8]> {
        let count = self.number(length)?;
        self.take(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A greeting for `name` in records of `split` bytes.
    fn greeting(name: Option<&[u8]>, padding: usize, split: usize) -> Vec<u8> {
        let counted = |length: usize, body: &[u8]| {
            let count = (body.len() as u32).to_be_bytes();
            [&count[4 - length..], body].concat()
        };
        let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &counted(2, body)].concat();
        let mut extensions = extension(21, &vec![0; padding]);
        if let Some(name) = name {
            let names = [&[HOST_NAME][..], &counted(2, name)].concat();
            extensions.extend(extension(SERVER_NAME, &counted(2, &names)));
        }
        let hello = [
            &[3, 3][..],
            &[7; 32],
            &counted(1, &[1; 32]),
            &counted(2, &[0x13, 1]),
            &counted(1, &[0]),
            &counted(2, &extensions),
        ]
        .concat();
        let message = [&[CLIENT_HELLO][..], &counted(3, &hello)].concat();
        let records = message
            .chunks(split)
            .map(|part| [&[HANDSHAKE, 3, 1][..], &counted(2, part)].concat());
        records.flatten().collect()
    }

    #[test]
    fn a_name_is_found_whatever_stands_before_it() {
        let name = |bytes: &[u8]| server_name(bytes);
        assert_eq!(
            name(&greeting(Some(b"Edge-1"), 0, 9999)),
            Ok(Some("edge-1".into()))
        );
        assert_eq!(
            name(&greeting(Some(b"edge-1"), 1500, 9)),
            Ok(Some("edge-1".into()))
        );
        assert_eq!(name(&greeting(None, 3, 99)), Err(Fault::NoName));
        for bad in [&b""[..], b"a b", b"\xff", &[b'a'; 254]] {
            assert_eq!(name(&greeting(Some(bad), 0, 9999)), Err(Fault::BadName));
        }
    }

    #[test]
    fn what_is_no_greeting_is_refused_by_its_first_byte() {
        assert_eq!(server_name(b""), Ok(None));
        assert_eq!(server_name(b"G"), Err(Fault::NotTls));
        assert_eq!(server_name(&[HANDSHAKE, 2]), Err(Fault::NotTls));
        assert_eq!(
            server_name(&[HANDSHAKE, 3, 1, 0, 1, 2]),
            Err(Fault::NotTls),
            "a ServerHello"
        );
        assert_eq!(
            server_name(&[HANDSHAKE, 3, 1, 0, 0]),
            Err(Fault::NotTls),
            "an empty record"
        );
        assert_eq!(
            server_name(&[HANDSHAKE, 3, 1, 0, 4, 1, 1, 0, 0]),
            Err(Fault::TooLong)
        );
        assert_eq!(
            server_name(&[HANDSHAKE, 3, 1, 0, 5, 1, 0, 0, 1, 3]),
            Err(Fault::Damaged)
        );
    }

    proptest! {
        #[test]
        fn each_part_of_a_greeting_wants_more(split in 1..600usize, padding in 0..400usize, cut in any::<prop::sample::Index>()) {
            let bytes = greeting(Some(b"edge.example"), padding, split);
            let end = cut.index(bytes.len());
            prop_assert_eq!(server_name(&bytes[..end]), Ok(None));
            prop_assert_eq!(server_name(&[&bytes, &b"more"[..]].concat()), Ok(Some("edge.example".into())));
        }

        #[test]
        fn damaged_greetings_give_an_answer(at in any::<prop::sample::Index>(), value in any::<u8>(), split in 1..300usize) {
            let mut bytes = greeting(Some(b"edge"), 20, split);
            let at = at.index(bytes.len());
            bytes[at] = value;
            if let Ok(Some(name)) = server_name(&bytes) {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME);
            }
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = server_name(&bytes);
        }
    }
}
