//! Rights to send HTTP requests of someone who is no plugin: counted, narrowed and replaced like a plugin's.

use std::{sync::Arc, time::Duration};

use factotum_egress::Policy;
use factotum_grant::{DataDenial, Grants, Narrowing, TooManyRules};
use factotum_provenance::{Carried, Labels};

use crate::{
    meter::Ledger,
    right::{Carrying, Narrowed, Rights},
};

/// What a holder, such as a flow, may send by itself. Shared by everything that sends for it, so that rates hold over all
/// of it.
pub struct HttpRights {
    holder: String,
    rights: Rights,
    ledger: Ledger,
}

impl std::fmt::Debug for HttpRights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpRights").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl HttpRights {
    /// The rights of `holder`, who was granted nothing yet.
    #[must_use]
    pub fn nothing(holder: &str) -> Self {
        Self { holder: holder.to_owned(), rights: Rights::nothing(), ledger: Ledger::new() }
    }

    /// The rights of `holder` under these grants.
    ///
    /// # Errors
    /// When the lists are too long to be worked out.
    pub fn new(holder: &str, grants: Grants) -> Result<Self, TooManyRules> {
        let ledger = Ledger::new();
        let rights = Rights::new(Narrowing::default(), grants, &ledger)?;
        Ok(Self { holder: holder.to_owned(), rights, ledger })
    }

    /// Replaces the grants. Holds from the next request on; a rule that stays keeps its count.
    ///
    /// # Errors
    /// When the lists are too long to be worked out; nothing is changed then.
    pub fn set(&self, grants: Grants) -> Result<(), TooManyRules> {
        self.rights.set(grants, &self.ledger)
    }

    /// Whether [`Self::set`] would take these grants: to be asked before they are written down.
    ///
    /// # Errors
    /// As those of [`Self::set`].
    pub fn check(&self, grants: &Grants) -> Result<(), TooManyRules> {
        self.rights.check(grants)
    }

    /// What is granted at this moment.
    #[must_use]
    pub fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.rights.live().grants)
    }

    /// What a flow's narrowing leaves of them.
    ///
    /// # Errors
    /// When the lists are too long to be worked out.
    pub fn narrowed(&self, by: &Narrowing) -> Result<Grants, TooManyRules> {
        self.rights.narrowed(by).map(|right| right.grants().clone())
    }

    /// The right at this moment, for a request with this data.
    #[must_use]
    pub fn now(&self, narrowed: Option<&Narrowed>, data: Carried) -> HttpRight {
        HttpRight(Carrying { now: self.rights.now(&self.holder, narrowed), data })
    }
}

/// The right at one moment, to check one request by.
pub struct HttpRight(Carrying);

impl std::fmt::Debug for HttpRight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpRight").finish_non_exhaustive()
    }
}

impl HttpRight {
    /// What the way out asks.
    #[must_use]
    pub fn policy(&self) -> &dyn Policy {
        &self.0
    }

    /// Whether the holder may have this data at all.
    ///
    /// # Errors
    /// A denial that says which part of it comes from where.
    pub fn check_data(&self) -> Result<(), DataDenial> {
        self.0.now.effective.check_data(&self.0.data)
    }

    /// The longest that one request may take.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.0.now.effective.grants().limits.time_ms)
    }

    /// Where an answer of `origin` comes from, with the classes that the grant names.
    #[must_use]
    pub fn labels_of(&self, origin: &str) -> Labels {
        self.0.now.labels_of(origin)
    }
}
