//! A web server for tests: files of a folder, whole and in ranges, and every way in which that can go wrong.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// Ranges are ignored.
    NoRanges,
    /// Segments have this status.
    Status(u16),
    /// The next so many answers end in their middle.
    Drop(u32),
    /// The `ETag` differs in each answer.
    Tags,
    /// Ranges are answered with other ranges.
    OtherRanges,
    /// Files are said to have this length.
    Length(u64),
    /// What is answered is not HTTP.
    Nonsense,
}

#[derive(Debug, Default)]
struct State {
    trouble: Trouble,
    requests: Vec<String>,
    bytes: u64,
}

/// A server of one folder; it ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    root: Arc<PathBuf>,
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn new(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { root: Arc::new(root.to_owned()), port, state: Arc::default() };
        let accepting = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = accepting.clone();
                thread::spawn(move || server.serve(&stream));
            }
        });
        server
    }

    /// The address of a folder in its own.
    pub(crate) fn address(&self, folder: &str) -> PathBuf {
        format!("http://127.0.0.1:{}/{folder}", self.port).into()
    }

    pub(crate) fn make(&self, trouble: Trouble) {
        self.state().trouble = trouble;
    }

    /// Requests, as file and range, and bytes of answers since the last call.
    pub(crate) fn taken(&self) -> (Vec<String>, u64) {
        let mut state = self.state();
        (std::mem::take(&mut state.requests), std::mem::take(&mut state.bytes))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Answers the requests of a connection until it is closed.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut path, mut range) = (String::new(), None);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let line = line.trim_end();
                if let Some(rest) = line.strip_prefix("GET ") {
                    rest.split(' ').next().unwrap().clone_into(&mut path);
                } else if let Some(text) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    let (first, last) = text.split_once('-').unwrap();
                    range = Some((first.parse::<u64>().unwrap(), last.parse::<u64>().unwrap()));
                } else if line.is_empty() {
                    break;
                }
            }
            if self.answer(stream, &path, range).is_none() {
                return;
            }
        }
    }

    /// Answers a request; none to close the connection.
    fn answer(&self, mut stream: &TcpStream, path: &str, range: Option<(u64, u64)>) -> Option<()> {
        let mut state = self.state();
        state.requests.push(format!("{path} {range:?}"));
        let is_segment = path.ends_with(".parquet");
        let bytes = fs::read(self.root.join(decoded(path).trim_start_matches('/')));
        let number = state.requests.len();
        let (status, mut head, body) = match (bytes, state.trouble, range) {
            (_, Trouble::Nonsense, _) => {
                stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").ok()?;
                return None;
            }
            (_, Trouble::Status(status), _) if is_segment => (status, String::new(), Vec::new()),
            (Err(_), ..) => (404, String::new(), b"<html>not here</html>".to_vec()),
            (Ok(bytes), Trouble::NoRanges, _) | (Ok(bytes), _, None) => (200, String::new(), bytes),
            (Ok(bytes), trouble, Some((first, last))) => {
                let total = match trouble {
                    Trouble::Length(length) => length,
                    _ => bytes.len() as u64,
                };
                let shift = u64::from(trouble == Trouble::OtherRanges);
                let (first, last) = (first + shift, (last + shift).min(total - 1));
                if first >= total {
                    (416, format!("Content-Range: bytes */{total}\r\n"), Vec::new())
                } else {
                    let body = bytes.get(first as usize..=last as usize).unwrap_or_default().to_vec();
                    (206, format!("Content-Range: bytes {first}-{last}/{total}\r\n"), body)
                }
            }
        };
        let tag = if state.trouble == Trouble::Tags { number } else { 0 };
        write!(head, "ETag: \"{tag}\"\r\n").unwrap();
        state.bytes += body.len() as u64;
        let mut sent = body.len();
        if let Trouble::Drop(left @ 1..) = state.trouble
            && is_segment
        {
            state.trouble = Trouble::Drop(left - 1);
            sent /= 2;
        }
        drop(state);
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n{head}\r\n", body.len());
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&body[..sent]).ok()?;
        (sent == body.len()).then_some(())
    }
}

/// A path without percent-encoding.
fn decoded(path: &str) -> String {
    let (mut text, mut rest) = (String::new(), path);
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        text.push(char::from(u8::from_str_radix(&after[..2], 16).unwrap()));
        rest = &after[2..];
    }
    text + rest
}
