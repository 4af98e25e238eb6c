//! The LiveKit server on the command line, shared by the commands that use one.
//!
//! Invariant: the secret is never shown.

use super::settings::ServerFlags;
use clap::Args;

/// The LiveKit server. Does not use clap's `env`: a variable must not count as a flag if the target
/// is embedded. `settings` resolves flags, environment, `.env` and scenario, in that order.
#[derive(Clone, Default, Args)]
#[command(next_help_heading = "LiveKit server")]
pub(crate) struct ServerArgs {
    /// Address of the server, such as wss://host [env and .env: LIVEKIT_URL]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// API key [env and .env: LIVEKIT_API_KEY]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// API secret; better left in the environment [env and .env: LIVEKIT_API_SECRET]
    #[arg(long, value_name = "SECRET")]
    pub api_secret: Option<String>,
}

impl std::fmt::Debug for ServerArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret = self.api_secret.as_ref().map(|_| "…");
        let mut shown = f.debug_struct("ServerArgs");
        shown
            .field("url", &self.url)
            .field("api_key", &self.api_key);
        shown.field("api_secret", &secret).finish()
    }
}

impl From<ServerArgs> for ServerFlags {
    fn from(args: ServerArgs) -> Self {
        let ServerArgs {
            url,
            api_key,
            api_secret,
        } = args;
        Self {
            url,
            api_key,
            api_secret,
        }
    }
}
