//! Fails in its own ways: with a record, a text, a variant, and without a word.

use crate::{
    Sampler,
    bindings::exports::acme::sampler::stock::{Guest, Problem, Shortage},
};

impl Guest for Sampler {
    fn reserve(article_number: String, quantity: u32) -> Result<u32, Shortage> {
        10_u32.checked_sub(quantity).ok_or(Shortage { article_number, available: 10 })
    }

    fn divide(dividend: i32, divisor: i32) -> Result<i32, String> {
        dividend.checked_div(divisor).ok_or_else(|| format!("{dividend} / {divisor} is no number"))
    }

    fn look_up(article_number: String) -> Result<(), Problem> {
        match article_number.as_str() {
            "A-1" => Ok(()),
            "A-2" => Err(Problem::OutOfStock(Shortage { article_number, available: 0 })),
            "A-3" => Err(Problem::Closed),
            _ => Err(Problem::UnknownArticle(article_number)),
        }
    }

    fn check(fine: bool) -> Result<(), ()> {
        if fine { Ok(()) } else { Err(()) }
    }
}
