//! A small HTTP server in the process of the test, for services that have no server to run here.
//!
//! It speaks as much of HTTP/1.1 as a client of ours needs: bodies with a length, and connections
//! that stay open.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// Requests go to a function that answers them. Dropping it ends all connections.
pub struct FakeServer {
    address: SocketAddr,
    task: AbortHandle,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct FakeRequest {
    /// Such as `GET`.
    pub method: String,
    /// The path, with its percent signs, without the query.
    pub path: String,
    /// What follows the question mark, with its percent signs; empty if there is none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct FakeAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// Whether the body comes again and again.
    is_endless: bool,
    /// Whether the body ends with the connection.
    ends_with_connection: bool,
}

type Handler = dyn Fn(FakeRequest) -> FakeAnswer + Send + Sync;

impl FakeServer {
    /// Starts on a port of its own. Called within a tokio runtime.
    pub fn start(
        handler: impl Fn(FakeRequest) -> FakeAnswer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = super::listen()?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, Arc::new(handler))).abort_handle();
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeServer({})", self.address)
    }
}

impl FakeRequest {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, without percent signs.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(found) == name).then(|| decode(value))
        })
    }

    /// The path without percent signs.
    pub fn decoded_path(&self) -> String {
        decode(&self.path)
    }
}

impl FakeAnswer {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        let (headers, body) = (Vec::new(), Bytes::new());
        Self { status, headers, body, is_endless: false, ends_with_connection: false }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Says of the body neither how long it is nor where it ends, and closes the connection after it.
    #[must_use]
    pub fn to_the_end_of_the_connection(mut self) -> Self {
        self.ends_with_connection = true;
        self
    }

    /// Sends the body (in chunks, without a length) again and again, until the client goes away.
    #[must_use]
    pub fn endlessly(mut self) -> Self {
        self.is_endless = true;
        self
    }
}

async fn serve(listener: TcpListener, handler: Arc<Handler>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let handler = handler.clone();
        connections.spawn(async move {
            // A client that goes away is no error.
            let _ = connection(stream, &*handler).await;
        });
    }
}

async fn connection(mut stream: TcpStream, handler: &Handler) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    loop {
        let Some(mut request) = head(&mut stream, &mut buffer).await? else { return Ok(()) };
        let length = request.header("content-length").and_then(|text| text.parse().ok());
        let length: usize = length.unwrap_or_default();
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        request.body = buffer.split_to(length).freeze();
        let is_head = request.method == "HEAD";
        let answer = handler(request);
        let mut text = format!("HTTP/1.1 {} Fake\r\n", answer.status);
        for (name, value) in &answer.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if answer.is_endless {
            text += "transfer-encoding: chunked\r\n\r\n";
            stream.write_all(text.as_bytes()).await?;
            let head = format!("{:x}\r\n", answer.body.len());
            let chunk = [head.as_bytes(), &answer.body, b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        if answer.ends_with_connection {
            text += "connection: close\r\n\r\n";
            stream.write_all(text.as_bytes()).await?;
            stream.write_all(&answer.body).await?;
            return stream.shutdown().await;
        }
        text += &format!("content-length: {}\r\n\r\n", answer.body.len());
        stream.write_all(text.as_bytes()).await?;
        if !is_head {
            stream.write_all(&answer.body).await?;
        }
    }
}

/// Reads up to the empty line; `None` at the end of the connection.
async fn head(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<FakeRequest>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = buffer.split_to(end + 4);
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let target = first.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    Ok(Some(FakeRequest {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.collect(),
        body: Bytes::new(),
    }))
}

/// Without percent signs.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
