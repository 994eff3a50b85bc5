//! Gives back what it gets, for every shape of type.

use crate::{
    Sampler,
    bindings::exports::acme::sampler::shapes::{ContactWay, Guest, OrderLine, OrderState, Permissions},
};

macro_rules! echo {
    ($($name:ident: $ty:ty,)*) => {
        $(fn $name(value: $ty) -> $ty { value })*
    };
}

impl Guest for Sampler {
    echo! {
        echo_bool: bool,
        echo_s8: i8,
        echo_u8: u8,
        echo_s16: i16,
        echo_u16: u16,
        echo_s32: i32,
        echo_u32: u32,
        echo_s64: i64,
        echo_u64: u64,
        echo_f32: f32,
        echo_f64: f64,
        echo_char: char,
        echo_string: String,
        echo_strings: Vec<String>,
        echo_bytes: Vec<u8>,
        echo_matrix: Vec<Vec<i32>>,
        echo_tuple: (u8, String, Option<bool>),
        echo_record: OrderLine,
        echo_records: Vec<OrderLine>,
        echo_variant: ContactWay,
        echo_variants: Vec<ContactWay>,
        echo_enum: OrderState,
        echo_flags: Permissions,
        echo_option: Option<String>,
        echo_option_twice: Option<Option<u8>>,
        echo_option_thrice: Option<Option<Option<bool>>>,
        echo_results: Vec<Result<u8, String>>,
        echo_results_bare: Vec<Result<(), ()>>,
        echo_result_nested: (Result<Option<u8>, Result<(), OrderState>>,),
    }

    fn describe(order_number: String, lines: Vec<OrderLine>, note: Option<String>) -> String {
        let pieces: u32 = lines.iter().map(|line| line.quantity).sum();
        format!("{order_number}: {pieces} pieces, {}", note.as_deref().unwrap_or("no note"))
    }

    fn nothing() {}
}
