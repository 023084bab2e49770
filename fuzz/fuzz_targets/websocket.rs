#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nym_fuzz_targets::websocket::run(data));
