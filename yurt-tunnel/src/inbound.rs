//! A session, at the end that dialled its connection and answers dials: of agents, and of servers that dial other servers.
//!
//! While streams run it asks every second whether anybody is there, else every ten; so a path that has become deaf is
//! noticed within [`SUSPECT`] more.

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

use crate::protocol::{Dial, Greeting, Hello, Member, ProtocolError};
use crate::transport::stream::{Reader, TunnelStream, Writer};
use crate::transport::{Connection, IDLE, read_message, write_message};

/// Greetings, and the first message of a stream, may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is asked while streams run.
const BUSY: Duration = Duration::from_secs(1);
/// And while there are none.
const QUIET: Duration = Duration::from_secs(10);
/// No answer for so long: the path is suspected.
pub const SUSPECT: Duration = Duration::from_secs(2);
/// How often is looked.
const TICK: Duration = Duration::from_millis(250);

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

    /// Greets the server `id`.
    pub async fn greet(connection: Connection, id: String) -> io::Result<Self> {
        let exchange = async {
            let mut stream = connection.greet().await?;
            let ours = Hello::ours(Vec::new());
            write_message(&mut stream.writer, &Greeting::Hello(ours.clone())).await?;
            let Greeting::Hello(theirs) = read_message(&mut stream.reader).await? else {
                return Err(io::Error::other(ProtocolError::NoHello));
            };
            let version = ours.agree(&theirs).map_err(io::Error::other)?;
            Ok((stream, version, theirs.members))
        };
        let greeted = timeout(PATIENCE, exchange).await;
        let (greetings, version, members) =
            greeted.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no greeting in time"))??;
        Ok(Self {
            id,
            connection,
            version,
            members,
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
            greetings,
            ..
        } = self;
        let TunnelStream {
            mut reader,
            mut writer,
        } = greetings;
        let (streams, tasks) = (Arc::new(AtomicUsize::new(0)), TaskTracker::new());
        let why = tokio::select! {
            why = connection.closed() => why,
            () = accept(&connection, version, &answers, &streams, &tasks) => "no more streams".into(),
            error = converse(&connection, &mut reader, &mut writer, Conversation {
                answers: &*answers, tell: &mut tell, health: &health, streams: &streams,
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
    } = with;
    let mut incoming = crate::greetings::incoming(reader);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut since, mut asked) = (connection.heard(), Instant::now(), None::<Instant>);
    loop {
        tokio::select! {
            greeting = incoming.recv() => match greeting? {
                Greeting::Drain => {
                    health.send_replace(Health::Draining);
                }
                other => answers.heard(other),
            },
            Some(greeting) = tell.recv() => write_message(writer, &greeting).await?,
            _ = tick.tick() => {
                let now = connection.heard();
                if now != heard {
                    (heard, since, asked) = (now, Instant::now(), None);
                    set(health, Health::Fine);
                } else if since.elapsed() >= IDLE {
                    return Ok(());
                }
                let rhythm = if streams.load(Ordering::Relaxed) > 0 { BUSY } else { QUIET };
                match asked {
                    None if since.elapsed() >= rhythm => {
                        asked = Some(Instant::now());
                        write_message(writer, &Greeting::Ping).await?;
                    }
                    Some(asked) if asked.elapsed() >= SUSPECT => set(health, Health::Suspect),
                    _ => {}
                }
            }
        }
    }
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
