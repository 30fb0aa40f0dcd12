//! Events that wait to be taken.

use super::FibEvent;
use std::collections::VecDeque;

/// At most so many events wait; then the oldest is dropped, and the number of the lost is told
/// first. News of next hops and of host routes is not kept here, and never lost: only its last
/// state is told, whenever it is asked for.
pub const MAX_EVENTS: usize = 4_096;

#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    waiting: VecDeque<FibEvent>,
    lost: u64,
}

impl Events {
    pub(crate) fn push(&mut self, event: FibEvent) {
        if self.waiting.len() >= MAX_EVENTS {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(event);
    }

    pub(crate) fn poll(&mut self) -> Option<FibEvent> {
        match std::mem::take(&mut self.lost) {
            0 => self.waiting.pop_front(),
            lost => Some(FibEvent::EventsLost(lost)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_lost_and_counted() {
        let mut events = Events::default();
        for _ in 0..MAX_EVENTS {
            events.push(FibEvent::Overrun);
        }
        events.push(FibEvent::ForeignFull);
        assert_eq!(events.poll(), Some(FibEvent::EventsLost(1)));
        let rest: Vec<FibEvent> = std::iter::from_fn(|| events.poll()).collect();
        assert_eq!(rest.len(), MAX_EVENTS);
        assert_eq!(rest.last(), Some(&FibEvent::ForeignFull));
    }
}
