//! The repository's commands. `cargo xtask demo` and `cargo xtask test` are all that a fresh machine needs.

mod dist;
mod fuzz;
mod report;
mod run;
mod servers;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};
use dist::Build;
use run::{note, root};

const USAGE: &str = "\
cargo xtask demo [ARGS]    build everything and run the main job on the sample messages (ARGS go to `factotum demo`)
cargo xtask test [ARGS]    build everything, start the test servers, run all tests (ARGS go to `cargo test`)
cargo xtask dist           leave everything in target/dist, built the way it ships
cargo xtask bench          run the benches and print their figures
cargo xtask compare [ARGS] measure beside Restate, Node-RED and n8n, installed from npm (ARGS: restate node-red n8n)
cargo xtask million [N]    finish N runs (1000000) and print what lists, memory and disk then cost
cargo xtask storm [N]      kill -9 the host N times (200) under load, and see that nothing is lost or done twice
cargo xtask fuzz [ARGS]    fuzz what strangers hand in, 20 seconds for each target (ARGS: --seconds N, names of targets)
cargo xtask train          train the classifier's model from the data in the repository
cargo xtask eval           print the classifier's accuracy and macro-F1 on the held-out messages
cargo xtask servers CMD    start | stop | env of the real servers that the tests use";

fn main() -> ExitCode {
    if let Some(compiled) = fuzz::compiler() {
        return match compiled {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                note(&format!("error: {error:#}"));
                ExitCode::FAILURE
            }
        };
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let (command, rest) =
        args.split_first().map_or(("", &[][..]), |(command, rest)| (command.as_str(), rest));
    match command {
        "demo" => {
            dist::dist(Build::Quick)?;
            run::command(dist::folder()?.join("factotum")).arg("demo").args(rest).run()
        }
        "dist" => {
            dist::dist(Build::Shipping)?;
            note(&format!("everything is in {}", dist::folder()?.display()));
            Ok(())
        }
        "test" => test::test(rest),
        "bench" => {
            dist::dist(Build::Shipping)?;
            test::build_guests()?;
            test::bench(rest)
        }
        "compare" => {
            dist::dist(Build::Shipping)?;
            test::build_guests()?;
            test::compare(rest)
        }
        "million" => {
            dist::dist(Build::Shipping)?;
            test::million(rest)
        }
        "storm" => {
            dist::dist(Build::Quick)?;
            test::storm(rest.first().map_or("200", String::as_str))
        }
        "fuzz" => fuzz::fuzz(rest),
        "train" => classifier("classifier-train", rest),
        "eval" => classifier("classifier-eval", rest),
        "servers" => servers::all(rest.first().map_or("start", String::as_str)),
        _ => {
            note(USAGE);
            if command.is_empty() || command == "help" {
                Ok(())
            } else {
                bail!("there is no command {command:?}")
            }
        }
    }
}

fn classifier(binary: &str, rest: &[String]) -> Result<()> {
    run::cargo()
        .args(["run", "--quiet"])
        .args(["--release", "-p", "plugin-classifier", "--features", "train", "--bin", binary, "--"])
        .args(rest)
        .current_dir(root()?)
        .run()
}
