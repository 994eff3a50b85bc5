//! Takes time and memory.

use std::{hint::black_box, io::Write, time::Duration};

use factotum_sdk::{config, http::Request, kv::Bucket};

use crate::{Hostile, bindings::exports::hostile::guest::exhaust::Guest};

const CHUNK: usize = 1 << 20;

fn recurse(depth: u64) -> u64 {
    // A frame that the optimiser can neither fold nor turn into a loop.
    let frame = black_box([depth; 32]);
    if depth == 0 { 0 } else { recurse(depth - 1).wrapping_add(frame.iter().sum::<u64>()) }
}

impl Guest for Hostile {
    fn spin() {
        let mut turns = 0_u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }

    #[allow(clippy::print_stdout, clippy::panic)] // attacks
    fn spin_on_host(what: String) {
        let bucket = Bucket::open();
        loop {
            match what.as_str() {
                "random" => drop(wasip2::random::random::get_random_bytes(64)),
                "clock" => drop(black_box(std::time::SystemTime::now())),
                "get" => drop(bucket.as_ref().map(|b| b.get("a"))),
                "set" => drop(bucket.as_ref().map(|b| b.set("a", b"b"))),
                "config" => drop(config::get("a")),
                "denied" => drop(Request::get("https://not-granted.example/").send()),
                "output" => println!("and on and on"),
                "poll" => std::thread::sleep(Duration::ZERO),
                other => panic!("no such loop: {other}"),
            }
        }
    }

    fn sleep_ms(ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn fill_memory_politely() -> u64 {
        let mut held: Vec<Vec<u8>> = Vec::new();
        loop {
            let mut chunk = Vec::new();
            if chunk.try_reserve_exact(CHUNK).is_err() {
                return (held.len() * CHUNK) as u64;
            }
            chunk.resize(CHUNK, 1);
            held.push(black_box(chunk));
        }
    }

    fn fill_memory() {
        let mut held = Vec::new();
        loop {
            held.push(black_box(vec![1_u8; CHUNK]));
        }
    }

    fn recurse(depth: u64) -> u64 {
        recurse(depth)
    }

    #[allow(clippy::panic)] // the attack
    fn panic(message: String) {
        panic!("{message}");
    }

    fn exit(code: u8) {
        std::process::exit(code.into());
    }

    fn flood_output(bytes: u64) {
        let chunk = [b'x'; 4096];
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut out = std::io::stdout().lock();
        while left > 0 {
            let now = left.min(chunk.len());
            let _ = out.write_all(chunk.get(..now).unwrap_or_default());
            left -= now;
        }
        let _ = out.flush();
    }

    #[allow(clippy::print_stdout)] // what it is for
    fn print(text: String) {
        println!("{text}");
    }
}
