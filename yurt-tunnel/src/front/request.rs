//! The head of a `CONNECT` (pure): `CONNECT host:port HTTP/1.1`, and fields that nobody needs.

use thiserror::Error;

/// Bytes of a head, at most.
pub const LARGEST: usize = 8 << 10;

/// Why it is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// The first line is not one.
    #[error("expected `CONNECT host:port HTTP/1.1`")]
    Line,
    /// Another method.
    #[error("only CONNECT is served here")]
    Method,
    /// No host and port.
    #[error("expected host:port as the target of CONNECT")]
    Target,
}

/// Where the head ends; none: not yet.
pub fn end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Host, without brackets, and port.
pub fn parse(head: &[u8]) -> Result<(String, u16), BadRequest> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| BadRequest::Line)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BadRequest::Line);
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(BadRequest::Line);
    }
    if method != "CONNECT" {
        return Err(BadRequest::Method);
    }
    let (host, port) = target.rsplit_once(':').ok_or(BadRequest::Target)?;
    let port = port.parse().map_err(|_| BadRequest::Target)?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let known = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'_' | b'%');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(known) {
        return Err(BadRequest::Target);
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_are_read_as_the_apiserver_sends_them() {
        let ok = |host: &str, port| Ok((host.to_owned(), port));
        for (head, read) in [
            (
                "CONNECT 10.0.0.7:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                ok("10.0.0.7", 10250),
            ),
            ("CONNECT [fd00::7]:10250 HTTP/1.1\r\n\r\n", ok("fd00::7", 10250)),
            ("CONNECT edge1:443 HTTP/1.1\r\n\r\n", ok("edge1", 443)),
            ("GET / HTTP/1.1\r\n\r\n", Err(BadRequest::Method)),
            ("CONNECT edge1 HTTP/1.1\r\n\r\n", Err(BadRequest::Target)),
            ("CONNECT :1 HTTP/1.1\r\n\r\n", Err(BadRequest::Target)),
            ("CONNECT a:99999 HTTP/1.1\r\n\r\n", Err(BadRequest::Target)),
            ("CONNECT a/b:1 HTTP/1.1\r\n\r\n", Err(BadRequest::Target)),
            ("CONNECT a:1 HTTP/2\r\n\r\n", Err(BadRequest::Line)),
            ("CONNECT a:1\r\n\r\n", Err(BadRequest::Line)),
        ] {
            assert_eq!(parse(head.as_bytes()), read, "{head}");
        }
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(end(b"CONNECT a:1 HTTP/1.1\r\n"), None);
        assert_eq!(end(b"a\r\n\r\nrest"), Some(5));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = end(&bytes);
            let _ = parse(&bytes);
        }
    }
}
