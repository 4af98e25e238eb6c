//! A value that the tests of one file share.
//!
//! In: a function that makes the value. Out: the value, made by the first test that requests it.
//! Invariant: the last test that uses the value drops it, so nothing is left behind; a later test
//! makes a new one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A slot for a shared value; put it in a `static`.
#[derive(Debug)]
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The value, made now if no test holds one.
    pub fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.upgrade().unwrap_or_else(|| {
            let made = Arc::new(make());
            *slot = Arc::downgrade(&made);
            made
        })
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
