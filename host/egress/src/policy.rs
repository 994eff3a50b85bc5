//! Who says whether a request may go: asked once, with the whole request in hand, before anything of it leaves.

use std::any::Any;

use factotum_grant::{Capability, Denial, HttpRequest, HttpRule, Permit, check_request};

use crate::EgressError;

/// Kept while an exchange is under way, and dropped at its end. Whoever counts requests at one time counts back then.
pub type Hold = Option<Box<dyn Any + Send + Sync>>;

/// Decides about requests.
pub trait Policy: Sync {
    /// The rule that allows all of the request.
    ///
    /// # Errors
    /// A denial that names the smallest grant that would have allowed it.
    fn check(&self, request: &HttpRequest<'_>) -> Result<Permit<'_>, Denial>;

    /// The rule that allows all of the request when it is signed in with these secrets.
    ///
    /// # Errors
    /// As [`Self::check`]. Who does not say otherwise may sign in with none.
    fn check_as(&self, request: &HttpRequest<'_>, secrets: &[&str]) -> Result<Permit<'_>, Denial> {
        match secrets.first() {
            None => self.check(request),
            Some(name) => Err(Denial {
                capability: Capability::Http,
                message: format!("signing in with the secret {name:?} is not granted here"),
                mend: "# only a flow signs in with secrets that it names".into(),
            }),
        }
    }

    /// Counts a request that was allowed, against the rate and the concurrency of its rule.
    ///
    /// # Errors
    /// [`EgressError::TooMany`] when there is no place left; nothing is sent then.
    fn begin(&self, permit: &Permit<'_>) -> Result<Hold, EgressError>;
}

/// A list of rules as it is, for a caller who counts nothing. A rule that bounds rate or concurrency allows nothing here:
/// what is not counted is not granted.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r>(pub &'r [HttpRule]);

impl Policy for Rules<'_> {
    fn check(&self, request: &HttpRequest<'_>) -> Result<Permit<'_>, Denial> {
        check_request(self.0, request)
    }

    fn begin(&self, permit: &Permit<'_>) -> Result<Hold, EgressError> {
        if permit.rule.per_minute.is_none() && permit.rule.concurrency.is_none() {
            return Ok(None);
        }
        Err(EgressError::Denied(Denial {
            capability: Capability::Http,
            message: "the rule bounds how many requests are sent, and this caller does not count them".into(),
            mend: "# a rule without per-minute and concurrency".into(),
        }))
    }
}
