//! Access to a caller during its call, on a media thread or in a task.
//!
//! In: jobs. Out: their results. Invariant: the jobs of one caller run one after another, in the
//! order in which they were posted.

use std::time::Instant;
use tokio::sync::oneshot;

/// The moment at which a job runs on a caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub now: Instant,
    /// The caller's first send slot at or after this moment.
    pub slot: Instant,
}

/// A job to run on a caller, on its media thread or in its task.
pub(crate) type CallerJob<E> = Box<dyn FnOnce(&mut E, Moment) + Send>;

/// Gives access to a caller that runs on a media thread or in a task.
pub(crate) trait CallerHandle<E>: Send + Sync {
    /// Runs `job` on the caller, after the jobs posted before; drops the job if the caller no
    /// longer exists.
    fn post(&self, job: CallerJob<E>);
}

impl<E: 'static> dyn CallerHandle<E> + '_ {
    /// Runs `f` on the caller and returns the result; `None` if the caller no longer exists.
    pub(crate) async fn with<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut E, Moment) -> R + Send + 'static,
    ) -> Option<R> {
        let (answer, result) = oneshot::channel();
        self.post(Box::new(move |caller, moment| {
            // The requester may have stopped waiting.
            let _ = answer.send(f(caller, moment));
        }));
        result.await.ok()
    }
}
