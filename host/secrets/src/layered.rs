//! Several places for secrets behind one face.

use std::{fmt, sync::Arc};

use factotum_egress::{SecretString, Secrets};

/// Asks one place after the other; the first that has the secret answers. What an operator keeps in files on the
/// machine goes before what the API can change.
pub struct Layered(pub Vec<Arc<dyn Secrets>>);

impl Secrets for Layered {
    fn get(&self, name: &str) -> Option<SecretString> {
        self.0.iter().find_map(|place| place.get(name))
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layered({})", self.0.len())
    }
}
