//! Who calls, and whether that one may.

use std::sync::Arc;

use factotum_audit::Actor;

use crate::{Permission, Reach, Refusal, RefusalKind, Role, Scope, Source, record::Live};

/// Somebody whose token was good. It stands for one request: a token revoked meanwhile is refused at the next.
#[derive(Debug, Clone)]
pub struct Caller {
    live: Arc<Live>,
    source: Source,
}

impl Caller {
    pub(crate) fn new(live: Arc<Live>, source: Source) -> Caller {
        Caller { live, source }
    }

    /// The token's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.live.name
    }

    /// The token's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.live.record.role
    }

    /// Where the role holds.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.live.record.scope
    }

    /// Where the request comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// As the audit log names it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Token(self.live.name.clone())
    }

    /// Whether a thing in this namespace may be shown, for lists over several: leave out what may not.
    #[must_use]
    pub fn sees(&self, namespace: &str) -> bool {
        self.scope().holds(namespace)
    }

    /// Whether the caller may do this. `namespace` is that of the flow, run or inbox item; `None` when it concerns
    /// no single one: then a confined token is refused everything but what is common to all ([`Reach::Common`]).
    ///
    /// # Errors
    /// The refusal, for the answer and for the audit log.
    pub fn allow(&self, permission: Permission, namespace: Option<&str>) -> Result<(), Refusal> {
        if !self.role().has(permission) {
            return Err(self.refused(RefusalKind::Role(self.role()), permission, namespace));
        }
        let within = match (permission.row().reach, self.scope(), namespace) {
            (_, Scope::Host, _) | (Reach::Common, _, _) => true,
            (Reach::Namespace, scope, Some(namespace)) => scope.holds(namespace),
            (Reach::Namespace, Scope::Namespaces(_), None) | (Reach::Host, Scope::Namespaces(_), _) => false,
        };
        if within { Ok(()) } else { Err(self.refused(RefusalKind::Scope, permission, namespace)) }
    }

    /// Like [`Caller::allow`] for a list over several namespaces: the role must have it, and the caller then leaves
    /// out what [`Caller::sees`] does not show.
    ///
    /// # Errors
    /// Like [`Caller::allow`].
    pub fn allow_list(&self, permission: Permission) -> Result<(), Refusal> {
        match permission.row().reach {
            Reach::Namespace if self.role().has(permission) => Ok(()),
            _ => self.allow(permission, None),
        }
    }

    fn refused(&self, kind: RefusalKind, permission: Permission, namespace: Option<&str>) -> Refusal {
        Refusal::new(kind, self.actor(), Some(self.source)).wanted(permission, namespace)
    }
}
