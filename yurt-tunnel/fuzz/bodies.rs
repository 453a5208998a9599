//! What the fuzz targets do with their input; `tests/fuzz_corpus.rs` does the same with the committed corpus.

use yurt_tunnel::front::request;
use yurt_tunnel::protocol::{self, Answer, Dial, Greeting, PREFIX};

/// What is read can be written, and is then read as the same; nothing panics.
pub(crate) fn messages(data: &[u8]) {
    if let Some(prefix) = data.first_chunk::<PREFIX>() {
        let _ = protocol::length(*prefix);
    }
    if let Ok(greeting) = protocol::decode::<Greeting>(data)
        && greeting != Greeting::Unknown
        && let Ok(bytes) = protocol::encode(&greeting)
    {
        assert_eq!(
            protocol::decode::<Greeting>(&bytes[PREFIX..]).ok(),
            Some(greeting)
        );
    }
    if let Ok(dial) = protocol::decode::<Dial>(data)
        && let Ok(bytes) = protocol::encode(&dial)
    {
        assert_eq!(protocol::decode::<Dial>(&bytes[PREFIX..]).ok(), Some(dial));
    }
    let _ = protocol::decode::<Answer>(data);
}

/// A target of `CONNECT` has a host that is not empty; nothing panics.
pub(crate) fn connect(data: &[u8]) {
    if let Some(end) = request::end(data)
        && let Ok((host, _)) = request::parse(&data[..end])
    {
        assert!(!host.is_empty());
    }
}
