//! The command line. `serve` and `demo` run a host; everything else is a client of one.

mod args;
mod args_flow;
mod args_run;
mod audit;
mod audit_words;
mod calendar;
mod client;
mod demo;
mod diagram;
mod duration;
mod erase;
mod event;
mod flow;
mod flow_check;
mod flow_test;
mod inbox;
mod lang;
mod learn;
mod mailbox;
mod notice;
pub mod output;
mod plugin;
mod repair;
mod replay;
mod run;
mod secret;
mod sla;
mod token;
mod trust;

use std::process::ExitCode;

use anyhow::Result;

pub use args::Args;
use args::Command;
use client::{ApiError, Client};

use crate::serve;

/// Runs one command and says how it ended: 0 done, 1 failed, 2 refused (wrong usage is clap's 2 as well).
pub async fn run(args: Args) -> ExitCode {
    start_log(&args);
    match dispatch(args).await {
        Ok(code) => code,
        Err(error) => {
            output::error(&describe(&error));
            ExitCode::from(if error.downcast_ref::<ApiError>().is_some_and(ApiError::is_refusal) {
                2
            } else {
                1
            })
        }
    }
}

async fn dispatch(args: Args) -> Result<ExitCode> {
    let global = args.global;
    let language = lang::language(global.lang);
    match args.command {
        Command::Serve(serve) => {
            let (data, config, listen) = (global.data, serve.config, serve.listen);
            let new_admin_token = serve.new_admin_token;
            serve::serve(serve::Options { data, config, listen, new_admin_token }).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(demo) => demo::demo(demo, global.json).await,
        Command::Openapi => {
            output::json(&serde_json::to_value(crate::http::openapi())?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Plugin(command) => plugin::run(command, &Client::new(&global)?, global.json, language).await,
        Command::Flow(args::Flow::Test { paths, only, junit }) => {
            tokio::task::spawn_blocking(move || {
                flow_test::test(&paths, only.as_deref(), junit.as_deref(), global.json)
            })
            .await?
        }
        Command::Flow(args::Flow::Check { files, plugins }) if !plugins.is_empty() => {
            flow_check::check(&files, &plugins, global.json).await
        }
        Command::Flow(args::Flow::Diagram { flow, run, format, output }) => {
            diagram::draw(flow.as_deref(), run.as_deref(), &format, output.as_deref(), &global).await
        }
        Command::Flow(command) => flow::run(command, &Client::new(&global)?, global.json, language).await,
        Command::Run(command) => run::run(command, &Client::new(&global)?, global.json, language).await,
        Command::Event(command) => event::run(command, &Client::new(&global)?, global.json).await,
        Command::Inbox(command) => inbox::run(command, &Client::new(&global)?, global.json, language).await,
        Command::Mailbox(command) => {
            mailbox::run(command, &Client::new(&global)?, global.json, language).await
        }
        Command::Notice(command) => notice::run(command, &Client::new(&global)?, global.json, language).await,
        Command::Calendar(command) => calendar::run(command, &Client::new(&global)?, global.json).await,
        Command::Secret(command) => secret::run(command, &Client::new(&global)?, global.json).await,
        Command::Token(command) => token::run(command, &Client::new(&global)?, global.json).await,
        Command::Erase(command) => erase::run(command, &Client::new(&global)?, global.json, language).await,
        Command::Audit(command) => audit::run(command, &Client::new(&global)?, global.json, language).await,
    }
}

/// An error with its causes, outermost first, each once.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

/// Logs go to standard error: readable for people, JSON lines for machines (`--log-format json`).
fn start_log(args: &Args) {
    use tracing_subscriber::{EnvFilter, fmt};
    let default = if matches!(args.command, Command::Serve(_)) { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("FACTOTUM_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber (in tests) is no error.
    let _ = match args.global.log_format {
        args::LogFormat::Text => builder.with_target(false).try_init(),
        args::LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
