//! `factotum run retry`, `cancel`, `suspend`, `resume`.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    args_run::{Cancel, Retry},
    client::{Client, segment},
    output,
};

pub async fn retry(retry: Retry, client: &Client, json: bool) -> Result<ExitCode> {
    let version = if retry.deployed { "deployed" } else { "recorded" };
    match &retry.id {
        Some(id) => one(id, version, &retry, client, json).await,
        None => many(version, &retry, client, json).await,
    }
}

async fn one(id: &str, version: &str, retry: &Retry, client: &Client, json: bool) -> Result<ExitCode> {
    let body = json!({ "from": retry.from, "version": version, "preview": retry.dry_run });
    let told = client.post(&format!("/api/v1/runs/{}/retry", segment(id)), &body).await?;
    if json {
        return output::json(&told).map(|()| ExitCode::SUCCESS);
    }
    let will = if retry.dry_run { "would go on" } else { "goes on" };
    let from = match told.get("from").and_then(Value::as_str) {
        Some(from) => format!(" from {from}"),
        None => String::new(),
    };
    output::line(&output::printable(&format!(
        "{id} {will}{from}; {} calls keep their outcome",
        output::text(&told, "/kept")
    )))?;
    let again = told.get("again").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = again
        .map(|call| {
            let known = call.get("known").and_then(Value::as_bool).unwrap_or_default();
            let key = if known { "was done: a new one" } else { "nobody knows: the same" };
            vec![output::text(call, "/key"), output::text(call, "/function"), key.to_owned()]
        })
        .collect();
    if !rows.is_empty() {
        output::table(&["again", "function", "idempotency key"], rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn many(version: &str, retry: &Retry, client: &Client, json: bool) -> Result<ExitCode> {
    let since = retry.since.and_then(|time| SystemTime::now().checked_sub(time));
    let since = since.map(|time| chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339());
    let body = |preview: bool| {
        json!({
            "flow": retry.flow, "state": retry.state, "since": since, "reason": retry.reason,
            "from": retry.from, "version": version, "cap": retry.cap, "preview": preview,
        })
    };
    if retry.dry_run || !retry.yes {
        let told = client.post("/api/v1/runs/retry", &body(true)).await?;
        if retry.dry_run && json {
            return output::json(&told).map(|()| ExitCode::SUCCESS);
        }
        let count = told.get("retried").and_then(Value::as_u64).unwrap_or_default();
        tell(&told)?;
        if retry.dry_run || count == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        if !super::plugin::confirmed(false, super::lang::language(None))? {
            return Ok(ExitCode::from(2));
        }
    }
    let done = client.post("/api/v1/runs/retry", &body(false)).await?;
    if json {
        return output::json(&done).map(|()| ExitCode::SUCCESS);
    }
    tell(&done)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(told: &Value) -> Result<()> {
    let preview = told.get("preview").and_then(Value::as_bool).unwrap_or_default();
    let number = |name: &str| told.get(name).and_then(Value::as_u64).unwrap_or_default();
    let more = if told.get("more").and_then(Value::as_bool).unwrap_or_default() { " or more" } else { "" };
    output::line(&format!(
        "{}{more} runs fit; {} {}, {} left because of the cap, {} cannot be",
        number("matched"),
        number("retried"),
        if preview { "would be retried" } else { "are retried" },
        number("left"),
        number("refusals"),
    ))?;
    for (function, count) in told.get("again").and_then(Value::as_object).into_iter().flatten() {
        output::line(&format!(
            "  {count} calls of {} that were done are made again",
            output::printable(function)
        ))?;
    }
    for (id, why) in told.get("refused").and_then(Value::as_object).into_iter().flatten() {
        output::note(&output::printable(&format!("{id}: {}", why.as_str().unwrap_or_default())));
    }
    Ok(())
}

pub async fn cancel(cancel: Cancel, client: &Client, json: bool) -> Result<ExitCode> {
    let body = json!({ "reason": cancel.reason, "abort": cancel.abort, "preview": cancel.dry_run });
    let path = format!("/api/v1/runs/{}/cancel", segment(&cancel.id));
    let told = client.post(&path, &body).await?;
    if json {
        return output::json(&told).map(|()| ExitCode::SUCCESS);
    }
    if cancel.dry_run {
        output::line(&format!("{} would be cancelled", cancel.id))?;
    } else {
        stands(&cancel.id, &told)?;
    }
    let taken = told.get("takes_back").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = taken
        .map(|one| ["/key", "/function", "/by", "/with"].map(|pointer| output::text(one, pointer)).to_vec())
        .collect();
    if rows.is_empty() {
        output::line("nothing is taken back")?;
    } else {
        output::table(&["takes back", "what was called", "by", "with"], rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn suspend(id: &str, reason: Option<String>, client: &Client, json: bool) -> Result<ExitCode> {
    let path = format!("/api/v1/runs/{}/suspend", segment(id));
    let told = client.post(&path, &json!({ "reason": reason })).await?;
    if json {
        return output::json(&told).map(|()| ExitCode::SUCCESS);
    }
    stands(id, &told)?;
    Ok(ExitCode::SUCCESS)
}

pub async fn resume(id: &str, client: &Client, json: bool) -> Result<ExitCode> {
    let told = client.post(&format!("/api/v1/runs/{}/resume", segment(id)), &Value::Null).await?;
    if json {
        return output::json(&told).map(|()| ExitCode::SUCCESS);
    }
    stands(id, &told)?;
    Ok(ExitCode::SUCCESS)
}

fn stands(id: &str, told: &Value) -> Result<()> {
    let pending = told.get("pending").and_then(Value::as_bool).unwrap_or_default();
    let later = if pending { "; a call is in flight, it stops after that" } else { "" };
    output::line(&format!("{id} is {}{later}", output::text(told, "/state")))
}
