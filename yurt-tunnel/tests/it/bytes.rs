//! Bytes, ends and resets, over both transports.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use yurt_tunnel::transport::stream::{Reader, TunnelStream};

use crate::stage::{Stage, WAYS, soon, until};

const AMOUNT: usize = 24 << 20;

/// Bytes that look like none before, and the sum of all of them.
fn pattern(at: usize, length: usize) -> Vec<u8> {
    (at..at + length)
        .map(|n| ((n >> 16) ^ (n >> 8) ^ n) as u8)
        .collect()
}

async fn write_pattern(writer: &mut (impl tokio::io::AsyncWrite + Unpin)) {
    for at in (0..AMOUNT).step_by(64 << 10) {
        writer.write_all(&pattern(at, 64 << 10)).await.unwrap();
    }
    writer.shutdown().await.unwrap();
}

async fn all(reader: &mut Reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.read().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bytes_arrive_as_they_were_in_both_directions_at_once() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        let (
            TunnelStream {
                mut reader,
                mut writer,
            },
            kubelet,
        ) = stage.stream().await;
        let (mut from, mut to) = kubelet.into_split();
        let kubelet = tokio::spawn(async move {
            let mut received = Vec::new();
            tokio::join!(write_pattern(&mut to), async {
                from.read_to_end(&mut received).await.unwrap()
            });
            received
        });
        let sending = async {
            for at in (0..AMOUNT).step_by(64 << 10) {
                writer.write(pattern(at, 64 << 10).into()).await.unwrap();
            }
            writer.finish().unwrap();
        };
        let ((), received) = soon(async { tokio::join!(sending, all(&mut reader)) }).await;
        let expected = pattern(0, AMOUNT);
        assert!(received == expected, "{ways:?}: what came differs");
        assert!(
            soon(kubelet).await.unwrap() == expected,
            "{ways:?}: what went differs"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_one_end_has_finished_the_other_goes_on() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        // The one who dialled finishes first.
        let (mut stream, mut kubelet) = stage.stream().await;
        stream
            .writer
            .write(Bytes::from_static(b"question"))
            .await
            .unwrap();
        stream.writer.finish().unwrap();
        let mut question = String::new();
        soon(kubelet.read_to_string(&mut question)).await.unwrap();
        assert_eq!(question, "question");
        kubelet.write_all(b"answer").await.unwrap();
        drop(kubelet);
        assert_eq!(soon(all(&mut stream.reader)).await, b"answer");

        // The kubelet finishes first.
        let (mut stream, mut kubelet) = stage.stream().await;
        kubelet.write_all(b"banner").await.unwrap();
        kubelet.shutdown().await.unwrap();
        assert_eq!(soon(all(&mut stream.reader)).await, b"banner");
        stream.writer.write(Bytes::from_static(b"thanks")).await.unwrap();
        stream.writer.finish().unwrap();
        let mut thanks = String::new();
        soon(kubelet.read_to_string(&mut thanks)).await.unwrap();
        assert_eq!(thanks, "thanks");
    }
}

fn abort(socket: TcpStream) {
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
}

fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

async fn is_reset(socket: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match soon(socket.read(&mut buffer)).await {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

async fn fails(reader: &mut Reader) -> bool {
    loop {
        match soon(reader.read()).await {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_a_reset_at_the_other_end_whatever_had_finished() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        for finished in ["nobody", "dialler", "kubelet"] {
            for resets in ["dialler", "kubelet"] {
                let (mut stream, mut kubelet) = stage.stream().await;
                match finished {
                    "dialler" => {
                        stream.writer.finish().unwrap();
                        assert_eq!(soon(kubelet.read(&mut [0])).await.unwrap(), 0);
                    }
                    "kubelet" => {
                        kubelet.shutdown().await.unwrap();
                        assert!(soon(stream.reader.read()).await.unwrap().is_none());
                    }
                    _ => {}
                }
                let case = format!("{ways:?}: {finished} had finished, {resets} resets");
                match (finished, resets) {
                    // Who has finished and reads no more: the kubelet hears of it when it writes.
                    ("dialler", "dialler") => {
                        stream.reset();
                        until("the kubelet's writes fail", || {
                            kubelet.try_write(b"x").is_err_and(|error| is_gone(&error))
                        })
                        .await;
                    }
                    (_, "dialler") => {
                        stream.reset();
                        assert!(is_reset(&mut kubelet).await, "{case}");
                    }
                    ("kubelet", _) => {
                        abort(kubelet);
                        soon(stream.writer.stopped()).await;
                    }
                    _ => {
                        abort(kubelet);
                        assert!(fails(&mut stream.reader).await, "{case}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_delays_no_other_stream() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        let (stalled, mut kubelet) = stage.stream().await;
        // As much as is taken, until nobody takes more.
        let flood = tokio::spawn(async move {
            let block = vec![0; 64 << 10];
            while kubelet.write_all(&block).await.is_ok() {}
        });
        let metrics = &stage.server.metrics;
        until("a stream is there", || metrics.streams.get() == 1).await;
        for _ in 0..50 {
            let begun = std::time::Instant::now();
            let (mut stream, mut kubelet) = stage.stream().await;
            kubelet.write_all(b"hello").await.unwrap();
            drop(kubelet);
            assert_eq!(soon(all(&mut stream.reader)).await, b"hello");
            assert!(
                begun.elapsed() < Duration::from_secs(3),
                "{ways:?}: {:?}",
                begun.elapsed()
            );
        }
        drop(stalled);
        soon(flood).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_many_dials_nothing_is_left() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        for round in 0..1000 {
            let (mut stream, mut kubelet) = stage.stream().await;
            if round % 2 == 0 {
                kubelet.write_all(b"x").await.unwrap();
                drop(kubelet);
                stream.writer.finish().unwrap();
                assert_eq!(soon(all(&mut stream.reader)).await, b"x");
            }
        }
        let (here, there) = (&stage.server.metrics, stage.agent.agent.metrics());
        until("the server has no streams", || here.streams.get() == 0).await;
        until("the agent has no streams", || there.streams.get() == 0).await;
        let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        until("few tasks are left", || alive() < 40).await;
    }
}
