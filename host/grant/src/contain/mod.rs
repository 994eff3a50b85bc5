//! Whether one set of grants contains another, and what it lacks. One answer for install, call and upgrade.
//!
//! The answer is safe rather than complete: yes means that nothing the narrower allows is refused by the wider; a no may,
//! in odd cases, only mean that no single rule of the wider covers a rule of the narrower.

mod http;
mod rate;

pub(crate) use http::missing_rules;

use factotum_provenance::Source;

use crate::{
    Access, AddressPattern, Capability, Grants, KeyValueScope, Language, MailGrant,
    data::lacking,
    sentence::{Words, bytes, duration, number},
    text::quoted,
};

/// One thing that the narrower grants allow and the wider do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The capability it belongs to; `None` for what a call may use of the machine.
    pub capability: Option<Capability>,
    /// The smallest grant that closes it, as TOML to add. Of a bound that stands in the wider grants already, the new
    /// value.
    pub mend: String,
    words: Words,
}

impl Difference {
    fn new(capability: Option<Capability>, mend: impl Into<String>, words: Words) -> Self {
        Self { capability, mend: mend.into(), words }
    }

    /// The difference for people, as in "may also send POST requests to https://api.example.com/invoices".
    #[must_use]
    pub fn words(&self, language: Language) -> &str {
        self.words.get(language)
    }

    /// The same for what is taken away: "may no longer send POST requests to …".
    #[must_use]
    pub fn words_when_taken(&self, language: Language) -> String {
        let (words, starts, taken) = match language {
            Language::English => (self.words(language), ["may also ", "may "], "may no longer "),
            Language::Chinese => (self.words(language), ["还可以", "可以"], "不再可以"),
        };
        let rest = starts.iter().find_map(|start| words.strip_prefix(start)).unwrap_or(words);
        format!("{taken}{rest}")
    }
}

/// Whether `wider` allows all that `narrower` allows. With it, each bound counts as a promise: of rates and of concurrency
/// it says that what the narrower lets through in a minute can be parted among the wider's rules so that none is passed.
///
/// - install: does the grant contain what the manifest needs?
/// - upgrade: do the old version's needs contain the new one's? If not, hold it and show the differences.
/// - deploy: does the grant contain what a flow names?
///
/// # Errors
/// Every difference, in the order in which people read capabilities.
pub fn contains(wider: &Grants, narrower: &Grants) -> Result<(), Vec<Difference>> {
    // Every field by name: whoever adds a capability decides here.
    let Grants {
        run_context,
        config,
        key_value: _,
        key_value_scope: _,
        artifacts,
        mail,
        http: _,
        data,
        limits,
    } = narrower;
    let mut found = Vec::new();
    if *run_context && !wider.run_context {
        found.push(whole(
            Capability::RunContext,
            Words::new("may also see which run and task it works for", "还可以查看它所服务的运行和任务"),
        ));
    }
    if *config && !wider.config {
        found.push(whole(Capability::Config, Words::new("may also read its settings", "还可以读取它的设置")));
    }
    key_value(wider, narrower, &mut found);
    if let Some(narrow) = artifacts {
        let wide = wider.artifacts.as_ref();
        if wide.is_none_or(|wide| {
            wide.max_bytes < narrow.max_bytes || !rate_fits(wide.per_hour, narrow.per_hour)
        }) {
            let (en, zh) = bytes(narrow.max_bytes);
            let (rate_en, rate_zh) = per_hour(narrow.per_hour);
            let mut mend = format!("[artifacts]\nmax-bytes = {}", narrow.max_bytes);
            if let Some(per_hour) = narrow.per_hour {
                mend.push_str(&format!("\nper-hour = {per_hour}"));
            }
            found.push(Difference::new(
                Some(Capability::Artifacts),
                mend,
                Words::new(
                    format!("may also store files of up to {en} each, {rate_en}"),
                    format!("还可以保存每个不超过 {zh} 的文件，{rate_zh}"),
                ),
            ));
        }
    }
    if let Some(narrow) = mail {
        mails(wider.mail.as_ref(), narrow, &mut found);
    }
    http::compare(&wider.http, &narrower.http, &mut found);
    if let Some(words) = given(&wider.data.not_from, &data.not_from) {
        let words = words.map(|en, zh| (format!("may also be given {en}"), format!("还可以获得{zh}")));
        found.push(Difference::new(None, "[data]\n# without some of not-from", words));
    }
    let wide = &wider.limits;
    let mut limit = |key: &str, wide: u64, narrow: u64, words: Words| {
        if narrow > wide {
            found.push(Difference::new(None, format!("[limits]\n{key} = {narrow}"), words));
        }
    };
    let ((mem_en, mem_zh), (time_en, time_zh)) = (bytes(limits.memory_bytes), duration(limits.time_ms));
    let calls = number(u64::from(limits.concurrency));
    limit(
        "memory-bytes",
        wide.memory_bytes,
        limits.memory_bytes,
        Words::new(format!("may use up to {mem_en} of memory"), format!("可以使用最多 {mem_zh} 内存")),
    );
    limit(
        "time-ms",
        wide.time_ms,
        limits.time_ms,
        Words::new(format!("may take up to {time_en} for one call"), format!("每次调用最长可以用 {time_zh}")),
    );
    limit(
        "concurrency",
        u64::from(wide.concurrency),
        u64::from(limits.concurrency),
        Words::new(
            format!("may run up to {calls} calls at one time"),
            format!("可以同时运行最多 {calls} 次调用"),
        ),
    );
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// The data that `wide` keeps away and `narrow` does not.
fn given(wide: &[Source], narrow: &[Source]) -> Option<Words> {
    lacking(wide, narrow).next()?;
    Some(crate::sentence::sources(lacking(wide, narrow)))
}

/// A capability without bounds of its own, that is lacking.
fn whole(capability: Capability, words: Words) -> Difference {
    Difference::new(Some(capability), capability.smallest_grant(), words)
}

/// Whether a bound holds another; an absent one is endless.
pub(crate) fn rate_fits(wide: Option<u32>, narrow: Option<u32>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow <= wide,
    }
}

fn per_hour(bound: Option<u32>) -> (String, String) {
    match bound {
        Some(count) => (
            format!("{} an hour at most", number(count.into())),
            format!("每小时最多 {} 个", number(count.into())),
        ),
        None => ("as many as it likes".into(), "数量不限".into()),
    }
}

fn key_value(wider: &Grants, narrower: &Grants, found: &mut Vec<Difference>) {
    let Some(narrow) = &narrower.key_value else { return };
    let scope = &narrower.key_value_scope;
    let none = KeyValueScope { access: Access::Read, shared: Vec::new() };
    let (wide, wide_scope) = match &wider.key_value {
        Some(wide) => (Some(wide), &wider.key_value_scope),
        None => (None, &none),
    };
    let mut add =
        |mend: String, words: Words| found.push(Difference::new(Some(Capability::KeyValue), mend, words));
    let writes = scope.access == Access::ReadWrite;
    let own_fits = wide.is_some_and(|wide| {
        scope.access <= wide_scope.access
            && (!writes || (narrow.quota_bytes <= wide.quota_bytes && narrow.quota_keys <= wide.quota_keys))
    });
    if !own_fits {
        if writes {
            let ((en, zh), keys) = (bytes(narrow.quota_bytes), number(narrow.quota_keys));
            add(
                format!(
                    "[key-value]\nquota-bytes = {}\nquota-keys = {}",
                    narrow.quota_bytes, narrow.quota_keys
                ),
                Words::new(
                    format!("may keep up to {en} in up to {keys} entries of its own"),
                    format!("可以在自己的存储中保存最多 {keys} 条、{zh} 的数据"),
                ),
            );
        } else {
            add(
                "[key-value]\naccess = \"read\"".into(),
                Words::new("may also read what is stored under its name", "还可以读取以它的名义保存的数据"),
            );
        }
    }
    for shared in &scope.shared {
        if wide_scope
            .shared
            .iter()
            .any(|wide| wide.namespace == shared.namespace && shared.access <= wide.access)
        {
            continue;
        }
        let (en, zh) = match shared.access {
            Access::Read => ("read", "读取"),
            Access::ReadWrite => ("read and change", "读取和修改"),
        };
        let name = &shared.namespace;
        add(
            format!(
                "[key-value]\naccess = \"read\"\nshared = [{{ namespace = {}, access = \"{}\" }}]",
                quoted(name),
                shared.access.name()
            ),
            Words::new(
                format!("may also {en} the data of the plugin “{name}”"),
                format!("还可以{zh}插件“{name}”的数据"),
            ),
        );
    }
}

fn mails(wide: Option<&MailGrant>, narrow: &MailGrant, found: &mut Vec<Difference>) {
    let empty = MailGrant::default();
    let lacking = |wide: &[AddressPattern], narrow: &[AddressPattern]| -> Vec<AddressPattern> {
        narrow.iter().filter(|narrow| !wide.iter().any(|wide| wide.contains(narrow))).cloned().collect()
    };
    let known = wide.unwrap_or(&empty);
    let senders = lacking(&known.senders, &narrow.senders);
    let recipients = lacking(&known.recipients, &narrow.recipients);
    let wider_bounds = !rate_fits(known.per_hour, narrow.per_hour)
        || match (known.max_bytes, narrow.max_bytes) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(wide), Some(narrow)) => narrow > wide,
        };
    let mut bounds = String::new();
    if let Some(per_hour) = narrow.per_hour {
        bounds.push_str(&format!("\nper-hour = {per_hour}"));
    }
    if let Some(max_bytes) = narrow.max_bytes {
        bounds.push_str(&format!("\nmax-bytes = {max_bytes}"));
    }
    let mut add =
        |mend: String, words: Words| found.push(Difference::new(Some(Capability::Mail), mend, words));
    let list = |patterns: &[AddressPattern]| {
        let quoted: Vec<String> = patterns.iter().map(|pattern| quoted(&pattern.to_string())).collect();
        format!("[{}]", quoted.join(", "))
    };
    if wide.is_none() && recipients.is_empty() && senders.is_empty() {
        add(
            format!("[mail]{bounds}"),
            Words::new(
                "may also hand mail to the host, to nobody yet",
                "还可以请主机发送邮件，但尚无可用的收件人",
            ),
        );
    }
    if !recipients.is_empty() {
        let words = crate::sentence::addresses(&recipients);
        add(
            format!("[mail]\nrecipients = {}{bounds}", list(&recipients)),
            Words::new(
                format!("may also send mail to {}", words.get(Language::English)),
                format!("还可以发送邮件给 {}", words.get(Language::Chinese)),
            ),
        );
    }
    if !senders.is_empty() {
        let words = crate::sentence::addresses(&senders);
        add(
            format!("[mail]\nsenders = {}{bounds}", list(&senders)),
            Words::new(
                format!("may also send mail in the name of {}", words.get(Language::English)),
                format!("还可以以 {} 的名义发送邮件", words.get(Language::Chinese)),
            ),
        );
    }
    if let Some(words) = given(&known.not_from, &narrow.not_from) {
        let words = words
            .map(|en, zh| (format!("may also send mail with {en}"), format!("还可以发送带有{zh}的邮件")));
        add("[mail]\n# without some of not-from".into(), words);
    }
    if wider_bounds {
        let (en, zh) = per_hour(narrow.per_hour);
        let (size_en, size_zh) = narrow.max_bytes.map_or_else(
            || ("any size".to_owned(), "大小不限".to_owned()),
            |max| {
                let (en, zh) = bytes(max);
                (format!("up to {en} each"), format!("每封不超过 {zh}"))
            },
        );
        add(
            format!(
                "[mail]{}",
                if bounds.is_empty() { "\n# without per-hour and max-bytes" } else { &bounds }
            ),
            Words::new(
                format!("may send more mail: {en}, {size_en}"),
                format!("可以发送更多邮件：{zh}，{size_zh}"),
            ),
        );
    }
}
