//! Defects planted in the targets, to show that the fuzzer finds such defects.
//!
//! In: the conditions of a defect. Out: a panic if all of them hold and defects are planted on this
//! thread. Invariant: no committed input meets all conditions of a defect; a test checks this.

use std::cell::Cell;

thread_local! {
    static PLANTED: Cell<bool> = const { Cell::new(false) };
}

/// Plants the defects of this thread's targets. Each defect has conditions that only a valid but
/// unusual input meets. Finding them shows that the fuzzer would find a real defect.
pub fn plant() {
    PLANTED.set(true);
}

/// The planted defect of a target: panics if all of these conditions hold.
pub(super) fn planted<const N: usize>(conditions: [bool; N]) {
    // As with the branches of a real defect, the fuzzer sees which conditions hold.
    let met = |(place, met): (usize, &bool)| usize::from(*met) << place;
    match conditions.iter().enumerate().map(met).sum() {
        0 => {}
        1 => nearer::<1>(),
        2 => nearer::<2>(),
        3 => nearer::<3>(),
        4 => nearer::<4>(),
        5 => nearer::<5>(),
        6 => nearer::<6>(),
        _ => nearer::<7>(),
    }
    let all = conditions.iter().all(|met| *met);
    assert!(!(all && PLANTED.get()), "the planted defect");
}

#[inline(never)]
fn nearer<const WHICH: usize>() {
    std::hint::black_box(WHICH);
}
