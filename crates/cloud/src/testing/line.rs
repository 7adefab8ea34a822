//! A line between a client and a server on which things go wrong when told to.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};

/// So much passes at once.
const CHUNK: usize = 16 * 1024;

/// A relay on a port of its own. Clients that connect to [`address`](Self::address) reach the
/// server, in whatever way the line is. Dropping it cuts all connections.
pub struct Line {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepted: Arc<AtomicU64>,
    relay: AbortHandle,
}

/// What is wrong with a [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The server gets what is sent, and the connection breaks when it answers.
    LosesAnswers,
    /// The connection breaks when so many bytes of a request have passed.
    BreaksAfter(u64),
    /// The connection breaks when so many bytes have come back over it.
    CutsAnswersAfter(u64),
    /// Each chunk of an answer takes so long.
    Slow(Duration),
    /// So many bytes pass in a second, each way.
    Narrow(u32),
    /// An answer begins so long after its request has ended, as on a long line of any width.
    Far(Duration),
    /// Nothing passes any more, and nothing breaks.
    Stands,
    /// Connections are closed as soon as they are there.
    Closed,
}

#[derive(Default)]
struct State {
    trouble: Option<Trouble>,
    /// How often the trouble still happens; `None` is for ever.
    left: Option<u64>,
    /// Connections that trouble has broken, since it was set.
    broken: u64,
}

impl Line {
    /// A good line to a server. Called within a tokio runtime.
    pub fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = super::listen()?;
        let address = listener.local_addr()?;
        let state: Arc<Mutex<State>> = Arc::default();
        let accepted: Arc<AtomicU64> = Arc::default();
        let relay = relay(listener, server, state.clone(), accepted.clone());
        let relay = tokio::spawn(relay).abort_handle();
        Ok(Self { address, state, accepted, relay })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, until the next change, on old connections and new ones.
    pub fn set(&self, trouble: Trouble) {
        *self.state() = State { trouble: Some(trouble), ..State::default() };
    }

    /// For the next connection that it breaks only.
    pub fn set_once(&self, trouble: Trouble) {
        *self.state() = State { trouble: Some(trouble), left: Some(1), broken: 0 };
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        *self.state() = State::default();
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How many connections the trouble has broken.
    pub fn broken(&self) -> u64 {
        self.state().broken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({}, {:?})", self.address, self.state().trouble)
    }
}

async fn relay(
    listener: TcpListener,
    server: SocketAddr,
    state: Arc<Mutex<State>>,
    accepted: Arc<AtomicU64>,
) {
    // Ends all connections with itself.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        accepted.fetch_add(1, Ordering::Relaxed);
        if trouble(&state) == Some(Trouble::Closed) {
            count(&state);
            continue;
        }
        let state = state.clone();
        connections.spawn(async move {
            if let Ok(server) = TcpStream::connect(server).await {
                connect(client, server, &state).await;
            }
        });
    }
}

async fn connect(client: TcpStream, server: TcpStream, state: &Mutex<State>) {
    // Else small packets wait for each other.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asked = Mutex::default();
    tokio::select! {
        () = up(from_client, to_server, state, &asked) => {}
        () = down(from_server, to_client, state, &asked) => {}
    }
}

/// When something went up last, unless an answer to it has begun.
type Asked = Mutex<Option<Instant>>;

async fn up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &Mutex<State>, asked: &Asked) {
    let mut buffer = vec![0; CHUNK];
    let mut passed = 0;
    while let Ok(length) = from.read(portion(&mut buffer, state)).await {
        let Some(chunk) = buffer.get(..length).filter(|chunk| !chunk.is_empty()) else { return };
        passed += length as u64;
        match trouble(state) {
            Some(Trouble::Narrow(rate)) => sleep(takes(length, rate)).await,
            Some(Trouble::BreaksAfter(limit)) if passed > limit => {
                return count(state);
            }
            Some(Trouble::Closed) => return count(state),
            Some(Trouble::Stands) => std::future::pending().await,
            _ => {}
        }
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &Mutex<State>,
    asked: &Asked,
) {
    let mut buffer = vec![0; CHUNK];
    let mut passed = 0;
    while let Ok(length) = from.read(portion(&mut buffer, state)).await {
        let Some(chunk) = buffer.get(..length).filter(|chunk| !chunk.is_empty()) else { return };
        let before = passed;
        passed += length as u64;
        match trouble(state) {
            Some(Trouble::CutsAnswersAfter(limit)) if passed > limit => {
                let rest = usize::try_from(limit.saturating_sub(before)).unwrap_or_default();
                let _ = to.write_all(chunk.get(..rest).unwrap_or_default()).await;
                return count(state);
            }
            Some(Trouble::LosesAnswers | Trouble::Closed) => return count(state),
            Some(Trouble::Stands) => std::future::pending().await,
            Some(Trouble::Slow(wait)) => sleep(wait).await,
            Some(Trouble::Narrow(rate)) => sleep(takes(length, rate)).await,
            Some(Trouble::Far(wait)) => {
                let at = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(at) = at {
                    sleep_until(at + wait).await;
                }
            }
            _ => {}
        }
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}

/// What passes at once: on a narrow line what it takes in a twentieth of a second.
fn portion<'a>(buffer: &'a mut [u8], state: &Mutex<State>) -> &'a mut [u8] {
    let length = match trouble(state) {
        Some(Trouble::Narrow(rate)) => buffer.len().min(rate as usize / 20).max(1),
        _ => buffer.len(),
    };
    buffer.get_mut(..length).unwrap_or_default()
}

fn takes(bytes: usize, rate: u32) -> Duration {
    Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1)))
}

fn trouble(state: &Mutex<State>) -> Option<Trouble> {
    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.trouble.filter(|_| state.left != Some(0))
}

fn count(state: &Mutex<State>) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.broken += 1;
    state.left = state.left.map(|left| left.saturating_sub(1));
}
