//! Defects that are planted in the targets, to show that the fuzzer finds such.
//!
//! In: the conditions of a defect. Out: a panic where all of them hold and defects are planted on
//! this thread. Invariant: no committed input meets them; a test holds that.

use std::cell::Cell;

thread_local! {
    static PLANTED: Cell<bool> = const { Cell::new(false) };
}

/// Plants the defects of this thread's targets, each behind a condition that only a valid and
/// unusual input meets. They show that the fuzzer would find a real one.
pub fn plant() {
    PLANTED.set(true);
}

/// The place of a target's planted defect: where all of these hold.
pub(super) fn planted<const N: usize>(conditions: [bool; N]) {
    let met = conditions.iter().filter(|met| **met).count();
    // As with the branches of a real defect, the fuzzer sees how near it is.
    (0..met).for_each(|_| nearer());
    assert!(!(met == N && PLANTED.get()), "the planted defect");
}

#[inline(never)]
fn nearer() {
    std::hint::black_box(());
}
