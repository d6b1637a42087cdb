//! Requests to the hub.

use std::io::Read;
use std::time::Duration;

use hf_hub::Repo;
use hf_hub::api::RepoInfo;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body, RequestBuilder, typestate::WithoutBody};
use vestore::tls_config;

use super::digest::BlobName;
use super::download::Remote;
use super::error::HubError;
use super::id::HubId;
use super::settings::HubSettings;

/// How long a silent server is waited for.
const SILENCE: Duration = Duration::from_secs(30);
/// Most bytes of the description of a repository.
const MOST_INFO: u64 = 64 << 20;
/// Most redirects within the hub, such as from the old name of a repository.
const REDIRECTS: usize = 5;

pub(super) struct Client<'a> {
    /// Follows redirects, with the token within the hub alone.
    agent: Agent,
    /// Follows none: what the hub says of a large file stands in its redirect.
    plain: Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
    id: &'a HubId,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a HubSettings, id: &'a HubId) -> Result<Self, HubError> {
        let tls = tls_config()?;
        let agent = |redirects: u32| -> Agent {
            let config = Agent::config_builder()
                .user_agent(concat!("vestore/", env!("CARGO_PKG_VERSION")))
                .http_status_as_error(false)
                .https_only(settings.endpoint.starts_with("https://"))
                .redirect_auth_headers(RedirectAuthHeaders::SameHost)
                .max_redirects(redirects)
                .tls_config(tls.clone())
                .timeout_connect(Some(SILENCE))
                .timeout_recv_response(Some(SILENCE))
                .timeout_per_read(Some(SILENCE));
            config.build().into()
        };
        Ok(Self {
            agent: agent(10),
            plain: agent(0),
            endpoint: &settings.endpoint,
            token: settings.token.as_deref(),
            id,
        })
    }

    /// The commit of a revision, and the names of its files.
    pub(super) fn info(&self, repo: &Repo) -> Result<RepoInfo, HubError> {
        let url = format!("{}/api/{}", self.endpoint, repo.api_url());
        let response = self.call(self.agent.get(&url))?;
        let mut response = self.accepted(response, &format!("`{}`", self.id))?;
        let info = response.body_mut().with_config().limit(MOST_INFO).read_json();
        info.map_err(|source| match source {
            ureq::Error::Json(error) => HubError::Answer {
                what: "description of the repository".to_owned(),
                value: error.to_string(),
                expected: "JSON with `sha` and `siblings`; check HF_ENDPOINT",
            },
            source => self.unreachable(source),
        })
    }

    /// What the hub says of a file of a commit.
    pub(super) fn remote(&self, repo: &Repo, commit: &str, name: &str) -> Result<Remote, HubError> {
        let url = format!("{}/{}/resolve/{commit}/{}", self.endpoint, repo.url(), escaped(name));
        let mut at = url.clone();
        for _ in 0..REDIRECTS {
            let response = self.call(self.plain.head(&at))?;
            match within(self.endpoint, text(response.headers(), "location")) {
                Some(next) if response.status().is_redirection() => at = next,
                _ => {
                    let announced = response.status().is_redirection();
                    let response = if announced { response } else { self.accepted(response, name)? };
                    return described(name, url, commit, response.headers());
                }
            }
        }
        Err(HubError::Answer { what: format!("chain of redirects of {name}"), value: at, expected: "a file" })
    }

    /// The bytes of a file from `start` on, or the whole file; and which of the two.
    pub(super) fn bytes(&self, remote: &Remote, start: u64) -> Result<(u64, impl Read), HubError> {
        let mut request = self.agent.get(&remote.url);
        if start > 0 {
            request = request.header("range", format!("bytes={start}-"));
        }
        let response = self.accepted(self.call(request)?, &remote.name)?;
        let start = if response.status() == StatusCode::PARTIAL_CONTENT { start } else { 0 };
        Ok((start, response.into_body().into_reader()))
    }

    fn call(&self, request: RequestBuilder<WithoutBody>) -> Result<Response<Body>, HubError> {
        // Compressed, a file would have another length.
        let mut request = request.header("accept-encoding", "identity");
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.call().map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: ureq::Error) -> HubError {
        HubError::Unreachable { endpoint: self.endpoint.to_owned(), source: Box::new(source) }
    }

    /// The response, if the hub does not refuse.
    fn accepted(&self, response: Response<Body>, what: &str) -> Result<Response<Body>, HubError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (id, endpoint) = (self.id.clone(), self.endpoint.to_owned());
        let code = text(response.headers(), "x-error-code");
        Err(match (status.as_u16(), code) {
            (_, Some("GatedRepo")) | (403, _) => HubError::Gated { id, endpoint },
            (_, Some("RevisionNotFound")) => HubError::Revision { id },
            (401, None) if self.token.is_some() => HubError::Token,
            // The hub does not tell what is private from what is absent.
            (401, _) | (404, Some("RepoNotFound") | None) => HubError::Repository { id },
            (status, _) => HubError::Status { endpoint, status, what: what.to_owned() },
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The address that a redirect without a host leads to.
fn within(endpoint: &str, location: Option<&str>) -> Option<String> {
    let path = location.filter(|location| location.starts_with('/') && !location.starts_with("//"))?;
    let host = endpoint.find("://").map_or(0, |at| at + 3);
    let end = endpoint[host..].find('/').map_or(endpoint.len(), |at| host + at);
    Some(format!("{}{path}", &endpoint[..end]))
}

/// A file as headers describe it.
fn described(name: &str, url: String, commit: &str, headers: &HeaderMap) -> Result<Remote, HubError> {
    let linked = |header: &str, plain: &str| text(headers, header).or_else(|| text(headers, plain));
    let answer = |what: &str, value: Option<&str>, expected| HubError::Answer {
        what: format!("{what} of {name}"),
        value: value.unwrap_or_default().to_owned(),
        expected,
    };
    let found = text(headers, "x-repo-commit");
    if found != Some(commit) {
        return Err(answer("commit", found, "that of the repository; check HF_ENDPOINT"));
    }
    let tag = linked("x-linked-etag", "etag");
    let blob = tag.and_then(BlobName::of_tag);
    let size = linked("x-linked-size", "content-length");
    Ok(Remote {
        blob: blob.ok_or_else(|| answer("entity tag", tag, "a SHA-256, or a digest of git"))?,
        size: size
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| answer("size", size, "a number of bytes"))?,
        name: name.to_owned(),
        url,
    })
}

/// A file name as part of an address.
fn escaped(name: &str) -> String {
    let letter = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    name.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_without_a_host_stay_on_the_hub() {
        assert_eq!(within("https://hub.lab/x", Some("/new/a")).as_deref(), Some("https://hub.lab/new/a"));
        assert_eq!(within("https://hub.lab", Some("/new/a")).as_deref(), Some("https://hub.lab/new/a"));
        for elsewhere in ["https://cdn.lab/a", "//cdn.lab/a", "a"] {
            assert_eq!(within("https://hub.lab", Some(elsewhere)), None);
        }
        assert_eq!(escaped("model-00001-of-00002.bin"), "model-00001-of-00002.bin");
        assert_eq!(escaped("a b?#"), "a%20b%3F%23");
    }
}
