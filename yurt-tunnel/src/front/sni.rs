//! Front door C: the name in the TLS greeting says which node is meant.
//!
//! For clients that dial nodes by name, and for nodes that share an address: DNS answers with this door's address for each
//! node's name, and the client's TLS library sends the name it dialled (RFC 6066, server name indication). TLS is not ended
//! here: what was read is sent on, byte by byte, and then everything else.
//!
//! Not here: whether the name is true. It only chooses a node, whose kubelet proves who it is to the client.
//!
//! Invariant: no more than [`MAX_GREETING`] bytes are read before a connection is carried or reset.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tracing::debug;

use super::{Dial, Known, Target, accept, carry, reset};

pub mod greeting;

use greeting::{Fault, server_name};

/// Bytes of a greeting, records included. Those with post-quantum keys have some 2 KiB.
pub const MAX_GREETING: usize = 16 << 10;
/// For a greeting to arrive.
const DEADLINE: Duration = Duration::from_secs(10);
/// Connections at this door.
pub const MAX_CONNECTIONS: usize = 16_384;

/// Carries what arrives, for ever. Dropped, it ends all connections.
pub async fn serve<D: Dial>(listener: TcpListener, known: Known, dial: Arc<D>, limit: usize) {
    accept(listener, limit, |client| {
        let (known, dial) = (known.clone(), Arc::clone(&dial));
        async move { one(&*dial, &known, client).await }
    })
    .await;
}

async fn one<D: Dial>(dial: &D, known: &Known, mut client: TcpStream) {
    let greeting = tokio::time::timeout(DEADLINE, read(&mut client)).await;
    let (name, already) = match greeting {
        Ok(Ok(read)) => read,
        Ok(Err(fault)) => return refuse(client, &fault.to_string()),
        Err(_) => return refuse(client, "the TLS greeting did not come in time"),
    };
    let kubelets = known.borrow().clone();
    let port = kubelets.and_then(|kubelets| kubelets.port_of(&name));
    let Some(port) = port else {
        return refuse(client, "no edge node has the name in the TLS greeting");
    };
    let target = Target {
        node: name.into(),
        port,
    };
    carry(dial, &target, client, already).await;
}

fn refuse(client: TcpStream, reason: &str) {
    debug!(reason, from = ?client.peer_addr(), "a connection was reset");
    reset(client);
}

/// Reads until the name is known. Returns it, and what was read.
async fn read(client: &mut TcpStream) -> Result<(String, Vec<u8>), Fault> {
    let mut read = Vec::with_capacity(2048);
    loop {
        if let Some(name) = server_name(&read)? {
            return Ok((name, read));
        }
        let room = MAX_GREETING.saturating_sub(read.len());
        if room == 0 {
            return Err(Fault::TooLong);
        }
        let mut limited = (&mut *client).take(room as u64);
        match limited.read_buf(&mut read).await {
            Ok(0) | Err(_) => return Err(Fault::Ended),
            Ok(_) => {}
        }
    }
}
