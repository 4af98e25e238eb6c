//! Resolves settings: flag, then environment, then `.env`, then scenario.
//!
//! In: a flag's value, the name of a variable. Out: the effective value. Invariant: secrets are
//! never shown.

use super::dotenv::{DotEnv, MAX_BYTES};
use super::exit::Exit;
use super::trouble::Trouble;
use crate::targets::livekit::Credentials;
use crate::vocab::{Address, AddressError, acts};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// The environment, with the `.env` file of the working directory as a fallback.
pub struct Environment {
    file: DotEnv,
}

impl Environment {
    /// Reads `.env`, if there is one; the process's environment is not changed.
    ///
    /// # Errors
    /// The `.env` file exists but cannot be read.
    pub fn load() -> Result<Self, Trouble> {
        let trouble = |message, hint| Trouble::new(Exit::Usage, message, hint);
        let bytes = match read(Path::new(".env")) {
            Ok(bytes) => bytes,
            Err(e) => {
                let message = format!("cannot read `.env`: {e}");
                return Err(trouble(message, "check its permissions, or remove it"));
            }
        };
        if bytes.len() > MAX_BYTES {
            let message = format!("`.env` has more than {MAX_BYTES} bytes");
            return Err(trouble(message, "is it a list of NAME=value lines at all?"));
        }
        Ok(Self {
            file: DotEnv::parse(&bytes),
        })
    }

    /// A variable's value; one of nothing but blanks counts as unset.
    ///
    /// # Errors
    /// The variable is not in the process's environment, and its line in `.env` cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<String>, Trouble> {
        if let Some(value) = of_process(name) {
            return Ok(Some(value));
        }
        let value = self.file.get(name, &of_process);
        let value = value.map_err(|e| Trouble::new(Exit::Usage, e.to_string(), e.hint()))?;
        Ok(value.filter(|value| !value.trim().is_empty()))
    }
}

/// A variable of the process's environment.
fn of_process(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    value.filter(|value| !value.trim().is_empty())
}

/// The bytes of a file, at most one more than is allowed; none if there is no file. A folder of
/// that name is a virtual environment of Python's.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) if file.metadata()?.is_dir() => {}
        Ok(file) => {
            file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    Ok(bytes)
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
enum ServerError {
    /// A setting was given nowhere.
    #[error("no {what} was given")]
    Missing {
        /// Description of the setting.
        what: &'static str,
        /// How to give it.
        hint: &'static str,
    },
    /// A key or secret holds a character that nobody sees.
    #[error("the {what} has a control character or an invisible one in it")]
    Invisible {
        /// Description of the setting.
        what: &'static str,
    },
    /// The URL is not valid.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl ServerError {
    /// What to do next.
    fn hint(&self) -> &str {
        match self {
            Self::Missing { hint, .. } => hint,
            Self::Invisible { .. } => "copy it again, without a line break in it",
            Self::Address(e) => e.hint(),
        }
    }
}

fn trouble(e: &ServerError) -> Trouble {
    Trouble::new(Exit::Usage, e.to_string(), e.hint())
}

/// A setting of a server: where it comes from, and how to give it.
struct Setting {
    variable: &'static str,
    what: &'static str,
    hint: &'static str,
}

const URL: Setting = Setting {
    variable: "LIVEKIT_URL",
    what: "server URL",
    hint: "set LIVEKIT_URL or say --url ws://127.0.0.1:7880; `loadgen run quickstart` needs no server",
};
const KEY: Setting = Setting {
    variable: "LIVEKIT_API_KEY",
    what: "API key",
    hint: "set LIVEKIT_API_KEY in the environment or in `.env`",
};
const SECRET: Setting = Setting {
    variable: "LIVEKIT_API_SECRET",
    what: "API secret",
    hint: "set LIVEKIT_API_SECRET in the environment or in `.env`",
};

impl Setting {
    /// Its value without blanks around it, which come with copying.
    fn pick(
        &self,
        flag: &Option<String>,
        env: &Environment,
        file: &Option<String>,
    ) -> Result<String, Trouble> {
        let found = match flag {
            Some(flag) => Some(flag.clone()),
            None => env.get(self.variable)?.or_else(|| file.clone()),
        };
        let found = found.map(|value| value.trim().to_owned());
        let (what, hint) = (self.what, self.hint);
        let missing = || trouble(&ServerError::Missing { what, hint });
        found.filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    /// Its value, in which nothing is invisible.
    fn pick_visible(
        &self,
        flag: &Option<String>,
        env: &Environment,
        file: &Option<String>,
    ) -> Result<String, Trouble> {
        let found = self.pick(flag, env, file)?;
        match found.contains(acts) {
            true => Err(trouble(&ServerError::Invisible { what: self.what })),
            false => Ok(found),
        }
    }
}

/// Resolves the server: flag, else environment, else `.env`, else scenario.
///
/// # Errors
/// A setting is given nowhere, its line in `.env` cannot be read, or it is not valid.
pub fn server(
    flags: &ServerFlags,
    env: &Environment,
    scenario: &ServerFlags,
) -> Result<(Address, Credentials), Trouble> {
    let url = URL.pick(&flags.url, env, &scenario.url)?;
    let address = Address::parse(&url).map_err(|e| trouble(&e.into()))?;
    let key = KEY.pick_visible(&flags.api_key, env, &scenario.api_key)?;
    let secret = SECRET.pick_visible(&flags.api_secret, env, &scenario.api_secret)?;
    Ok((address, Credentials::new(key, secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(url: &str, key: &str, secret: &str) -> Result<(Address, Credentials), String> {
        let flags = ServerFlags {
            url: Some(url.to_owned()),
            api_key: Some(key.to_owned()),
            api_secret: Some(secret.to_owned()),
        };
        let env = Environment {
            file: DotEnv::default(),
        };
        server(&flags, &env, &ServerFlags::default()).map_err(|trouble| format!("{trouble:?}"))
    }

    #[test]
    fn settings_are_trimmed_and_nothing_in_them_is_invisible() {
        let good = resolved("ws://h", "APIkey", "hunter2");
        assert!(good.is_ok(), "{good:?}");
        let copied = [
            (" ws://h\n", "APIkey", "hunter2"),
            ("ws://h", " APIkey\r\n", "hunter2"),
            ("ws://h", "APIkey", "\thunter2\n"),
        ];
        for (url, key, secret) in copied {
            assert_eq!(resolved(url, key, secret), good);
        }
        for (url, key, secret, message) in [
            ("", "APIkey", "hunter2", "no server URL was given"),
            ("ws://h", " ", "hunter2", "no API key was given"),
            ("ws://h", "APIkey", "", "no API secret was given"),
            ("ws://h", "API\u{200b}key", "hunter2", "the API key has a"),
            ("ws://h", "APIkey", "hunter\n2", "the API secret has a"),
            (
                "ws://h",
                "APIkey",
                "\u{feff}hunter2",
                "the API secret has a",
            ),
        ] {
            let said = resolved(url, key, secret).expect_err(message);
            assert!(said.contains(message), "{said}");
            assert!(!said.contains("hunter"), "{said}");
        }
    }

    #[test]
    fn a_folder_named_env_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".env");
        assert_eq!(read(&path).expect("absent"), Vec::<u8>::new());
        std::fs::create_dir(&path).expect("writable");
        assert_eq!(read(&path).expect("a folder"), Vec::<u8>::new());
    }
}
