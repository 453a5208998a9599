//! Connections over QUIC.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, EndpointConfig, IdleTimeout, TokioRuntime, TransportConfig, VarInt};
use rustls::{ClientConfig, ServerConfig};
use socket2::{Domain, Protocol, Socket, Type};

use super::attempts::Heard;
use super::{CONNECTION_WINDOW, IDLE, MOST_STREAMS, SEND_WINDOW, STREAM_WINDOW};

/// A NAT that forgets sooner than in 30 s is rare.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Bytes of packets that the kernel keeps for a socket, each way, as far as `net.core.rmem_max` and `wmem_max` let it.
const SOCKET_BUFFER: usize = 2 << 20;
/// What a round trip is taken for before one was seen. A third of the time after which a first packet is sent again: there
/// are fresh attempts meanwhile, and nobody pays for both.
const FIRST_RTT: Duration = Duration::from_secs(1);
/// Handshakes that wait to be looked at.
const WAITING: usize = 4096;

/// What decides how fast is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Congestion {
    /// Slows down where packets are lost, as TCP does.
    Cubic,
    /// Goes by bandwidth and delay, and bears lost packets.
    #[default]
    Bbr,
}

fn transport(congestion: Congestion, streams: u32) -> TransportConfig {
    let factory: Arc<dyn ControllerFactory + Send + Sync> = match congestion {
        Congestion::Cubic => Arc::new(CubicConfig::default()),
        Congestion::Bbr => Arc::new(BbrConfig::default()),
    };
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(factory)
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(u64::from(SEND_WINDOW))
        .datagram_receive_buffer_size(None);
    config
}

/// Listens at `address`, for UDP. Those that dial may open one stream, for greetings.
pub fn listen(address: SocketAddr, tls: ServerConfig, congestion: Congestion) -> io::Result<Endpoint> {
    let tls = QuicServerConfig::try_from(tls).map_err(no_suite)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(Arc::new(transport(congestion, 1)));
    config.max_incoming(WAITING);
    endpoint(address, Some(config))
}

fn endpoint(address: SocketAddr, config: Option<quinn::ServerConfig>) -> io::Result<Endpoint> {
    let socket = bind(address, config.is_some())?;
    Endpoint::new(EndpointConfig::default(), config, socket, Arc::new(TokioRuntime))
}

/// A socket for both families where it is at no address of one of them. A server that restarts does not wait until the last
/// packets of the one before are sent: that two servers do not share a port is seen to by TCP, which is bound first.
fn bind(address: SocketAddr, for_server: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(for_server)?;
    // One that stays small loses packets of bursts, which are sent again.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A socket to dial from, for both families where the system has both.
pub fn dialling() -> io::Result<Endpoint> {
    endpoint((Ipv6Addr::UNSPECIFIED, 0).into(), None)
        .or_else(|_| endpoint((Ipv4Addr::UNSPECIFIED, 0).into(), None))
}

/// Dials `address`; tells when something was heard. The caller has the deadline.
pub async fn dial(
    endpoint: &Endpoint,
    address: SocketAddr,
    tls: ClientConfig,
    congestion: Congestion,
    heard: Heard,
) -> io::Result<quinn::Connection> {
    let tls = QuicClientConfig::try_from(tls).map_err(no_suite)?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = transport(congestion, MOST_STREAMS);
    transport
        .keep_alive_interval(Some(KEEPALIVE))
        .initial_rtt(FIRST_RTT);
    config.transport_config(Arc::new(transport));
    let connecting = endpoint.connect_with(config, address, super::tls::SERVER_NAME);
    let mut connecting = connecting.map_err(io::Error::other)?;
    if connecting.handshake_data().await.is_ok() {
        heard.now();
    }
    connecting.await.map_err(io::Error::from)
}

fn no_suite(error: NoInitialCipherSuite) -> io::Error {
    io::Error::other(error)
}
