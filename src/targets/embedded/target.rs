//! The embedded target: one child process for all calls of a run.
//!
//! In: the agent's settings. Out: calls to it. Invariant: the child lives as long as the open
//! target.

use super::call::EmbeddedCall;
use super::child::AgentProcess;
use crate::call::Failure;
use crate::net::{Endpoint, Engine};
use crate::targets::{CallLine, Dial, Notice, OpenTarget, Opened, Opening, OwnAgent, Target};
use futures_util::future::BoxFuture;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

/// The reference agent as a child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embedded {
    pub program: PathBuf,
    /// Arguments with the agent's settings.
    pub arguments: Vec<String>,
}

/// A running embedded agent.
struct OpenEmbedded<E: Endpoint> {
    agent: Arc<AgentProcess>,
    engine: Arc<Engine<E>>,
}

impl<E: Endpoint> Target<E> for Embedded {
    fn describe(&self) -> String {
        "embedded".into()
    }

    fn host(&self) -> Option<&str> {
        None
    }

    fn descriptors(&self) -> u64 {
        // One socket for media; the agent's socket belongs to the agent's process.
        1
    }

    fn ports(&self) -> u64 {
        // One port for each end, because both are on this machine.
        2
    }

    fn open<'a>(&'a self, run: Opening<'a, E>) -> BoxFuture<'a, Result<Opened<E>, Failure>> {
        Box::pin(async move {
            let engine = run.media.engine()?;
            start(&self.program, &self.arguments, engine).await
        })
    }
}

async fn start<E: Endpoint>(
    program: &std::path::Path,
    arguments: &[String],
    engine: Arc<Engine<E>>,
) -> Result<Opened<E>, Failure> {
    let agent = Arc::new(AgentProcess::start(program, arguments).await?);
    Ok(Box::new(OpenEmbedded { agent, engine }))
}

impl<E: Endpoint> OpenTarget<E> for OpenEmbedded<E> {
    fn room(&self, call: &str) -> String {
        format!("embedded-{call}")
    }

    fn connect(&self, dial: Dial<'_>, caller: E) -> CallLine<E> {
        let (peer, media) = self.engine.add(caller, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let peer = Arc::new(peer);
        // The number only has to distinguish the calls on the pipe.
        let number = dial.number.unwrap_or(u64::MAX);
        if let Some(impairment) = dial.network.cloned() {
            peer.tell(move |p, _| p.impair(impairment));
        }
        let call = EmbeddedCall::begin(
            self.agent.clone(),
            (number, dial.room.to_owned()),
            peer.clone(),
            media,
        );
        CallLine {
            handle: peer,
            connection: Box::new(call),
        }
    }

    fn own_agent<'a>(&'a self, own: &'a OwnAgent) -> BoxFuture<'a, Result<Opened<E>, Failure>> {
        Box::pin(start(&own.program, &own.arguments, self.engine.clone()))
    }

    fn close<'a>(&'a self, _refused: bool, _notice: Notice<'a>) -> BoxFuture<'a, ()> {
        Box::pin(self.agent.stop())
    }
}
