//! A resource, which JSON cannot carry: the host must say so, and not fall over it.

use std::cell::Cell;

use crate::{
    Sampler,
    bindings::exports::acme::sampler::ledger::{Account, Guest, GuestAccount},
};

/// An account.
pub struct Ledger {
    owner: String,
    cents: Cell<u64>,
}

impl GuestAccount for Ledger {
    fn new(owner: String) -> Self {
        Self { owner, cents: Cell::new(0) }
    }

    fn deposit(&self, cents: u64) -> u64 {
        self.cents.set(self.cents.get().saturating_add(cents));
        self.cents.get()
    }

    fn owner(&self) -> String {
        self.owner.clone()
    }

    fn count() -> u32 {
        0
    }
}

impl Guest for Sampler {
    type Account = Ledger;

    fn open(owner: String) -> Account {
        Account::new(<Ledger as GuestAccount>::new(owner))
    }

    fn close(account: Account) -> u64 {
        account.into_inner::<Ledger>().cents.get()
    }
}
