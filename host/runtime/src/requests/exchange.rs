//! One request of a flow, sent: under the right of the moment, redirects followed one by one, each checked again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use factotum_egress::{EgressError, Limits, Login, redirected};
use factotum_grant::DataDenial;
use factotum_provenance::{Carried, Labels};
use factotum_sandbox::{HttpRights, Narrowed};
use http::Uri;

use super::Place;
use crate::actions::Actions;

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// A request, with all that is needed to send it.
pub(crate) struct Outgoing {
    /// The flow, `namespace/name`.
    pub flow: String,
    pub rights: Arc<HttpRights>,
    /// What the task leaves of the rights.
    pub narrowed: Option<Arc<Narrowed>>,
    /// Where what is sent comes from.
    pub data: Carried,
    pub request: http::Request<Bytes>,
    pub login: Option<Login>,
    pub redirect: bool,
    /// Less than the grant's own time, when a deadline comes sooner.
    pub timeout: Option<Duration>,
    pub max_answer_bytes: u64,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub result: Result<Sent, EgressError>,
    /// Why nothing was sent, when the grant keeps data away that is in it.
    pub not_given: Option<DataDenial>,
    /// Each request on the way, in order.
    pub used: Vec<Used>,
    /// Where the answer comes from.
    pub from: Labels,
    pub elapsed: Duration,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Where it comes from in the end.
    pub uri: Uri,
    pub answer: http::Response<Bytes>,
}

/// One request on the way.
#[derive(Debug)]
pub(crate) struct Used {
    pub place: Place,
    /// The status of its answer.
    pub outcome: Result<u16, EgressError>,
}

/// Sends it.
pub(crate) async fn exchange(actions: &dyn Actions, outgoing: Outgoing) -> Exchange {
    let begun = Instant::now();
    let mut used = Vec::new();
    let mut from = Labels::default();
    let denied = outgoing.rights.now(outgoing.narrowed.as_deref(), outgoing.data.clone()).check_data().err();
    if let Some(denial) = denied {
        let place = Place::of(outgoing.request.method(), outgoing.request.uri());
        let error = EgressError::Denied(factotum_grant::Denial {
            capability: factotum_grant::Capability::Http,
            message: denial.message.clone(),
            mend: denial.mend.clone(),
        });
        used.push(Used { place, outcome: Err(error.clone()) });
        return Exchange {
            result: Err(error),
            not_given: Some(denial),
            used,
            from,
            elapsed: begun.elapsed(),
        };
    }
    let result = follow(actions, outgoing, begun, &mut used, &mut from).await;
    Exchange { result, not_given: None, used, from, elapsed: begun.elapsed() }
}

async fn follow(
    actions: &dyn Actions,
    outgoing: Outgoing,
    begun: Instant,
    used: &mut Vec<Used>,
    from: &mut Labels,
) -> Result<Sent, EgressError> {
    let Outgoing {
        flow,
        rights,
        narrowed,
        data,
        mut request,
        mut login,
        redirect,
        timeout,
        max_answer_bytes,
    } = outgoing;
    for hop in 0..=MAX_REDIRECTS {
        // Asked anew at each: what was taken back meanwhile is gone.
        let right = rights.now(narrowed.as_deref(), data.clone());
        let time = timeout.map_or(right.time(), |timeout| timeout.min(right.time()));
        let limits = Limits {
            max_response_bytes: max_answer_bytes,
            timeout: time.saturating_sub(begun.elapsed()),
            ..Limits::default()
        };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (headers, body) = (request.headers().clone(), request.body().clone());
        let sent = actions.http(&flow, right.policy(), request, login.as_ref(), &limits).await;
        let outcome = sent.as_ref().map(|answer| answer.status().as_u16()).map_err(Clone::clone);
        used.push(Used { place: Place::of(&method, &uri), outcome });
        let answer = sent?;
        *from = from.union(&right.labels_of(&origin(&uri)));
        if !redirect {
            return Ok(Sent { uri, answer });
        }
        let Some(next) = redirected(&method, &uri, &headers, &body, &answer)? else {
            return Ok(Sent { uri, answer });
        };
        if hop == MAX_REDIRECTS {
            break;
        }
        if !next.same_origin {
            login = None;
        }
        request = next.request;
    }
    let host = used.last().map(|used| used.place.target.clone()).unwrap_or_default();
    Err(EgressError::Protocol { host, problem: format!("more than {MAX_REDIRECTS} redirects") })
}

/// The origin of what a host answered, as labels name it.
fn origin(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    format!("http:{}", host.trim_end_matches('.').to_ascii_lowercase())
}
