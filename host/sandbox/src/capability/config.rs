//! `wasi:config/store`: the configuration that the administrator gave this plugin, and no other's.

use super::bindings::wasi::config::store::{Error, Host};
use crate::state::State;

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(Ok(self.identity.config.get(&key).cloned()))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        Ok(Ok(self.identity.config.iter().map(|(k, v)| (k.clone(), v.clone())).collect()))
    }
}
