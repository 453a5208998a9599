//! A session, at the end that dialled its connection and answers dials: of agents, and of servers that dial other servers.
//!
//! While streams run it asks every second whether anybody is there, else every [`PING`]; so a path that has become deaf is
//! noticed a second later. It goes on asking, because a question is sent at once when the path is back, while what QUIC
//! sends again by itself comes in intervals that double.
//!
//! Over QUIC only an answer counts: where only one direction is blocked the server's packets still come, those of its streams
//! and those that it sends again because nothing is acknowledged, over a session that nothing can be answered on.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::protocol::{Dial, Greeting, Hello, Member, ProtocolError, Versions};
use crate::transport::stream::{Reader, TunnelStream, Writer};
use crate::transport::{Connection, IDLE, read_message, write_message};

/// Greetings, and the first message of a stream, may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is asked while streams run.
const BUSY: Duration = Duration::from_secs(1);
/// And while there are none.
pub const PING: Duration = Duration::from_secs(3);
/// How often is asked again while there is no answer.
const AGAIN: Duration = Duration::from_secs(1);
/// No answer for so long: the path is suspected. More where packets travel long.
const SUSPECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
/// How often is looked.
const TICK: Duration = Duration::from_millis(200);

/// How a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Something was heard recently.
    Fine,
    /// Nothing is heard, although something was asked.
    Suspect,
    /// The server will end soon.
    Draining,
    /// It has ended.
    Ended,
}

/// A session that was greeted.
pub struct Inbound {
    /// The server's id.
    pub id: String,
    /// The connection.
    pub connection: Connection,
    /// The version that both speak.
    pub version: u16,
    /// All servers, as this one knows them.
    pub members: Vec<Member>,
    /// How often is asked whether anybody is there while there are no streams.
    pub ping: Duration,
    /// How many streams there are.
    pub streams: Arc<AtomicUsize>,
    greetings: TunnelStream,
}

/// What a session asks of whoever runs it.
pub trait Answers: Send + Sync + 'static {
    /// Answers a dial, and serves its stream to the end.
    fn answer(&self, dial: Dial, stream: TunnelStream) -> impl Future<Output = ()> + Send;
    /// Hears a greeting.
    fn heard(&self, greeting: Greeting);
}

/// The id in a server's certificate.
pub fn server_id(certificates: Option<&[CertificateDer<'_>]>) -> Option<String> {
    let leaf = certificates?.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let mut groups = parsed.subject().iter_organization();
    let group = groups.next()?.as_str().ok()?;
    if group != yurt_common::node_certificates::TUNNEL_SERVERS || groups.next().is_some() {
        return None;
    }
    crate::server::common_name(leaf).filter(|id| !id.is_empty())
}

impl Inbound {
    /// Who is at the other end of a connection that was just made.
    pub fn who(connection: &Connection) -> io::Result<String> {
        server_id(connection.certificates().as_deref()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the certificate of the other end is not that of a tunnel server",
            )
        })
    }

    /// Greets the server `id`, as one who speaks `versions`.
    pub async fn greet(connection: Connection, id: String, versions: Versions) -> io::Result<Self> {
        let exchange = async {
            let mut stream = connection.greet().await?;
            let ours = Hello::ours(versions, Vec::new());
            write_message(&mut stream.writer, &Greeting::Hello(ours.clone())).await?;
            let Greeting::Hello(theirs) = read_message(&mut stream.reader).await? else {
                return Err(io::Error::other(ProtocolError::NoHello));
            };
            match ours.agree(&theirs) {
                Ok(version) => Ok((stream, version, theirs.members)),
                Err(error) => {
                    crate::greetings::part(stream).await;
                    Err(io::Error::other(error))
                }
            }
        };
        let greeted = timeout(PATIENCE, exchange).await;
        let (greetings, version, members) =
            greeted.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no greeting in time"))??;
        Ok(Self {
            id,
            connection,
            version,
            members,
            ping: PING,
            streams: Arc::default(),
            greetings,
        })
    }

    /// Serves until the session ends; says why. `tell` is told to the server, `health` is kept up.
    pub async fn serve<A: Answers>(
        self,
        answers: Arc<A>,
        mut tell: mpsc::Receiver<Greeting>,
        health: watch::Sender<Health>,
    ) -> String {
        let Self {
            connection,
            version,
            ping,
            streams,
            greetings,
            ..
        } = self;
        let TunnelStream {
            mut reader,
            mut writer,
        } = greetings;
        let tasks = TaskTracker::new();
        let why = tokio::select! {
            why = connection.closed() => why,
            () = accept(&connection, version, &answers, &streams, &tasks) => "no more streams".into(),
            error = converse(&connection, &mut reader, &mut writer, Conversation {
                answers: &*answers, tell: &mut tell, health: &health, streams: &streams, ping,
            }) => error.map_or_else(|error| error.to_string(), |()| "nothing is heard of the server".into()),
        };
        connection.close("the session ends");
        health.send_replace(Health::Ended);
        tasks.close();
        why
    }
}

async fn accept<A: Answers>(
    connection: &Connection,
    version: u16,
    answers: &Arc<A>,
    streams: &Arc<AtomicUsize>,
    tasks: &TaskTracker,
) {
    while let Some(mut stream) = connection.accept().await {
        let (answers, running) = (Arc::clone(answers), Running::new(streams));
        tasks.spawn(async move {
            match timeout(PATIENCE, read_message::<Dial>(&mut stream.reader)).await {
                Ok(Ok(dial)) if dial.version == version => answers.answer(dial, stream).await,
                Ok(Ok(dial)) => {
                    let words = format!("version {} was not agreed on", dial.version);
                    crate::dial::refuse(stream, crate::protocol::Reason::Malformed, words).await;
                }
                Ok(Err(error)) => debug!(%error, "a stream whose dial cannot be read"),
                Err(_) => debug!("a stream without a dial"),
            }
            drop(running);
        });
    }
}

struct Conversation<'a, A> {
    answers: &'a A,
    tell: &'a mut mpsc::Receiver<Greeting>,
    health: &'a watch::Sender<Health>,
    streams: &'a AtomicUsize,
    ping: Duration,
}

/// What silence asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Nothing yet.
    Fine,
    /// A question.
    Ask,
    /// It has lasted too long.
    Dead,
}

/// Decides (pure). `silent` is how long nothing was heard, `asked` how long ago was asked last since.
fn silence(silent: Duration, asked: Option<Duration>, rhythm: Duration) -> Silence {
    match asked {
        _ if silent >= IDLE => Silence::Dead,
        None if silent >= rhythm => Silence::Ask,
        Some(asked) if asked >= AGAIN => Silence::Ask,
        _ => Silence::Fine,
    }
}

/// How long an answer may take before the path is suspected (pure); `rtt` is how long packets usually take.
fn patience(rtt: Option<Duration>) -> Duration {
    (rtt.unwrap_or_default() * 4).clamp(SUSPECT.0, SUSPECT.1)
}

/// Until nothing was heard for too long.
async fn converse<A: Answers>(
    connection: &Connection,
    reader: &mut Reader,
    writer: &mut Writer,
    with: Conversation<'_, A>,
) -> io::Result<()> {
    let Conversation {
        answers,
        tell,
        health,
        streams,
        ping,
    } = with;
    let mut incoming = crate::greetings::incoming(reader);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut greetings = 0;
    let (mut heard, mut since) = (life(connection, greetings), Instant::now());
    // First and last question since.
    let mut asked = None::<(Instant, Instant)>;
    loop {
        tokio::select! {
            greeting = incoming.recv() => {
                greetings += 1;
                match greeting? {
                    Greeting::Drain => {
                        health.send_replace(Health::Draining);
                    }
                    other => answers.heard(other),
                }
            }
            Some(greeting) = tell.recv() => say(writer, &greeting).await?,
            _ = tick.tick() => {
                let now = life(connection, greetings);
                if now != heard {
                    (heard, since, asked) = (now, Instant::now(), None);
                    set(health, Health::Fine);
                }
                let rhythm = if streams.load(Ordering::Relaxed) > 0 { BUSY.min(ping) } else { ping };
                match silence(since.elapsed(), asked.map(|(_, last)| last.elapsed()), rhythm) {
                    Silence::Fine => {}
                    Silence::Ask => {
                        let now = Instant::now();
                        asked = Some((asked.map_or(now, |(first, _)| first), now));
                        say(writer, &Greeting::Ping).await?;
                    }
                    Silence::Dead => return Ok(()),
                }
                if asked.is_some_and(|(first, _)| first.elapsed() >= patience(connection.rtt())) {
                    set(health, Health::Suspect);
                }
            }
        }
    }
}

/// Grows whenever something shows that the other end is there and hears us.
fn life(connection: &Connection, greetings: u64) -> u64 {
    if connection.hears_both_ways() {
        connection.heard()
    } else {
        greetings
    }
}

/// Whoever does not take it for so long does not live.
async fn say(writer: &mut Writer, greeting: &Greeting) -> io::Result<()> {
    let said = timeout(IDLE, write_message(writer, greeting)).await;
    said.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the server takes nothing any more"))?
}

fn set(health: &watch::Sender<Health>, to: Health) {
    health.send_if_modified(|now| {
        let changes = *now != to && *now != Health::Draining;
        if changes {
            *now = to;
        }
        changes
    });
}

/// Counts a stream until it is dropped.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_again_and_again_until_it_has_lasted_too_long() {
        let seconds = Duration::from_secs_f64;
        for (silent, asked, expected) in [
            (0.0, None, Silence::Fine),
            (2.9, None, Silence::Fine),
            (3.0, None, Silence::Ask),
            (3.9, Some(0.9), Silence::Fine),
            (4.0, Some(1.0), Silence::Ask),
            (29.0, Some(1.0), Silence::Ask),
            (30.0, Some(0.0), Silence::Dead),
            (30.0, None, Silence::Dead),
        ] {
            assert_eq!(
                silence(seconds(silent), asked.map(seconds), PING),
                expected,
                "{silent} {asked:?}"
            );
        }
    }

    #[test]
    fn an_answer_that_travels_long_may_take_longer() {
        let millis = Duration::from_millis;
        assert_eq!(patience(None), millis(1000));
        assert_eq!(patience(Some(millis(30))), millis(1000));
        assert_eq!(patience(Some(millis(600))), millis(2400));
        assert_eq!(patience(Some(millis(5000))), millis(3000));
    }
}
