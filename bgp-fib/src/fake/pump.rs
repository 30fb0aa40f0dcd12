//! The simplest edge: everything at once, in order.

use super::FakeKernel;
use crate::fib::{Fib, FibEvent, MAX_BATCH};
use bgp_core::time::Instant;

/// Carries words between `fib` and `kernel` until neither has more to say at `now`; answers what
/// the owner would have heard.
pub fn pump(fib: &mut Fib, kernel: &mut FakeKernel, now: Instant) -> Vec<FibEvent> {
    let mut events = Vec::new();
    loop {
        let mut moved = false;
        while let Some(notice) = kernel.next_notice() {
            fib.handle_notice(now, notice);
            moved = true;
        }
        if kernel.take_overrun() {
            fib.handle_overrun(now);
        }
        if let Some(dump) = fib.poll_dump(now) {
            fib.handle_dump(now, dump, kernel.dump(dump), true);
            moved = true;
        }
        let mut batch = Vec::new();
        fib.poll_batch(now, MAX_BATCH, &mut batch);
        moved |= !batch.is_empty();
        let answers: Vec<_> = batch
            .iter()
            .map(|(ticket, request)| (*ticket, kernel.request(request)))
            .collect();
        fib.handle_answers(now, &answers);
        events.extend(std::iter::from_fn(|| fib.poll_event()));
        if !moved {
            return events;
        }
    }
}
