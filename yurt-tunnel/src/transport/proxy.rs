//! Through an HTTP proxy: `CONNECT`, then bytes.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes of a proxy's answer, at most.
const LARGEST: usize = 8 << 10;

/// `host:port` of a proxy, from what is in `HTTPS_PROXY`: `http://host:port`, `host:port`.
pub fn address(setting: &str) -> Result<String, String> {
    if setting.starts_with("https://") || setting.contains('@') {
        return Err("a proxy that wants TLS or a password is not supported; use http://host:port".into());
    }
    let address = setting
        .strip_prefix("http://")
        .unwrap_or(setting)
        .trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.into()),
        _ => Err("expected http://host:port".into()),
    }
}

/// A connection to `target` through `proxy`. The caller has the deadline.
pub async fn connect(proxy: &str, target: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy).await?;
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte: what follows belongs to TLS.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LARGEST {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let line =
        String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    match line.split(' ').nth(1) {
        Some(status) if status.len() == 3 && status.starts_with('2') => Ok(stream),
        _ => Err(io::Error::other(format!("the proxy {proxy} refuses: {line}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_proxies_are_read() {
        assert_eq!(address("http://proxy:3128/").unwrap(), "proxy:3128");
        assert_eq!(address("10.0.0.1:8080").unwrap(), "10.0.0.1:8080");
        for bad in [
            "https://proxy:1",
            "http://user:word@proxy:1",
            "proxy",
            ":1",
            "http://proxy:x",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
