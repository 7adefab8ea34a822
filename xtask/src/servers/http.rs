//! As much HTTP as it takes to make a bucket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Sends a request without a body and answers the status.
pub(super) fn send(to: SocketAddr, method: &str, path: &str) -> Result<u16, String> {
    let fail = |e: std::io::Error| e.to_string();
    let mut stream = TcpStream::connect(to).map_err(fail)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(fail)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(fail)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(fail)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| "no answer of HTTP".to_owned())
}
