//! Writes a sample report in both languages and forms: `cargo run -p plugin-report --example sample -- FOLDER [CASES]`.
//! The picture in the README is the English page in a browser.
#![allow(clippy::print_stderr)]

use std::{env, error::Error, fs, path::PathBuf};

use factotum_sdk::testing;
use plugin_report::{CaseRow, Format, Options, build};

/// One word, each as often as its weight says; a fixed sequence, so that the sample is always the same.
fn pick(words: &[(&str, u64)], seed: u64) -> String {
    let total: u64 = words.iter().map(|(_, weight)| weight).sum();
    // The finaliser of SplitMix64 spreads consecutive numbers.
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut at = (z ^ (z >> 31)) % total.max(1);
    for (word, weight) in words {
        if at < *weight {
            return (*word).to_owned();
        }
        at = at.saturating_sub(*weight);
    }
    String::new()
}

fn case(number: u64) -> CaseRow {
    let seed = number.wrapping_mul(8);
    let days =
        "02 02 02 03 03 04 04 05 06 07 09 09 09 09 10 10 10 11 11 12 12 13 14 16 16 16 17 17 18 18 19 20";
    let days: Vec<(&str, u64)> = days.split(' ').map(|day| (day, 1)).collect();
    let subjects = [
        ("Where is my parcel? It should have come on Monday", 3),
        ("订单一直没有发货，请尽快处理", 2),
        ("Charged twice for one order", 2),
        ("退款什么时候到账？", 2),
        ("The app signs me out again and again", 1),
        ("Wrong size, I would like to exchange it", 2),
    ];
    CaseRow {
        id: format!("C-{:06}", number.saturating_add(1)),
        created: format!("2026-11-{}T{:02}:{:02}:00Z", pick(&days, seed), number % 11 + 8, number * 7 % 60),
        channel: pick(&[("mail", 40), ("web", 25), ("chat", 20), ("phone", 10), ("social", 5)], seed + 1),
        category: Some(pick(
            &[
                ("delivery", 28),
                ("refund", 19),
                ("product_question", 14),
                ("return_exchange", 11),
                ("billing", 8),
                ("technical", 7),
                ("order_change", 5),
                ("complaint", 4),
                ("account", 2),
                ("praise", 2),
            ],
            seed + 2,
        )),
        priority: Some(pick(&[("normal", 62), ("high", 17), ("low", 15), ("urgent", 6)], seed + 3)),
        sentiment: Some(pick(&[("neutral", 58), ("negative", 27), ("positive", 15)], seed + 4)),
        language: Some(pick(&[("en", 66), ("zh", 32), ("und", 2)], seed + 5)),
        subject: pick(&subjects, seed + 6),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name the folder to write to")?);
    let count = arguments.next().map_or(Ok(640), |count| count.parse::<u64>())?;
    let cases: Vec<CaseRow> = (0..count).map(case).collect();
    for language in ["en", "zh"] {
        testing::reset();
        let options = Options {
            title: None,
            language: Some(language.into()),
            formats: vec![Format::Html, Format::Xlsx],
        };
        build(cases.clone(), &options).map_err(|fault| format!("{fault:?}"))?;
        for (artifact, bytes) in testing::with(|world| world.artifacts.clone()) {
            eprintln!("{} {} bytes", artifact.name, bytes.len());
            fs::write(folder.join(&artifact.name), bytes)?;
        }
    }
    Ok(())
}
