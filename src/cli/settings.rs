//! Resolves settings: flag, then environment, then `.env`, then scenario.
//!
//! In: a flag's value, the name of a variable. Out: the effective value. Invariant: secrets are
//! never shown.

use super::exit::Exit;
use super::trouble::Trouble;
use crate::targets::livekit::Credentials;
use crate::vocab::{Address, AddressError};
use std::collections::HashMap;
use std::path::Path;

/// The environment, with the `.env` file of the working directory as a fallback.
pub struct Environment {
    file: HashMap<String, String>,
}

impl Environment {
    /// Reads `.env`, if there is one; the process's environment is not changed.
    ///
    /// # Errors
    /// The `.env` file exists but cannot be read or parsed.
    pub fn load() -> Result<Self, Trouble> {
        Self::read().map_err(|e| Trouble::new(Exit::Usage, e, "mend it or remove it"))
    }

    fn read() -> Result<Self, String> {
        let file = match dotenvy::from_path_iter(Path::new(".env")) {
            Ok(lines) => lines
                .collect::<Result<HashMap<_, _>, _>>()
                // A parse error repeats the line, which may contain a secret.
                .map_err(|_| "`.env` has a line that is not NAME=value".to_owned())?,
            Err(dotenvy::Error::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                HashMap::new()
            }
            Err(e) => return Err(format!("cannot read `.env`: {e}")),
        };
        Ok(Self { file })
    }

    /// A variable's value; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<String> {
        let set = std::env::var(name).ok().filter(|v| !v.is_empty());
        set.or_else(|| self.file.get(name).filter(|v| !v.is_empty()).cloned())
    }
}

/// Ten random hexadecimal digits that make room and agent names unique.
pub(super) fn random_id() -> String {
    format!("{:010x}", rand::random::<u64>() >> 24)
}

/// A server's URL and credentials, from the command line or from a scenario.
#[derive(Clone, Default)]
pub struct ServerFlags {
    /// `--url`.
    pub url: Option<String>,
    /// `--api-key`.
    pub api_key: Option<String>,
    /// `--api-secret`.
    pub api_secret: Option<String>,
}

impl std::fmt::Debug for ServerFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerFlags")
            .field("url", &self.url)
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// Why the settings of a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A setting was given nowhere.
    #[error("no {what} was given")]
    Missing {
        /// Description of the setting.
        what: &'static str,
        /// How to give it.
        hint: &'static str,
    },
    /// The URL is not valid.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl ServerError {
    /// What to do next.
    pub fn hint(&self) -> &str {
        match self {
            Self::Missing { hint, .. } => hint,
            Self::Address(e) => e.hint(),
        }
    }
}

/// Resolves the server: flag, else environment, else `.env`, else scenario.
///
/// # Errors
/// A setting is given nowhere, or the URL is not valid.
pub fn server(
    flags: &ServerFlags,
    env: &Environment,
    scenario: &ServerFlags,
) -> Result<(Address, Credentials), ServerError> {
    let pick = |flag: &Option<String>, name: &str, file: &Option<String>, what, hint| {
        let found = flag
            .clone()
            .or_else(|| env.get(name))
            .or_else(|| file.clone());
        found.ok_or(ServerError::Missing { what, hint })
    };
    let url = pick(
        &flags.url,
        "LIVEKIT_URL",
        &scenario.url,
        "server URL",
        "set LIVEKIT_URL or say --url ws://127.0.0.1:7880; `loadgen run quickstart` needs no server",
    )?;
    let address = Address::parse(&url)?;
    let key = pick(
        &flags.api_key,
        "LIVEKIT_API_KEY",
        &scenario.api_key,
        "API key",
        "set LIVEKIT_API_KEY in the environment or in `.env`",
    )?;
    let secret = pick(
        &flags.api_secret,
        "LIVEKIT_API_SECRET",
        &scenario.api_secret,
        "API secret",
        "set LIVEKIT_API_SECRET in the environment or in `.env`",
    )?;
    Ok((address, Credentials::new(key, secret)))
}
