//! A server on this machine that answers as the hub does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The commit of every repository's `main`.
pub(crate) const COMMIT: &str = "81b29e5786726d891dbf929404ef20adca5b36f1";

/// What the server has, and what it does wrong.
#[derive(Default)]
pub(crate) struct State {
    /// Files by repository, then name.
    pub(crate) repositories: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// New names of repositories by their old ones.
    pub(crate) renamed: BTreeMap<String, String>,
    /// Requests so far: method, path, range, authorization.
    pub(crate) requests: Vec<[String; 4]>,
    /// Answers to requests for files: a status, and the hub's name for it.
    pub(crate) refusal: Option<(u16, &'static str)>,
    /// Weights end after so many bytes, for each of these connections.
    pub(crate) cuts: Vec<usize>,
    /// Weights stop after so many bytes, and the connection stays.
    pub(crate) stall: Option<usize>,
    /// Ranges are ignored.
    pub(crate) whole: bool,
    /// The entity tag of weights.
    pub(crate) tag: Option<String>,
    /// The announced size of weights, relative to their own.
    pub(crate) surplus: i64,
    /// A name that the listing has besides.
    pub(crate) listed: Option<String>,
}

/// A running server; it ends with the test's process.
pub(crate) struct Hub {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                // A client that goes away is part of the tests.
                thread::spawn(move || answer(&stream, port, &state).ok());
            }
        });
        Self { address: format!("http://127.0.0.1:{port}"), state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Publishes the files of a folder.
    pub(crate) fn publish(&self, repository: &str, folder: &Path) {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap());
        let file = |entry: std::fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        };
        self.state().repositories.insert(repository.to_owned(), entries.map(file).collect());
    }

    /// Requests since the last call.
    pub(crate) fn requests(&self) -> Vec<[String; 4]> {
        std::mem::take(&mut self.state().requests)
    }
}

/// Whether the hub keeps a file of that name apart.
fn is_large(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "safetensors" || end == "bin")
}

/// The name of a file's blob.
pub(crate) fn blob(name: &str, bytes: &[u8]) -> String {
    let digest: Vec<u8> = if is_large(name) {
        Sha256::digest(bytes).to_vec()
    } else {
        Sha1::digest([format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat()).to_vec()
    };
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn answer(stream: &TcpStream, port: u16, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut state = state.lock().unwrap();
    state.requests.push([method.clone(), path.clone(), header("range"), header("authorization")]);
    let reply = if let Some(rest) = path.strip_prefix("/api/models/") {
        listing(&state, rest, !header("authorization").is_empty())
    } else {
        file(&mut state, &path, port, &method, &header("range"))
    };
    let stall = state.stall.filter(|_| reply.body.len() > 10_000);
    drop(state);
    let mut stream = stream;
    let length = reply.length;
    write!(
        stream,
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {length}\r\n{}\r\n",
        reply.status, reply.headers
    )?;
    if method == "HEAD" {
        return Ok(());
    }
    stream.write_all(&reply.body[..stall.unwrap_or(reply.body.len())])?;
    if stall.is_some() {
        // Until the client goes away.
        let _ = stream.read(&mut [0]);
    }
    Ok(())
}

#[derive(Default)]
struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    length: usize,
}

impl Reply {
    fn new(status: u16, headers: String, body: Vec<u8>) -> Self {
        Self { status, headers, length: body.len(), body }
    }

    fn refusal(status: u16, code: &str) -> Self {
        let headers = if code.is_empty() { String::new() } else { format!("x-error-code: {code}\r\n") };
        Self::new(status, headers, Vec::new())
    }
}

/// `ORG/NAME/revision/REVISION`: the commit and the files.
fn listing(state: &State, rest: &str, known: bool) -> Reply {
    let (repository, revision) = rest.split_once("/revision/").unwrap();
    if let Some(new) = state.renamed.get(repository) {
        return Reply::new(307, format!("location: /api/models/{new}/revision/{revision}\r\n"), Vec::new());
    }
    let Some(files) = state.repositories.get(repository) else {
        return Reply::refusal(if known { 404 } else { 401 }, "RepoNotFound");
    };
    if !["main", COMMIT, "refs%2Fpr%2F1"].contains(&revision) {
        return Reply::refusal(404, "RevisionNotFound");
    }
    let names = files.keys().chain(&state.listed);
    let siblings: Vec<_> = names.map(|name| json!({ "rfilename": name })).collect();
    let info =
        json!({ "id": repository, "sha": COMMIT, "siblings": siblings, "cardData": { "license": "mit" } });
    Reply::new(200, String::new(), info.to_string().into_bytes())
}

/// `/ORG/NAME/resolve/COMMIT/FILE`, or `/cdn/ORG/NAME/FILE` of another host.
fn file(state: &mut State, path: &str, port: u16, method: &str, range: &str) -> Reply {
    if let Some((status, code)) = state.refusal {
        return Reply::refusal(status, code);
    }
    let elsewhere = path.strip_prefix("/cdn/");
    let place = elsewhere.map_or_else(|| path[1..].replace(&format!("/resolve/{COMMIT}"), ""), str::to_owned);
    let (repository, name) = place.rsplit_once('/').unwrap();
    if let Some(new) = state.renamed.get(repository) {
        return Reply::new(307, format!("location: /{new}/resolve/{COMMIT}/{name}\r\n"), Vec::new());
    }
    let Some(bytes) = state.repositories.get(repository).and_then(|files| files.get(name)) else {
        return Reply::refusal(404, "EntryNotFound");
    };
    let tag = state.tag.clone().filter(|_| is_large(name)).unwrap_or_else(|| blob(name, bytes));
    let commit = format!("x-repo-commit: {COMMIT}\r\n");
    if is_large(name) && elsewhere.is_none() {
        let size = bytes.len() as i64 + state.surplus;
        let to = format!("location: http://localhost:{port}/cdn/{repository}/{name}\r\n");
        let headers = format!("{commit}x-linked-etag: \"{tag}\"\r\nx-linked-size: {size}\r\n{to}");
        return Reply::new(302, headers, b"Found".to_vec());
    }
    let headers = format!("{commit}etag: \"{tag}\"\r\n");
    let start = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
    let mut reply = match start.filter(|_| !state.whole) {
        Some(start) if start >= bytes.len() => return Reply::refusal(416, ""),
        Some(start) => {
            let of = format!("content-range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len());
            Reply::new(206, format!("{headers}{of}"), bytes[start..].to_vec())
        }
        None => Reply::new(200, headers, bytes.clone()),
    };
    if elsewhere.is_some() && method == "GET" && !state.cuts.is_empty() {
        let most = state.cuts.remove(0);
        reply.body.truncate(most);
    }
    reply
}
