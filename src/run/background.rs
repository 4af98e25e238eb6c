//! What a caller sends while it does not speak: silence, or the noise around it.
//!
//! In: the frames of a loop. Out: one frame after another. Invariant: after an utterance, the loop
//! goes on where the noise of the utterance ended.

use super::sounds::Frames;
use std::sync::Arc;

/// The loop, and a caller's place in it.
#[derive(Debug, Clone)]
pub(super) struct Background {
    /// Not empty.
    frames: Frames,
    next: usize,
}

impl Background {
    /// Silence: a loop of one frame.
    pub(super) fn silent(silence: Arc<[u8]>) -> Self {
        Self {
            frames: [silence].into(),
            next: 0,
        }
    }

    /// A loop of noise; `None` if it has no frames.
    pub(super) fn noise(frames: Frames) -> Option<Self> {
        (!frames.is_empty()).then_some(Self { frames, next: 0 })
    }

    /// Goes on at frame `from` of the loop.
    pub(super) fn start_at(&mut self, from: usize) {
        self.next = from % self.frames.len();
    }

    /// The next frame.
    pub(super) fn frame(&mut self) -> Arc<[u8]> {
        let frame = self.frames[self.next].clone();
        self.next = (self.next + 1) % self.frames.len();
        frame
    }

    /// The caller has sent frame `frame` of an utterance, whose first frame contains frame `from`
    /// of the loop.
    pub(super) fn follow(&mut self, from: usize, frame: usize) {
        self.next = (from + frame + 1) % self.frames.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_goes_on_where_the_utterance_ended() {
        let frames: Frames = (0..5u8).map(|n| Arc::from([n])).collect();
        let mut background = Background::noise(frames).expect("five frames");
        background.start_at(8);
        let mut sent = Vec::new();
        sent.extend((0..3).map(|_| background.frame()[0]));
        // An utterance of four frames with the loop from its second frame on.
        (0..4).for_each(|frame| background.follow(1, frame));
        sent.extend((0..3).map(|_| background.frame()[0]));
        assert_eq!(sent, [3, 4, 0, 0, 1, 2]);
        assert!(Background::noise(Frames::default()).is_none());
    }

    #[test]
    fn silence_is_one_frame() {
        let mut silent = Background::silent(Arc::from([7]));
        silent.follow(0, 12);
        assert_eq!([silent.frame()[0], silent.frame()[0]], [7, 7]);
    }
}
