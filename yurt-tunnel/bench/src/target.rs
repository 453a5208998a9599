//! What is at the far end: a listener in the kubelet's place, which does what the first byte of a connection says.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Everything comes back.
pub(crate) const ECHO: u8 = b'e';
/// Bytes come for as long as somebody reads.
pub(crate) const SOURCE: u8 = b'g';
/// Nothing is read any more.
pub(crate) const STALL: u8 = b'z';

/// Bytes that are written at a time.
const CHUNK: usize = 128 << 10;

/// Listens at 127.0.0.1, and serves until this process ends.
pub(crate) async fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("listen in the kubelet's place")?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));
    Ok(address)
}

/// Serves at `address` until this process is killed.
pub(crate) async fn run(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await;
    serve(listener.with_context(|| format!("listen at {address}"))?).await;
    Ok(())
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // Whoever resets a connection wanted no more of it.
        tokio::spawn(async move { answer(stream).await.ok() });
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match stream.read_u8().await? {
        SOURCE => {
            let bytes = vec![0x5a; CHUNK];
            loop {
                stream.write_all(&bytes).await?;
            }
        }
        STALL => std::future::pending().await,
        _ => {
            let mut buffer = [0; 4096];
            loop {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return stream.shutdown().await;
                }
                stream.write_all(&buffer[..read]).await?;
            }
        }
    }
}
