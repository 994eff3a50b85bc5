//! What the demo shows at its end, every figure taken from the server.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::load::Outcome;
use crate::cli::{client::Client, output};

/// The figures of a demo.
pub struct Summary {
    messages: usize,
    answered: usize,
    failures: Vec<(String, String)>,
    categories: BTreeMap<String, usize>,
    languages: BTreeMap<String, usize>,
    contacts: usize,
    mails_sent: usize,
    mails_denied: usize,
    faulted: usize,
    p50_ms: f64,
    p99_ms: f64,
    flows_per_second: f64,
    report: Vec<PathBuf>,
    outbox: Option<PathBuf>,
    data: PathBuf,
    audit: Value,
}

impl Summary {
    /// Asks the server for what the clients cannot know.
    pub async fn gather(
        client: &Client,
        outcome: &Outcome,
        report: Vec<PathBuf>,
        data: &Path,
    ) -> Result<Self> {
        let count = |member: &str| {
            let mut counts = BTreeMap::new();
            for answer in &outcome.answers {
                *counts.entry(output::text(answer, &format!("/{member}"))).or_insert(0_usize) += 1;
            }
            counts
        };
        let mut contacts: Vec<String> =
            outcome.answers.iter().map(|a| output::text(a, "/contact_id")).collect();
        contacts.sort();
        contacts.dedup();
        let outbox = Some(data.join("outbox")).filter(|path| path.is_dir());
        Ok(Self {
            messages: outcome.latencies.len(),
            answered: outcome.answers.len(),
            failures: outcome.failures.clone(),
            categories: count("category"),
            languages: count("language"),
            contacts: contacts.len(),
            mails_sent: audited(client, "capability.mail.send", Some("ok")).await?,
            mails_denied: audited(client, "capability.mail.send", Some("denied")).await?,
            faulted: faulted(client).await?,
            p50_ms: outcome.percentile(0.5).as_secs_f64() * 1000.0,
            p99_ms: outcome.percentile(0.99).as_secs_f64() * 1000.0,
            flows_per_second: outcome.per_second(),
            report,
            outbox,
            data: data.to_owned(),
            audit: client.get("/api/v1/audit/verify").await?,
        })
    }

    /// Whether every message became a case and the audit log holds.
    pub fn is_good(&self) -> bool {
        self.answered == self.messages && self.failures.is_empty() && self.audit_holds()
    }

    fn audit_holds(&self) -> bool {
        self.audit.get("findings").and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    /// The figures as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "messages": self.messages, "answered": self.answered,
            "failures": self.failures.iter().map(|(id, why)| json!({ "message": id, "reason": why })).collect::<Vec<_>>(),
            "categories": self.categories, "languages": self.languages, "contacts": self.contacts,
            "mails_sent": self.mails_sent, "mails_denied": self.mails_denied, "runs_faulted": self.faulted,
            "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "flows_per_second": self.flows_per_second,
            "report": self.report, "outbox": self.outbox, "data": self.data, "audit": self.audit,
        })
    }

    /// The figures as a table.
    pub fn print(&self) -> Result<()> {
        let list = |counts: &BTreeMap<String, usize>| {
            let mut sorted: Vec<_> = counts.iter().collect();
            sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            sorted.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
        };
        let mut rows = vec![
            ("messages", format!("{} posted, {} became cases", self.messages, self.answered)),
            ("categories", list(&self.categories)),
            ("languages", list(&self.languages)),
            ("contacts", self.contacts.to_string()),
            ("mails", format!("{} sent, {} denied by the grant", self.mails_sent, self.mails_denied)),
            ("failures", format!("{} messages, {} runs faulted", self.failures.len(), self.faulted)),
            ("latency", format!("p50 {:.1} ms, p99 {:.1} ms", self.p50_ms, self.p99_ms)),
            ("throughput", format!("{:.0} flows/s", self.flows_per_second)),
        ];
        for path in &self.report {
            rows.push(("report", path.display().to_string()));
        }
        if let Some(outbox) = &self.outbox {
            rows.push(("outbox", outbox.display().to_string()));
        }
        let entries = output::text(&self.audit, "/entries");
        rows.push((
            "audit",
            if self.audit_holds() {
                format!("the chain of {entries} entries holds")
            } else {
                format!("does NOT hold: {}", self.audit)
            },
        ));
        let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        output::table(&["factotum demo", ""], rows)?;
        for (id, why) in self.failures.iter().take(10) {
            output::note(&format!("  {id}: {}", output::printable(why)));
        }
        let data = self.data.display();
        output::note(&format!(
            "\nLook around: factotum serve --data {data}, then with --data {data}: factotum run list, factotum audit list, factotum plugin show crm"
        ));
        Ok(())
    }
}

/// How many entries of the audit log have this action and outcome.
async fn audited(client: &Client, action: &str, outcome: Option<&str>) -> Result<usize> {
    let mut count = 0_usize;
    let mut cursor = None;
    loop {
        let query = [
            ("action", Some(action.to_owned())),
            ("outcome", outcome.map(str::to_owned)),
            ("limit", Some("1000".to_owned())),
            ("cursor", cursor),
        ];
        let page = client.query("/api/v1/audit", &query).await?;
        count = count.saturating_add(page.get("records").and_then(Value::as_array).map_or(0, Vec::len));
        cursor = page.get("cursor").and_then(Value::as_u64).map(|c| c.to_string());
        if cursor.is_none() {
            return Ok(count);
        }
    }
}

async fn faulted(client: &Client) -> Result<usize> {
    let page = client
        .query("/api/v1/runs", &[("state", Some("faulted".into())), ("limit", Some("1000".into()))])
        .await?;
    Ok(page.get("runs").and_then(Value::as_array).map_or(0, Vec::len))
}
