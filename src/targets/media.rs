//! The media threads of a run, started for the first target that needs them.
//!
//! In: the number of threads. Out: the engine and its health. Invariant: a run has no media thread
//! if its targets carry their audio themselves.

use super::caller_handle::{CallerHandle, CallerJob, Moment};
use crate::call::Failure;
use crate::net::{Endpoint, Engine, HealthSnapshot, PeerHandle};
use std::sync::{Arc, Mutex, PoisonError};

/// The media threads of a run.
pub(crate) struct Media<E: Endpoint> {
    threads: usize,
    engine: Mutex<Option<Arc<Engine<E>>>>,
}

impl<E: Endpoint> Media<E> {
    /// Up to `threads` media threads, none of which has been started.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            engine: Mutex::default(),
        }
    }

    /// The engine, which is started by the first request for it.
    ///
    /// # Errors
    /// The operating system refuses a thread or a file descriptor.
    pub(crate) fn engine(&self) -> Result<Arc<Engine<E>>, Failure> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        let started = Engine::start(self.threads).map_err(|e| Failure::Generator {
            detail: format!("the media engine did not start: {e}"),
        })?;
        Ok(engine.insert(Arc::new(started)).clone())
    }

    /// How well the threads have kept up since their start.
    pub(crate) fn health(&self) -> HealthSnapshot {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        match &*engine {
            Some(engine) => engine.health(),
            None => HealthSnapshot::default(),
        }
    }
}

impl<E: Endpoint> CallerHandle<E> for PeerHandle<E> {
    fn post(&self, job: CallerJob<E>) {
        self.tell(move |peer, now| {
            let slot = peer.slot_from(now);
            job(&mut peer.endpoint, Moment { now, slot });
        });
    }
}
