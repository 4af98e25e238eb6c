//! The doors of a run: one for all variants, or one for those that differ in where they are.
//!
//! In: a door for each variant. Out: each distinct door, opened once. Holds: a call goes
//! through its variant's door from beginning to end; every door that was opened is closed.

use super::door::{Door, OpenDoor};
use super::error::RunError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the calls of each variant go.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Distinct, in the order of the variants; at least one.
    doors: Vec<Door>,
    /// Index into `doors` for each variant; the first door for variants that it lacks.
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
    /// Of the variants' doors, in their order; equal ones become one. `first` is that of the
    /// first variant.
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

    /// That of the first variant; sentinels go through it.
    pub fn first(&self) -> &Door {
        // At least one, by construction.
        &self.doors[0]
    }

    /// Every distinct one.
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

/// The doors of a run, open.
pub(super) struct OpenDoors {
    doors: Vec<OpenDoor>,
    of_variant: Vec<usize>,
    /// So many of them have let somebody in.
    met: AtomicUsize,
}

impl OpenDoors {
    /// Opens them all. Notices go to `notice`.
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

    /// One open door for all variants.
    #[cfg(test)]
    pub(super) fn one(door: OpenDoor) -> Self {
        Self {
            doors: vec![door],
            of_variant: Vec::new(),
            met: AtomicUsize::new(0),
        }
    }

    /// A variant's door.
    pub(super) fn of(&self, variant: usize) -> &OpenDoor {
        &self.doors[self.number(variant)]
    }

    /// The number of a variant's door.
    pub(super) fn number(&self, variant: usize) -> usize {
        self.of_variant.get(variant).copied().unwrap_or(0)
    }

    /// That of the first variant.
    pub(super) fn first(&self) -> &OpenDoor {
        &self.doors[0]
    }

    /// All of them.
    pub(super) fn all(&self) -> &[OpenDoor] {
        &self.doors
    }

    /// Door `number` has let somebody in, and so have those before it.
    pub(super) fn met(&self, number: usize) {
        self.met.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// Leaves nothing behind at any of them. `refused`: those that have let nobody in yet never
    /// did.
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
