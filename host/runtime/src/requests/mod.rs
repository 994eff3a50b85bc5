//! HTTP requests of a flow's own (`call: http`, `call: openapi`): from what the flow computed to what the door out sends, and
//! from its answer to what the flow gets. Knows nothing of runs and journals.

mod answer;
mod exchange;
mod prepare;

pub(crate) use answer::{Shape, outcome};
pub(crate) use exchange::{Exchange, Outgoing, Sent, Used, exchange};
pub(crate) use prepare::{Place, login, prepare};
