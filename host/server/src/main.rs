//! The binary `factotum`: the host, and the command line that talks to one.

mod cli;
mod config;
mod http;
mod serve;
mod tls;
mod upkeep;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Err(error) = factotum_secrets::forbid_core_dumps() {
        cli::output::note(&format!("warning: a crash may leave secrets in a core file: {error}"));
    }
    // One provider of cryptography for everything that speaks TLS; a second install is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = cli::Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::output::error(&format!("the asynchronous runtime cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(args));
    // Work that ignores the stop (a compiler at it) must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    code
}
