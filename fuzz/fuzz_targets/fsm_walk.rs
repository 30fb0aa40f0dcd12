#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bgp_fuzz::fsm_walk(input));
