//! Annotations of sound files: the `.json` files next to them.
//!
//! In: a file. Properties: the times of an annotation that parses are in order.

use super::planted::planted;
use crate::audio::Annotation;
use std::time::Duration;

pub(super) fn run(bytes: &[u8]) {
    let Ok(annotation) = Annotation::parse(bytes) else {
        return;
    };
    let start = annotation.speech_start().unwrap_or_default();
    assert!(start <= annotation.speech_end());
    let early = annotation.speech_end() < Duration::from_millis(2_400);
    planted([early, annotation.text().is_some_and(|text| text.len() > 2)]);
}
