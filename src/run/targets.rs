//! The targets of a run: one for all variants, or one for each distinct target among them.
//!
//! In: the target of each variant. Out: each distinct target, opened once. Invariants: a call uses
//! its variant's target from start to end; every target that was opened is closed.

use super::caller::CallerEnd;
use super::error::RunError;
use crate::audio::Codec;
use crate::targets::{Media, Notice, Opened, Opening, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A target to which a run's callers can be connected.
pub(super) type AnyTarget = Arc<dyn Target<CallerEnd>>;

/// The targets of the variants' calls.
#[derive(Debug, Clone)]
pub struct Targets {
    /// Distinct targets, in the order of the variants; at least one.
    targets: Vec<AnyTarget>,
    /// Index into `targets` for each variant; variants that are not listed use the first target.
    of_variant: Vec<usize>,
}

impl<T: Target<CallerEnd> + 'static> From<T> for Targets {
    fn from(target: T) -> Self {
        Self {
            targets: vec![Arc::new(target)],
            of_variant: Vec::new(),
        }
    }
}

impl Targets {
    /// Creates the targets from those of the variants, in order; equal targets are opened once.
    /// `first` is the target of the first variant.
    pub(crate) fn for_variants<T>(first: T, others: impl IntoIterator<Item = T>) -> Self
    where
        T: Target<CallerEnd> + PartialEq + 'static,
    {
        let mut distinct = vec![first];
        let mut of_variant = vec![0];
        for target in others {
            let known = distinct.iter().position(|known| *known == target);
            of_variant.push(known.unwrap_or(distinct.len()));
            if known.is_none() {
                distinct.push(target);
            }
        }
        let shared = distinct
            .into_iter()
            .map(|target| Arc::new(target) as AnyTarget);
        Self {
            targets: shared.collect(),
            of_variant,
        }
    }

    /// The host of the first variant's target, to which sentinel calls also connect; `None` if that
    /// target is on this machine.
    pub(crate) fn first_host(&self) -> Option<&str> {
        self.first().host()
    }

    /// Every distinct target.
    pub(crate) fn all(&self) -> impl Iterator<Item = &dyn Target<CallerEnd>> {
        self.targets.iter().map(|target| &**target)
    }

    /// Kinds and addresses, without secrets.
    pub(crate) fn describe(&self) -> String {
        let mut names: Vec<String> = self.targets.iter().map(|t| t.describe()).collect();
        names.dedup();
        names.join(", ")
    }

    /// The codec of all calls: the targets of a run are of one kind.
    pub(super) fn codec(&self) -> Codec {
        self.first().codec()
    }

    /// Maximum number of file descriptors that a call needs.
    pub(super) fn descriptors(&self) -> u64 {
        let all = self.targets.iter().map(|target| target.descriptors());
        all.max().unwrap_or_default()
    }

    /// Maximum number of UDP ports that a call takes.
    pub(super) fn ports(&self) -> u64 {
        let all = self.targets.iter().map(|target| target.ports());
        all.max().unwrap_or_default()
    }

    fn first(&self) -> &AnyTarget {
        // Never empty: every constructor adds a target.
        &self.targets[0]
    }
}

/// The open targets of a run.
pub(super) struct OpenTargets {
    targets: Vec<Opened<CallerEnd>>,
    of_variant: Vec<usize>,
    /// Number of targets that have accepted at least one call.
    met: AtomicUsize,
}

impl OpenTargets {
    /// Opens all targets.
    pub(super) async fn open(
        targets: &Targets,
        run_id: &str,
        media: &Media<CallerEnd>,
        notice: Notice<'_>,
    ) -> Result<Self, RunError> {
        let mut open = Self {
            targets: Vec::new(),
            of_variant: targets.of_variant.clone(),
            met: AtomicUsize::new(0),
        };
        for target in &targets.targets {
            let opening = Opening {
                run_id,
                media,
                notice: &mut *notice,
            };
            match target.open(opening).await {
                Ok(opened) => open.targets.push(opened),
                Err(e) => {
                    open.close(true, notice).await;
                    return Err(RunError::Target(e));
                }
            }
        }
        Ok(open)
    }

    /// The target of a variant's calls.
    pub(super) fn of_variant(&self, variant: usize) -> &Opened<CallerEnd> {
        &self.targets[self.number(variant)]
    }

    /// Index of a variant's target.
    pub(super) fn number(&self, variant: usize) -> usize {
        self.of_variant.get(variant).copied().unwrap_or(0)
    }

    /// The first variant's target.
    pub(super) fn first(&self) -> &Opened<CallerEnd> {
        &self.targets[0]
    }

    pub(super) fn all(&self) -> &[Opened<CallerEnd>] {
        &self.targets
    }

    /// Records that target `number` has accepted a call, and so have all targets before it.
    pub(super) fn met(&self, number: usize) {
        self.met.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// Cleans up all targets. `refused`: targets that have accepted no call so far refuse every
    /// connection.
    pub(super) async fn close(&self, refused: bool, notice: Notice<'_>) {
        let met = self.met.load(Ordering::Relaxed);
        for (number, target) in self.targets.iter().enumerate() {
            let refused = refused && number >= met;
            target.close(refused, &mut *notice).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::embedded::Embedded;

    #[test]
    fn equal_targets_are_opened_once() {
        let target = |delay: &str| Embedded {
            program: "loadgen".into(),
            arguments: vec![format!("--delay={delay}")],
        };
        let others = [target("2s"), target("1s"), target("2s"), target("3s")];
        let targets = Targets::for_variants(target("1s"), others);
        assert_eq!(targets.targets.len(), 3);
        assert_eq!(targets.of_variant, [0, 1, 0, 1, 2]);
        assert_eq!(targets.describe(), "embedded");
        assert_eq!(Targets::from(target("1s")).targets.len(), 1);
    }
}
