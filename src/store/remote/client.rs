//! Requests for files and parts of them. What a server sends is bounded in bytes and in time.

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use ureq::http::{Response, header};
use ureq::{Agent, Body};
use vestore_schema::Digest;

use super::address::Address;
use super::error::RemoteError;
use crate::certificates::tls_config;
use crate::store::StoreError;

/// Seconds that a connection, and the begin of an answer, may take.
const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes that a server must send in a second, beyond the seconds above.
const LEAST_RATE: u64 = 64 << 10;
/// Waits before a request is made again, where that may help.
const WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];
/// Requests of one store that run at once.
const MOST_REQUESTS: usize = 8;
/// Bytes of a file that are taken at once.
const PIECE: usize = 64 << 10;

/// Makes requests of one store.
#[derive(Debug)]
pub(super) struct Client {
    secure: bool,
    /// Of this process; a fork must not use its parent's connections.
    agent: Mutex<(u32, Agent)>,
    turns: Turns,
}

/// Part of a file.
pub(super) struct Part {
    /// As many as were asked for, or fewer where the file ends.
    pub(super) bytes: Vec<u8>,
    /// Bytes of the file.
    pub(super) total: u64,
    /// Its `ETag`.
    pub(super) tag: Option<String>,
}

impl Client {
    pub(super) fn new(address: &Address) -> Result<Self, StoreError> {
        let secure = address.is_secure();
        let agent =
            agent(secure).map_err(|error| StoreError::io("open", address.as_str().as_ref())(error.into()))?;
        Ok(Self { secure, agent: Mutex::new((std::process::id(), agent)), turns: Turns::default() })
    }

    fn agent(&self) -> Result<Agent, RemoteError> {
        let mut known = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != std::process::id() {
            *known = (std::process::id(), agent(self.secure)?);
        }
        Ok(known.1.clone())
    }

    /// A whole file of at most `most` bytes.
    pub(super) fn whole(&self, url: &str, most: u64) -> Result<Vec<u8>, RemoteError> {
        self.tried(|| {
            let mut response = self.get(url, None, most)?;
            let bytes = taken(&mut response, most + 1)?;
            if bytes.len() as u64 > most {
                return Err(RemoteError::Answer { reason: format!("more than {most} bytes") });
            }
            Ok(bytes)
        })
    }

    /// A whole file of `length` bytes, into `file`; gives its SHA-256.
    pub(super) fn download(
        &self,
        url: &str,
        length: u64,
        file: &mut impl Write,
    ) -> Result<Digest, RemoteError> {
        let _turn = self.turns.take();
        let mut response = self.get(url, None, length)?;
        let mut reader = response.body_mut().as_reader().take(length + 1);
        let (mut hash, mut piece, mut count) = (Sha256::new(), vec![0; PIECE], 0);
        loop {
            let read =
                reader.read(&mut piece).map_err(|error| RemoteError::from(ureq::Error::from(error)))?;
            if read == 0 {
                break;
            }
            count += read as u64;
            hash.update(&piece[..read]);
            file.write_all(&piece[..read]).map_err(RemoteError::Cache)?;
        }
        if count != length {
            let more = if count > length { "more than " } else { "" };
            let count = count.min(length);
            return Err(RemoteError::Differs { reason: format!("{more}{count} bytes long, not {length}") });
        }
        Ok(Digest::from(<[u8; 32]>::from(hash.finalize())))
    }

    /// Part of a file.
    pub(super) fn part(&self, url: &str, range: &Range<u64>) -> Result<Part, RemoteError> {
        self.tried(|| {
            let length = range.end - range.start;
            let mut response = self.get(url, Some(range), length)?;
            let status = response.status().as_u16();
            let text =
                |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let tag = text(header::ETAG);
            let content = text(header::CONTENT_RANGE).and_then(|text| content_range(&text));
            let total = match (status, content) {
                (416, Some((None, total))) => return Ok(Part { bytes: Vec::new(), total, tag }),
                (206, Some((Some(sent), total))) if sent == (range.start..range.end.min(total)) => total,
                (206 | 416, _) => {
                    let reason = "parts that were not asked for".to_owned();
                    return Err(RemoteError::Answer { reason });
                }
                (status, _) => return Err(RemoteError::NoRanges { status }),
            };
            let expected = range.end.min(total) - range.start;
            let bytes = taken(&mut response, expected)?;
            if bytes.len() as u64 != expected {
                let reason = format!("the answer ended after {} of {expected} bytes", bytes.len());
                return Err(RemoteError::Connection { reason });
            }
            Ok(Part { bytes, total, tag })
        })
    }

    /// Makes a request, again where that may help.
    fn tried<T>(&self, request: impl Fn() -> Result<T, RemoteError>) -> Result<T, RemoteError> {
        let _turn = self.turns.take();
        for wait in WAITS {
            match request() {
                Err(error) if error.is_passing() => thread::sleep(wait),
                done => return done,
            }
        }
        request()
    }

    /// The answer to one request, for a file or a range of it, of about `bytes` bytes.
    fn get(&self, url: &str, range: Option<&Range<u64>>, bytes: u64) -> Result<Response<Body>, RemoteError> {
        let time = ANSWER + Duration::from_secs(bytes / LEAST_RATE);
        let mut request = self.agent()?.get(url).header(header::ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        let response = request.config().timeout_recv_body(Some(time)).build().call()?;
        match response.status().as_u16() {
            200 if range.is_none() => Ok(response),
            200 | 206 | 416 if range.is_some() => Ok(response),
            404 | 410 => Err(RemoteError::Missing),
            status @ (401 | 403) => Err(RemoteError::Refused { status }),
            407 => Err(RemoteError::Proxy { reason: "HTTP 407".to_owned() }),
            status => Err(RemoteError::Status { status }),
        }
    }
}

fn agent(secure: bool) -> Result<Agent, RemoteError> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // What begins secure stays so.
        .https_only(secure)
        .max_redirects(5)
        .max_idle_connections_per_host(MOST_REQUESTS)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_send_request(Some(ANSWER))
        .timeout_recv_response(Some(ANSWER))
        .tls_config(tls_config()?);
    Ok(config.build().new_agent())
}

/// At most `most` bytes of an answer.
fn taken(response: &mut Response<Body>, most: u64) -> Result<Vec<u8>, RemoteError> {
    let mut bytes = Vec::new();
    let read = response.body_mut().as_reader().take(most).read_to_end(&mut bytes);
    read.map_err(|error| RemoteError::from(ureq::Error::from(error)))?;
    Ok(bytes)
}

/// The range, if there is one, and the length of the file: `bytes 0-9/100` or `bytes */100`.
fn content_range(text: &str) -> Option<(Option<Range<u64>>, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let total = total.parse().ok()?;
    if range == "*" {
        return Some((None, total));
    }
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < total).then(|| (Some(first..last + 1), total))
}

/// Lets some requests run at once.
#[derive(Clone, Debug, Default)]
struct Turns(Arc<(Mutex<usize>, Condvar)>);

impl Turns {
    fn running(&self) -> MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Turn<'_> {
        let running = self.0.1.wait_while(self.running(), |running| *running >= MOST_REQUESTS);
        *running.unwrap_or_else(PoisonError::into_inner) += 1;
        Turn(self)
    }
}

/// One that runs.
struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running() -= 1;
        self.0.0.1.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn ranges_of_answers_are_read_and_nonsense_is_not() {
        assert_eq!(content_range("bytes 0-9/100"), Some((Some(0..10), 100)));
        assert_eq!(content_range("bytes */100"), Some((None, 100)));
        for wrong in
            ["", "bytes 0-9/*", "bytes 9-0/100", "bytes 0-100/100", "0-9/100", "bytes -1-2/3", "bytes x/1"]
        {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
