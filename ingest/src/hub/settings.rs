//! What the environment says of the hub, as its Python library reads it.

use std::path::{Path, PathBuf};

const ENDPOINT: &str = "https://huggingface.co";

/// Where the hub and its cache are, and who asks. It holds a token, so it cannot be printed.
pub struct HubSettings {
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Address of the hub.
    pub endpoint: String,
    /// Sent with requests to the hub, and to no other host.
    pub token: Option<String>,
    /// The variable that forbids to use the network, if one does.
    pub offline: Option<&'static str>,
}

impl HubSettings {
    /// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE` and their older
    /// names.
    #[must_use]
    pub fn from_env() -> Self {
        let home = std::env::home_dir().unwrap_or_default();
        Self::of(|name| std::env::var(name).ok(), &home)
    }

    fn of(variable: impl Fn(&str) -> Option<String>, user: &Path) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let place = |name: &str| {
            set(name).map(|value| match value.strip_prefix("~/") {
                Some(rest) => user.join(rest),
                None => PathBuf::from(value),
            })
        };
        let home = place("HF_HOME").unwrap_or_else(|| {
            place("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache")).join("huggingface")
        });
        let token_file = place("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let in_file = || std::fs::read_to_string(token_file).ok();
        let token = set("HF_TOKEN").or_else(|| set("HUGGING_FACE_HUB_TOKEN")).or_else(in_file);
        let is_true = |name: &&str| {
            set(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
        };
        Self {
            cache: place("HF_HUB_CACHE")
                .or_else(|| place("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| home.join("hub")),
            endpoint: set("HF_ENDPOINT")
                .map_or(ENDPOINT.to_owned(), |url| url.trim_end_matches('/').to_owned()),
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty() && !is_true(&"HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(is_true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        HubSettings::of(variable, Path::new("/nowhere/ann"))
    }

    #[test]
    fn the_cache_lies_where_the_python_library_has_it() {
        let cache = |variables: &[(&str, &str)]| settings(variables).cache.display().to_string();
        assert_eq!(cache(&[]), "/nowhere/ann/.cache/huggingface/hub");
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/c")]), "/c/huggingface/hub");
        assert_eq!(cache(&[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/c")]), "/nowhere/ann/hf/hub");
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/hf")]), "/old");
        assert_eq!(cache(&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")]), "/new");
    }

    #[test]
    fn tokens_come_from_the_environment_before_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "from-file\n").expect("written");
        let home = folder.path().to_str().expect("a path");
        let token = |variables: &[(&str, &str)]| settings(variables).token;
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("from-file"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " mine ")]).as_deref(), Some("mine"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(token(&[]), None);
    }

    #[test]
    fn the_endpoint_and_the_offline_mode_follow_their_variables() {
        assert_eq!(settings(&[]).endpoint, ENDPOINT);
        assert_eq!(settings(&[("HF_ENDPOINT", "http://hub.lab/")]).endpoint, "http://hub.lab");
        assert_eq!(settings(&[("HF_HUB_OFFLINE", "0")]).offline, None);
        assert_eq!(settings(&[("HF_HUB_OFFLINE", "yes")]).offline, Some("HF_HUB_OFFLINE"));
        assert_eq!(settings(&[("TRANSFORMERS_OFFLINE", "1")]).offline, Some("TRANSFORMERS_OFFLINE"));
    }
}
