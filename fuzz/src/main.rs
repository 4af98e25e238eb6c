//! The fuzzer: libFuzzer around the targets of `loadgen::fuzz`.
//!
//! In: libFuzzer's arguments; the target's name in `LOADGEN_FUZZ_TARGET`; `LOADGEN_FUZZ_PLANTED=1`
//! plants the targets' defects. Out: libFuzzer's reports. Invariant: a panic that a target catches
//! itself is not a finding; any other ends the process. `scripts/fuzz` builds and starts this.

#![no_main]

use libfuzzer_sys as _;
use loadgen::fuzz::{Format, FuzzTarget, TARGETS, plant};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// The crate that reads sound files; loadgen treats its panics as damaged files.
const CAUGHT: &str = "symphonia";

static TARGET: OnceLock<FuzzTarget> = OnceLock::new();
/// The committed inputs of the target, as sources of parts for mutations: what libFuzzer finds
/// itself consists mostly of small variations of these.
static COMMITTED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
/// Of this many mutations, all but one follow the format of the input.
const FORMATTED: u32 = 4;

/// Selects the target. libFuzzer calls this function first.
#[unsafe(no_mangle)]
pub extern "C" fn LLVMFuzzerInitialize(_: *const i32, _: *const *const *const u8) -> i32 {
    let name = std::env::var("LOADGEN_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("LOADGEN_FUZZ_TARGET must be one of: {}", names.join(" "));
        std::process::exit(2);
    };
    TARGET.get_or_init(|| *target);
    COMMITTED.get_or_init(|| committed(target.name));
    if std::env::var("LOADGEN_FUZZ_PLANTED").is_ok_and(|planted| planted == "1") {
        plant();
    }
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Thousands of these panics would hide all other output.
        if !panic
            .location()
            .is_some_and(|place| place.file().contains(CAUGHT))
        {
            told(panic);
        }
    }));
    0
}

/// The inputs in the target's folder; none if the fuzzer was started in another folder.
fn committed(name: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(format!("fuzz/corpus/{name}"));
    let paths = entries.into_iter().flatten().flatten();
    let mut paths: Vec<_> = paths.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().flat_map(std::fs::read).collect()
}

/// Runs the target on one input.
#[unsafe(no_mangle)]
#[allow(improper_ctypes_definitions, reason = "libfuzzer-sys declares it so")]
pub extern "C" fn rust_fuzzer_test_input(input: &[u8]) -> i32 {
    let Some(target) = TARGET.get() else {
        std::process::abort();
    };
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        // libFuzzer writes the input to a file.
        std::process::abort();
    }
    0
}

unsafe extern "C" {
    fn LLVMFuzzerMutate(data: *mut u8, size: usize, max_size: usize) -> usize;
}

/// The format of the target's inputs.
fn format() -> Format {
    TARGET.get().map_or(Format::Bytes, |target| target.format)
}

/// Mutates an input: mostly according to its format, with parts of a committed input, otherwise
/// with libFuzzer's mutator.
///
/// # Safety
/// `data` must hold `size` bytes and have room for `max_size`. libFuzzer, the only caller,
/// guarantees that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerCustomMutator(
    data: *mut u8,
    size: usize,
    max_size: usize,
    seed: u32,
) -> usize {
    // SAFETY: guaranteed by the caller.
    let room = unsafe { std::slice::from_raw_parts_mut(data, max_size) };
    let input = &room[..size];
    let committed = COMMITTED.get().map_or(&[][..], Vec::as_slice);
    let other = committed.get(seed as usize / FORMATTED as usize % committed.len().max(1));
    let other = other.map_or(input, Vec::as_slice);
    let formatted = seed % FORMATTED != 0;
    let changed = formatted.then(|| format().changed(input, other, seed.into()));
    match changed.flatten() {
        Some(changed) if (1..=max_size).contains(&changed.len()) => {
            room[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        // SAFETY: as above; the buffer is passed on unchanged.
        _ => unsafe { LLVMFuzzerMutate(data, size, max_size) },
    }
}

/// Changes an input with parts of another; returns 0 if that is not possible, and libFuzzer then
/// chooses again between this function and [`LLVMFuzzerCustomMutator`].
///
/// # Safety
/// `data` must hold `size` bytes, `other` must hold `other_size`, and `out` must have room for
/// `max_size`. libFuzzer, the only caller, guarantees that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerCustomCrossOver(
    data: *const u8,
    size: usize,
    other: *const u8,
    other_size: usize,
    out: *mut u8,
    max_size: usize,
    seed: u32,
) -> usize {
    if data.is_null() || other.is_null() {
        return 0;
    }
    // SAFETY: guaranteed by the caller.
    let (input, other) = unsafe {
        (
            std::slice::from_raw_parts(data, size),
            std::slice::from_raw_parts(other, other_size),
        )
    };
    match format().changed(input, other, seed.into()) {
        Some(changed) if changed.len() <= max_size => {
            // SAFETY: there is room, and the vector does not overlap the caller's memory.
            unsafe { out.copy_from_nonoverlapping(changed.as_ptr(), changed.len()) };
            changed.len()
        }
        _ => 0,
    }
}
