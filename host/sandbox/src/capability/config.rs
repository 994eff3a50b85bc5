//! `wasi:config/store`: the configuration that the administrator gave this plugin, and no other's.

use factotum_grant::Capability;

use super::bindings::wasi::config::store::{Error, Host};
use crate::state::State;

impl State {
    fn check_config(&self, key: &str) -> Result<(), Error> {
        self.right().effective.check_capability(Capability::Config).map_err(|denial| {
            self.deny("get", key, &denial);
            Error::Upstream(format!("denied: {}", denial.message))
        })
    }
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(self.check_config(&key).map(|()| self.identity().config.get(&key).cloned()))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        let all = || self.identity().config.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(self.check_config("*").map(|()| all()))
    }
}
