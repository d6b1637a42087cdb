//! Addresses of published stores.

use std::fmt::Write as _;
use std::path::Path;

use super::error::RemoteError;
use crate::store::StoreError;

/// The address of a published store: `http://…` or `https://…`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Address(String);

impl Address {
    /// The address that people typed for a store; none where it is a path.
    pub(in crate::store) fn of(path: &Path) -> Result<Option<Self>, StoreError> {
        let Some((text, (scheme, rest))) =
            path.to_str().and_then(|text| Some((text, text.split_once("://")?)))
        else {
            return Ok(None);
        };
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(letters) {
            return Ok(None);
        }
        let wrong = |reason| Err(StoreError::io("open", path)(RemoteError::Address { reason }.into()));
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return wrong(
                "unknown kind of address; expected http:// or https://, such as the public address of a bucket, or a \
                 local folder",
            );
        }
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() {
            return wrong("the address has no host; expected https://HOST/FOLDER");
        }
        if host.contains('@') {
            return wrong(
                "addresses with a user name are not supported; publish the files for everybody to read, or open a \
                 local copy",
            );
        }
        if text.contains(['?', '#']) || text.contains(|letter: char| letter.is_control() || letter == ' ') {
            return wrong("invalid address; expected that of a folder, without `?`, `#` and spaces");
        }
        let text = text.strip_suffix("/vestore.json").unwrap_or(text);
        Ok(Some(Self(text.trim_end_matches('/').to_owned())))
    }

    pub(in crate::store) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("https:"))
    }

    /// The address of a file below it.
    pub(super) fn url(&self, below: &str) -> String {
        let mut url = format!("{}/", self.0);
        for byte in below.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/=".contains(&byte) {
                url.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(url, "%{byte:02X}");
            }
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths_and_name_files_as_servers_do() {
        let of = |text: &str| Address::of(Path::new(text));
        for path in ["store", "/a/b", "C:/x", "://x", "a b://c", "http:/x"] {
            assert_eq!(of(path).unwrap(), None, "{path}");
        }
        let address = of("https://a.org/x/").unwrap().unwrap();
        assert_eq!(address, of("https://a.org/x/vestore.json").unwrap().unwrap());
        assert!(address.is_secure() && !of("http://a.org").unwrap().unwrap().is_secure());
        let file = "scores/track=a/contig=HLA-A%2A01/1.parquet";
        assert_eq!(address.url(file), "https://a.org/x/scores/track=a/contig=HLA-A%252A01/1.parquet");
        for wrong in [
            "s3://a/b",
            "http://",
            "https:///x",
            "http://u:p@a/b",
            "http://a/b?c",
            "http://a/b#c",
            "http://a/ b",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
