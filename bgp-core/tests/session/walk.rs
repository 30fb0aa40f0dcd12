//! Random walks keep every promise of the session room.

use crate::walker::walk;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_walk_keeps_the_promises(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        walk(&octets);
    }
}
