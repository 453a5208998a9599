//! The link's weather, against a server that echoes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use yurt_testkit::link::{Traffic, Weather};
use yurt_testkit::{Link, wait_for};

const DEADLINE: Duration = Duration::from_secs(30);

/// Long enough for an echo over loopback to have come, many times over.
const WHILE: Duration = Duration::from_millis(200);

async fn echo_server() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    Ok(address)
}

async fn echo(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(message).await?;
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    assert_eq!(echo(&mut client, b"hello").await.unwrap(), b"hello");
    assert_eq!(link.connections(), 1);
    client.shutdown().await.unwrap();
    assert_eq!(
        client.read_to_end(&mut Vec::new()).await.unwrap(),
        0,
        "the end passes, too"
    );
    wait_for("the connection to be gone", DEADLINE, async || {
        link.connections() == 0
    })
    .await;
    assert_eq!(link.bytes(), Traffic { up: 5, down: 5 });
    assert_eq!(link.accepted(), 1);
}

#[tokio::test]
async fn large_streams_pass_unchanged() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let stream = TcpStream::connect(link.address()).await.unwrap();
    let sent: Vec<u8> = (0..8u32 << 20)
        .map(|index| (index * 7 + (index >> 11)) as u8)
        .collect();
    let (mut read, mut write) = stream.into_split();
    let mut received = Vec::new();
    let (written, got) = tokio::join!(
        async {
            write.write_all(&sent).await?;
            write.shutdown().await
        },
        read.read_to_end(&mut received),
    );
    written.unwrap();
    got.unwrap();
    assert!(sent == received, "{} bytes came back", received.len());
}

#[tokio::test]
async fn a_cut_resets_and_refuses_until_joined() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    echo(&mut client, b"before").await.unwrap();
    link.cut().await;
    assert_eq!((link.weather(), link.connections()), (Weather::Cut, 0));
    let error = client.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = TcpStream::connect(link.address()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    link.join().await;
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    assert_eq!(echo(&mut client, b"after").await.unwrap(), b"after");
}

#[tokio::test]
async fn a_black_hole_swallows_and_gives_back() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let mut old = TcpStream::connect(link.address()).await.unwrap();
    echo(&mut old, b"before").await.unwrap();
    link.blackhole().await;
    let before = link.bytes();
    assert!(
        timeout(WHILE, echo(&mut old, b"x")).await.is_err(),
        "an answer out of a black hole"
    );
    let mut new = tokio::spawn(TcpStream::connect(link.address()));
    assert!(
        timeout(WHILE, &mut new).await.is_err(),
        "a connection into a black hole"
    );
    assert_eq!(
        (link.bytes(), link.connections(), link.accepted()),
        (before, 1, 1)
    );
    link.join().await;
    // The message was sent; its answer comes now.
    let answer = timeout(DEADLINE, old.read_u8()).await.unwrap().unwrap();
    assert_eq!(answer, b'x');
    let mut new = timeout(DEADLINE, new).await.unwrap().unwrap().unwrap();
    echo(&mut new, b"y").await.unwrap();
}

#[tokio::test]
async fn forgotten_connections_are_dead_and_new_ones_work() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let mut old = TcpStream::connect(link.address()).await.unwrap();
    echo(&mut old, b"before").await.unwrap();
    link.forget_connections().await;
    let mut new = TcpStream::connect(link.address()).await.unwrap();
    assert_eq!(echo(&mut new, b"new").await.unwrap(), b"new");
    assert!(
        timeout(WHILE, echo(&mut old, b"x")).await.is_err(),
        "a forgotten connection answers"
    );
}

#[tokio::test]
async fn a_black_hole_can_be_cut() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    echo(&mut client, b"before").await.unwrap();
    link.blackhole().await;
    link.cut().await;
    assert_eq!(
        client.read(&mut [0; 8]).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn a_delay_is_felt_in_each_direction() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    link.delay(Duration::from_millis(50)).await;
    let start = Instant::now();
    echo(&mut client, b"slow").await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_refuses_is_a_reset() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let link = Link::to(gone).unwrap();
    // The reset may come so soon that connecting already sees it.
    let error = match TcpStream::connect(link.address()).await {
        Ok(mut client) => client.read(&mut [0; 8]).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn dropping_it_resets_and_gives_the_port_back() {
    let link = Link::to(echo_server().await.unwrap()).unwrap();
    let address = link.address();
    let mut client = TcpStream::connect(address).await.unwrap();
    echo(&mut client, b"before").await.unwrap();
    drop(link);
    assert_eq!(
        client.read(&mut [0; 8]).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    wait_for("the port to be free", DEADLINE, async || {
        std::net::TcpListener::bind(address)
    })
    .await;
}
