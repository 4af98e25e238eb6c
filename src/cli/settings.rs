//! Resolves settings: flag, then environment, then `.env`, then scenario.
//!
//! In: a flag's value, the name of a variable. Out: the effective value. Invariant: secrets are
//! never shown.

use super::dotenv::{DotEnv, MAX_BYTES};
use super::exit::Exit;
use super::trouble::Trouble;
use crate::run::read_at_most;
use crate::targets::livekit::Credentials;
use crate::vocab::{Address, acts};
use std::io::ErrorKind;
use std::path::Path;

/// The environment, with the `.env` file of the working directory as a fallback.
pub(crate) struct Environment {
    file: DotEnv,
}

impl Environment {
    /// Reads `.env`, if there is one; the process's environment is not changed.
    ///
    /// # Errors
    /// The `.env` file exists but cannot be read.
    pub(crate) fn load() -> Result<Self, Trouble> {
        let bytes = match read(Path::new(".env")) {
            Ok(bytes) => bytes,
            Err(e) => {
                let message = format!("cannot read `.env`: {e}");
                return Err(unusable(message, "check its permissions, or remove it"));
            }
        };
        if bytes.len() > MAX_BYTES {
            let message = format!("`.env` has more than {MAX_BYTES} bytes");
            return Err(unusable(
                message,
                "check that it is a list of NAME=value lines",
            ));
        }
        Ok(Self {
            file: DotEnv::parse(&bytes),
        })
    }

    /// A variable's value; a blank value counts as unset.
    ///
    /// # Errors
    /// The variable is not in the process's environment, and its line in `.env` cannot be read.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>, Trouble> {
        if let Some(value) = of_process(name) {
            return Ok(Some(value));
        }
        let value = self.file.get(name, &of_process);
        let value = value.map_err(|e| unusable(e.to_string(), e.hint()))?;
        Ok(value.filter(|value| !value.trim().is_empty()))
    }

    /// The value of a flag, else of a variable.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub(crate) fn flag_or(
        &self,
        flag: Option<&String>,
        name: &str,
    ) -> Result<Option<String>, Trouble> {
        match flag {
            Some(flag) => Ok(Some(flag.clone())),
            None => self.get(name),
        }
    }
}

/// A variable of the process's environment.
fn of_process(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    value.filter(|value| !value.trim().is_empty())
}

/// Reads a file, up to one byte more than is allowed. Returns no bytes if there is no file, or if
/// the path is a folder: Python virtual environments may be named `.env`.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    match read_at_most(path, MAX_BYTES) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {
            Ok(Vec::new())
        }
        read => read,
    }
}

/// Ten random hexadecimal digits that make room and agent names unique.
pub(super) fn random_id() -> String {
    format!("{:010x}", rand::random::<u64>() >> 24)
}

/// A server's URL and credentials, from the command line or from a scenario.
#[derive(Clone, Default)]
pub(crate) struct ServerFlags {
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

/// A setting that cannot be used.
fn unusable(message: impl AsRef<str>, hint: impl AsRef<str>) -> Trouble {
    Trouble::new(Exit::Usage, message, hint)
}

/// A server setting: its variable, its name in messages, and a hint about how to set it.
struct Setting {
    variable: &'static str,
    what: &'static str,
    hint: &'static str,
}

const URL: Setting = Setting {
    variable: "LIVEKIT_URL",
    what: "server URL",
    hint: "set LIVEKIT_URL or use --url ws://127.0.0.1:7880; `loadgen run quickstart` needs no server",
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
    /// The value of the setting, without surrounding whitespace, which copying may have added.
    fn pick(
        &self,
        flag: &Option<String>,
        env: &Environment,
        file: &Option<String>,
    ) -> Result<String, Trouble> {
        let found = env.flag_or(flag.as_ref(), self.variable)?;
        let found = found.or_else(|| file.clone());
        let found = found.map(|value| value.trim().to_owned());
        let missing = || unusable(format!("no {} was given", self.what), self.hint);
        found.filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    /// Like [`Self::pick`], but refuses a value with an invisible character.
    fn pick_visible(
        &self,
        flag: &Option<String>,
        env: &Environment,
        file: &Option<String>,
    ) -> Result<String, Trouble> {
        let found = self.pick(flag, env, file)?;
        match found.contains(acts) {
            true => Err(unusable(
                format!(
                    "the {} contains a control character or an invisible character",
                    self.what
                ),
                "copy it again, without any line break",
            )),
            false => Ok(found),
        }
    }
}

/// Resolves the server: flag, else environment, else `.env`, else scenario.
///
/// # Errors
/// A setting is missing, its line in `.env` cannot be read, or it is not valid.
pub(crate) fn server(
    flags: &ServerFlags,
    env: &Environment,
    scenario: &ServerFlags,
) -> Result<(Address, Credentials), Trouble> {
    let url = URL.pick(&flags.url, env, &scenario.url)?;
    let address = Address::parse(&url).map_err(|e| unusable(e.to_string(), e.hint()))?;
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
    fn settings_are_trimmed_and_invisible_characters_refused() {
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
            (
                "ws://h",
                "API\u{200b}key",
                "hunter2",
                "the API key contains",
            ),
            ("ws://h", "APIkey", "hunter\n2", "the API secret contains"),
            (
                "ws://h",
                "APIkey",
                "\u{feff}hunter2",
                "the API secret contains",
            ),
        ] {
            let said = resolved(url, key, secret).expect_err(message);
            assert!(said.contains(message), "{said}");
            assert!(!said.contains("hunter"), "{said}");
        }
    }

    #[test]
    fn a_folder_named_dot_env_is_ignored() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(".env");
        assert_eq!(
            read(&path).expect("an absent file is empty"),
            Vec::<u8>::new()
        );
        std::fs::create_dir(&path).expect("the folder is writable");
        assert_eq!(read(&path).expect("a folder is ignored"), Vec::<u8>::new());
    }
}
