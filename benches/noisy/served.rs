//! Clients of real servers. Each keeps a few connections, and hands what is due to the first that is free: a
//! request that finds none waits for one, and that counts.

use super::record::{self, Request, Schedule, now_us};
use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT_ENCODING, HOST};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Where a server is asked, and over how many connections.
#[derive(clap::Args)]
pub(crate) struct Server {
    /// `HOST:PORT`, or the path of a unix socket (PostgreSQL: of its folder).
    #[arg(long)]
    address: String,
    /// Requests that may be under way at once.
    #[arg(long, default_value_t = 8)]
    connections: usize,
}

/// What a page costs is the server's business: it is asked to compress it.
#[derive(clap::Args)]
pub(crate) struct Web {
    #[command(flatten)]
    server: Server,
    /// What is asked for.
    #[arg(long)]
    page: String,
}

/// What one request costs the server: so many rows are made up and summed.
#[derive(clap::Args)]
pub(crate) struct Rows {
    #[command(flatten)]
    server: Server,
    /// How many.
    #[arg(long)]
    rows: i64,
}

/// One connection.
trait Client: Send + 'static {
    /// A request and its whole answer.
    fn ask(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

impl Web {
    /// # Errors
    /// The server does not answer before the first request is due.
    pub(super) fn run(&self, schedule: Schedule) -> anyhow::Result<Vec<Request>> {
        let open = || self.open();
        drive(self.server.connections, open, schedule)
    }

    async fn open(&self) -> anyhow::Result<Page> {
        let address = &self.server.address;
        let sender = if address.contains('/') {
            shake(UnixStream::connect(address).await?).await?
        } else {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            shake(stream).await?
        };
        let page = self.page.clone();
        Ok(Page { sender, page })
    }
}

struct Page {
    sender: SendRequest<Empty<Bytes>>,
    page: String,
}

async fn shake<S>(stream: S) -> anyhow::Result<SendRequest<Empty<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

impl Client for Page {
    async fn ask(&mut self) -> anyhow::Result<()> {
        self.sender.ready().await?;
        let request = hyper::Request::get(&self.page)
            .header(HOST, "victim")
            .header(ACCEPT_ENCODING, "gzip")
            .body(Empty::new())?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        if !status.is_success() {
            bail!("the server said {status} of {}", self.page);
        }
        Ok(())
    }
}

impl Rows {
    /// # Errors
    /// The server does not answer before the first request is due.
    pub(super) fn run(&self, schedule: Schedule) -> anyhow::Result<Vec<Request>> {
        let open = || self.open();
        drive(self.server.connections, open, schedule)
    }

    async fn open(&self) -> anyhow::Result<Sum> {
        let mut config = tokio_postgres::Config::new();
        config.user("postgres").dbname("postgres");
        match self.server.address.split_once(':') {
            Some((host, port)) => config.host(host).port(port.parse()?),
            None => config.host_path(PathBuf::from(&self.server.address)),
        };
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let statement = client
            .prepare("SELECT sum(n) FROM generate_series(1, $1::int8) n")
            .await?;
        Ok(Sum {
            client,
            statement,
            rows: self.rows,
        })
    }
}

struct Sum {
    client: tokio_postgres::Client,
    statement: tokio_postgres::Statement,
    rows: i64,
}

impl Client for Sum {
    async fn ask(&mut self) -> anyhow::Result<()> {
        self.client
            .query_one(&self.statement, &[&self.rows])
            .await?;
        Ok(())
    }
}

/// How long an answer may take before it counts as never given.
const SILENCE: Duration = Duration::from_secs(15);

/// Opens the connections, and asks over them what is due.
fn drive<C: Client, O: Future<Output = anyhow::Result<C>>>(
    connections: usize,
    open: impl Fn() -> O,
    schedule: Schedule,
) -> anyhow::Result<Vec<Request>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let clients = runtime.block_on(connect(connections.max(1), open, schedule))?;
    let answered = answers(&runtime, clients, schedule)?;
    let latency = |due: u64| (due, answered.get(&due).copied());
    Ok(schedule.due().map(latency).collect())
}

/// A server that has only just been started is asked again, until the first request is due.
async fn connect<C: Client, O: Future<Output = anyhow::Result<C>>>(
    connections: usize,
    open: impl Fn() -> O,
    schedule: Schedule,
) -> anyhow::Result<Vec<C>> {
    let mut clients = Vec::new();
    while clients.len() < connections {
        let client = match open().await {
            // A first request is slow: it is made before it counts.
            Ok(mut client) => client.ask().await.map(|()| client),
            Err(why) => Err(why),
        };
        match client {
            Ok(client) => clients.push(client),
            Err(_) if !schedule.begun() => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(why) => return Err(why).context("the server was not there in time"),
        }
    }
    if schedule.begun() {
        bail!("the server was not there before the first request was due: `prepare` is too short");
    }
    Ok(clients)
}

/// The latencies of all that was answered, by when it was due.
fn answers<C: Client>(
    runtime: &Runtime,
    clients: Vec<C>,
    schedule: Schedule,
) -> anyhow::Result<BTreeMap<u64, u64>> {
    let (tell, due) = mpsc::unbounded_channel();
    // From a thread of its own: tokio's timers are coarse.
    std::thread::spawn(move || {
        for due in schedule.due() {
            record::sleep_until(due);
            if tell.send(due).is_err() {
                break;
            }
        }
    });
    let due = Arc::new(Mutex::new(due));
    runtime.block_on(async {
        let mut asking = JoinSet::new();
        for client in clients {
            asking.spawn(ask(client, Arc::clone(&due), schedule));
        }
        let mut answered = BTreeMap::new();
        while let Some(done) = asking.join_next().await {
            answered.extend(done?);
        }
        Ok(answered)
    })
}

/// One connection's answers, until it breaks or nothing more is due.
async fn ask<C: Client>(
    mut client: C,
    due: Arc<Mutex<mpsc::UnboundedReceiver<u64>>>,
    schedule: Schedule,
) -> Vec<(u64, u64)> {
    let mut answered = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some(due) = next.filter(|_| !schedule.over()) else {
            return answered;
        };
        match tokio::time::timeout(SILENCE, client.ask()).await {
            Ok(Ok(())) => answered.push((due, now_us().saturating_sub(due))),
            // What would come now would be taken for the next one's answer.
            Ok(Err(_)) | Err(_) => return answered,
        }
    }
}
