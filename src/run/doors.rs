//! The targets of a run: one for all variants, or one for each distinct target among them.
//!
//! In: a target for each variant. Out: each distinct target, opened once. Invariants: a call
//! uses its variant's target from start to end; every target that was opened is closed.

use super::door::{Door, OpenDoor};
use super::error::RunError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The targets of the variants' calls.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Distinct, in the order of the variants; at least one.
    doors: Vec<Door>,
    /// Index into `doors` for each variant; variants beyond its end use the first target.
    of_variant: Vec<usize>,
}

impl From<Door> for Doors {
    fn from(door: Door) -> Self {
        Self {
            doors: vec![door],
            of_variant: Vec::new(),
        }
    }
}

impl Doors {
    /// From the variants' targets, in their order; equal targets are opened once. `first` is the
    /// target of the first variant.
    pub fn of(first: Door, others: impl IntoIterator<Item = Door>) -> Self {
        let mut all = Self {
            doors: vec![first],
            of_variant: vec![0],
        };
        for door in others {
            let known = all.doors.iter().position(|known| *known == door);
            let index = known.unwrap_or_else(|| {
                all.doors.push(door);
                all.doors.len() - 1
            });
            all.of_variant.push(index);
        }
        all
    }

    /// The first variant's target, which sentinel calls use as well.
    pub fn first(&self) -> &Door {
        // Never empty, by construction.
        &self.doors[0]
    }

    /// Every distinct target.
    pub fn all(&self) -> &[Door] {
        &self.doors
    }

    /// Kinds and addresses, without secrets.
    pub fn describe(&self) -> String {
        let mut names: Vec<String> = self.doors.iter().map(Door::describe).collect();
        names.dedup();
        names.join(", ")
    }
}

/// The open targets of a run.
pub(super) struct OpenDoors {
    doors: Vec<OpenDoor>,
    of_variant: Vec<usize>,
    /// Number of targets that have accepted at least one call.
    met: AtomicUsize,
}

impl OpenDoors {
    /// Opens all targets. Notices go to `notice`.
    pub(super) async fn open(
        doors: &Doors,
        run_id: &str,
        notice: &mut dyn FnMut(String),
    ) -> Result<Self, RunError> {
        let mut open = Self {
            doors: Vec::new(),
            of_variant: doors.of_variant.clone(),
            met: AtomicUsize::new(0),
        };
        for door in &doors.doors {
            match OpenDoor::open(door, run_id, notice).await {
                Ok(door) => open.doors.push(door),
                Err(e) => {
                    open.close(true, notice).await;
                    return Err(e);
                }
            }
        }
        Ok(open)
    }

    /// One open target for all variants.
    #[cfg(test)]
    pub(super) fn one(door: OpenDoor) -> Self {
        Self {
            doors: vec![door],
            of_variant: Vec::new(),
            met: AtomicUsize::new(0),
        }
    }

    pub(super) fn of(&self, variant: usize) -> &OpenDoor {
        &self.doors[self.number(variant)]
    }

    /// Index of a variant's target.
    pub(super) fn number(&self, variant: usize) -> usize {
        self.of_variant.get(variant).copied().unwrap_or(0)
    }

    /// The first variant's target.
    pub(super) fn first(&self) -> &OpenDoor {
        &self.doors[0]
    }

    pub(super) fn all(&self) -> &[OpenDoor] {
        &self.doors
    }

    /// Target `number` has accepted a call, and so have those before it.
    pub(super) fn met(&self, number: usize) {
        self.met.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// Cleans up all targets. `refused`: targets that have accepted no call so far refuse every
    /// connection.
    pub(super) async fn close(&self, refused: bool, notice: &mut dyn FnMut(String)) {
        let met = self.met.load(Ordering::Relaxed);
        for (number, door) in self.doors.iter().enumerate() {
            door.close(refused && number >= met, notice).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_doors_are_one() {
        let door = |delay: &str| Door::Embedded {
            program: "loadgen".into(),
            arguments: vec![format!("--delay={delay}")],
        };
        let doors = Doors::of(door("1s"), [door("2s"), door("1s"), door("2s"), door("3s")]);
        assert_eq!(doors.all(), [door("1s"), door("2s"), door("3s")]);
        assert_eq!(doors.of_variant, [0, 1, 0, 1, 2]);
        assert_eq!(doors.describe(), "embedded");
        assert_eq!(Doors::from(door("1s")).all().len(), 1);
    }
}
