//! Tokens from the outside: made, used, confined, ended, kept over a restart, and every refusal on record.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use factotum_access::{
    Access, AccessError, ExposeSecret, FAILURE_BURST, MAX_LIFE, NewToken, PERMISSIONS, Permission, Reach,
    RefusalKind, Role, Scope, Source, TOKEN_LENGTH, TokenRequest, TokenState,
};
use factotum_audit::{Actor, AuditLog, Filter};
use factotum_store::{Batch, Options, ScanRange, Store, Table};
use proptest::prelude::*;

const START: i64 = 1_795_222_800_000;
const HOUR: i64 = 3_600_000;

struct Desk {
    store: Store,
    audit: AuditLog,
    time: Arc<AtomicI64>,
    access: Access,
    _dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let (audit, linker) = AuditLog::open(&dir.path().join("audit")).unwrap();
        let store =
            Store::in_memory(Options { linker: Some(Box::new(linker)), ..Options::default() }).unwrap();
        let time = Arc::new(AtomicI64::new(START));
        let access = open(&store, &audit, &time);
        Desk { store, audit, time, access, _dir: dir }
    }

    fn reopen(&mut self) {
        self.access = open(&self.store, &self.audit, &self.time);
    }

    fn pass(&self, milliseconds: i64) {
        self.time.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn create(&self, name: &str, role: Role, scope: Scope) -> NewToken {
        let request = TokenRequest { name: name.into(), role, scope, life: None };
        self.access.create(&admin(), &request).unwrap()
    }

    fn refused(&self, token: &str) -> RefusalKind {
        self.access.authenticate(Some(token), from(1)).unwrap_err().kind
    }

    fn actions(&self) -> Vec<String> {
        let page = self.audit.list(&self.store, &Filter::default(), None, 100).unwrap();
        page.records
            .into_iter()
            .rev()
            .map(|r| format!("{} {} {}", r.entry.actor, r.entry.action, r.entry.target))
            .collect()
    }
}

fn open(store: &Store, audit: &AuditLog, time: &Arc<AtomicI64>) -> Access {
    let time = Arc::clone(time);
    let clock = Arc::new(move || time.load(Ordering::Relaxed));
    Access::open_with_clock(store.clone(), audit.clone(), clock).unwrap()
}

fn admin() -> Actor {
    Actor::Token("admin".into())
}

fn from(number: u32) -> Source {
    IpAddr::V4(Ipv4Addr::from_bits(number)).into()
}

#[test]
fn a_token_is_shown_once_and_only_its_digest_is_kept() {
    let desk = Desk::new();
    let made = desk.create("ci", Role::Deployer, Scope::Host);
    let text = made.token.expose_secret();
    assert_eq!(text.len(), TOKEN_LENGTH);
    assert!(!format!("{made:?} {:?} {:?}", desk.access, desk.access.list()).contains(&text[9..30]));
    let caller = desk.access.authenticate(Some(text), from(1)).unwrap();
    assert_eq!(
        (caller.name(), caller.role(), caller.actor()),
        ("ci", Role::Deployer, Actor::Token("ci".into()))
    );
    for table in [Table::Tokens, Table::Audit] {
        for (key, value) in desk.store.scan(table, &ScanRange::default()).unwrap() {
            let row = [key, value].concat();
            assert!(!row.windows(20).any(|part| part == &text.as_bytes()[20..40]), "{table:?}");
        }
    }
    assert_eq!(desk.actions(), ["token:admin token.create ci"]);
}

#[test]
fn what_is_not_a_live_token_is_refused() {
    let desk = Desk::new();
    desk.create("root", Role::Admin, Scope::Host);
    let kept = desk.create("kept", Role::Agent, Scope::Host);
    let text = kept.token.expose_secret();
    assert_eq!(desk.refused(""), RefusalKind::Missing);
    assert_eq!(desk.refused("x"), RefusalKind::Malformed);
    assert_eq!(desk.refused(&text[..80]), RefusalKind::Malformed);
    assert_eq!(desk.refused(&text.to_uppercase()), RefusalKind::Malformed);
    assert_eq!(desk.refused(&"a".repeat(1 << 20)), RefusalKind::Malformed);
    let elsewhere = Desk::new().create("kept", Role::Agent, Scope::Host);
    assert_eq!(desk.refused(elsewhere.token.expose_secret()), RefusalKind::Unknown);
    assert_eq!(desk.access.authenticate(None, from(1)).unwrap_err().status(), 401);
    let info = desk.access.revoke(&admin(), "kept").unwrap();
    assert_eq!(
        (info.state, info.revoked, info.revoked_by.as_deref()),
        (TokenState::Revoked, Some(START), Some("token:admin"))
    );
    assert_eq!(desk.refused(text), RefusalKind::Revoked);
    assert_eq!(desk.access.revoke(&admin(), "kept").unwrap(), info, "twice is once");
    assert_eq!(desk.actions().iter().filter(|a| a.contains("token.revoke")).count(), 1);
    assert!(matches!(desk.access.revoke(&admin(), "none"), Err(AccessError::NotFound { .. })));
}

#[test]
fn a_token_ends_by_itself() {
    let desk = Desk::new();
    let life = Some(Duration::from_secs(60));
    let request = TokenRequest { name: "brief".into(), role: Role::Agent, scope: Scope::Host, life };
    let made = desk.access.create(&admin(), &request).unwrap();
    let text = made.token.expose_secret();
    desk.pass(59_999);
    assert!(desk.access.authenticate(Some(text), from(1)).is_ok());
    desk.pass(1);
    let refusal = desk.access.authenticate(Some(text), from(1)).unwrap_err();
    assert_eq!(
        (refusal.kind.clone(), refusal.actor.clone()),
        (RefusalKind::Expired, Actor::Token("brief".into()))
    );
    assert_eq!(desk.access.list()[0].state, TokenState::Expired);
    for life in [Duration::ZERO, MAX_LIFE + Duration::from_secs(1)] {
        let request = TokenRequest { name: "x".into(), life: Some(life), ..request.clone() };
        assert!(matches!(desk.access.create(&admin(), &request), Err(AccessError::Life)));
    }
}

#[test]
fn tokens_outlive_a_restart_with_the_hour_of_their_last_use() {
    let mut desk = Desk::new();
    let made = desk.create("agent", Role::Agent, Scope::namespaces(["desk"]));
    let text = made.token.expose_secret().to_owned();
    assert_eq!(desk.access.list()[0].last_used, None);
    desk.pass(HOUR + 5000);
    desk.access.authenticate(Some(&text), from(1)).unwrap();
    let hour = (START + HOUR) / HOUR * HOUR;
    assert_eq!(desk.access.list()[0].last_used, Some(hour));
    assert_eq!(desk.access.flush().unwrap(), 1);
    assert_eq!(desk.access.flush().unwrap(), 0);
    let before = desk.access.list();
    desk.reopen();
    assert_eq!(desk.access.list(), before);
    desk.create("root", Role::Admin, Scope::Host);
    desk.access.revoke(&admin(), "agent").unwrap();
    assert_eq!(desk.access.list()[0].last_used, Some(hour));
    desk.reopen();
    assert_eq!(desk.refused(&text), RefusalKind::Revoked);
}

#[test]
fn a_record_that_cannot_be_read_opens_nothing() {
    let mut desk = Desk::new();
    let made = desk.create("agent", Role::Agent, Scope::Host);
    let row = desk.store.get(Table::Tokens, b"agent").unwrap().unwrap();
    let raised = String::from_utf8(row).unwrap().replace("\"agent\"", "\"god\"");
    desk.store.tamper(Table::Tokens, b"agent", Some(raised.into_bytes())).unwrap();
    desk.store.tamper(Table::Tokens, &[0xff, 0xfe], Some(b"{}".to_vec())).unwrap();
    desk.reopen();
    assert!(desk.access.list().is_empty());
    assert_eq!(desk.refused(made.token.expose_secret()), RefusalKind::Unknown);
    let request = TokenRequest { name: "agent".into(), role: Role::Agent, scope: Scope::Host, life: None };
    assert!(matches!(desk.access.create(&admin(), &request), Err(AccessError::Exists { .. })));
}

#[test]
fn names_are_not_used_twice_until_a_token_is_forgotten() {
    let desk = Desk::new();
    desk.create("root", Role::Admin, Scope::Host);
    let first = desk.create("ci", Role::Deployer, Scope::Host);
    let request = TokenRequest { name: "ci".into(), role: Role::Admin, scope: Scope::Host, life: None };
    assert!(matches!(desk.access.create(&admin(), &request), Err(AccessError::Exists { .. })));
    desk.access.revoke(&admin(), "ci").unwrap();
    assert!(matches!(desk.access.create(&admin(), &request), Err(AccessError::Exists { .. })));
    assert_eq!(desk.access.prune(&admin(), Duration::from_secs(60)).unwrap(), 0);
    desk.pass(60_000);
    assert_eq!(desk.access.prune(&admin(), Duration::from_secs(60)).unwrap(), 1);
    let second = desk.create("ci", Role::Agent, Scope::Host);
    assert_ne!(first.info.id, second.info.id);
    assert_eq!(desk.refused(first.token.expose_secret()), RefusalKind::Unknown);
    assert_eq!(desk.access.list().len(), 2);
}

#[test]
fn somebody_can_always_administer_the_host() {
    let mut desk = Desk::new();
    let mut file = None;
    let info = desk
        .access
        .bootstrap(None, |token| {
            file = Some(token.expose_secret().to_owned());
            Ok(())
        })
        .unwrap()
        .unwrap();
    let text = file.unwrap();
    assert_eq!((info.name.as_str(), info.role, &info.scope), ("admin", Role::Admin, &Scope::Host));
    desk.access.authenticate(Some(&text), from(1)).unwrap();
    let never = |_: &factotum_access::SecretString| panic!("a token can administer the host");
    assert_eq!(desk.access.bootstrap(None, never).unwrap(), None);
    assert!(matches!(desk.access.revoke(&admin(), "admin"), Err(AccessError::LastAdmin { .. })));
    // Neither a confined admin nor another role can take its place.
    desk.create("confined", Role::Admin, Scope::namespaces(["desk"]));
    desk.create("deployer", Role::Deployer, Scope::Host);
    assert!(matches!(desk.access.revoke(&admin(), "admin"), Err(AccessError::LastAdmin { .. })));
    let life = Some(Duration::from_secs(1));
    let brief = TokenRequest { name: "brief".into(), role: Role::Admin, scope: Scope::Host, life };
    desk.access.create(&admin(), &brief).unwrap();
    desk.access.revoke(&admin(), "admin").unwrap();
    desk.pass(1000);
    desk.reopen();
    // The file's token was revoked: it does not come back, another is made.
    let mut made = None;
    let info = desk
        .access
        .bootstrap(Some(&text), |token| {
            made = Some(token.expose_secret().to_owned());
            Ok(())
        })
        .unwrap()
        .unwrap();
    assert_eq!(info.name, "admin-2");
    assert_eq!(desk.refused(&text), RefusalKind::Revoked);
    desk.access.authenticate(made.as_deref(), from(1)).unwrap();
    assert_eq!(desk.actions().iter().filter(|a| a.starts_with("system token.bootstrap")).count(), 2);
}

#[test]
fn a_crash_between_file_and_store_leaves_a_token_that_works() {
    let (died, desk) = (Desk::new(), Desk::new());
    // What the file holds when the commit did not happen: a token that this store never knew.
    let orphan = died.create("x", Role::Admin, Scope::Host).token;
    let never = |_: &factotum_access::SecretString| panic!("the file's token is to be taken over");
    let text = format!("{}\n", orphan.expose_secret());
    desk.access.bootstrap(Some(&text), never).unwrap().unwrap();
    desk.access.authenticate(Some(&text), from(1)).unwrap();
    // A file that cannot be written: nothing is kept that nobody could ever use.
    let fresh = Desk::new();
    let full = |_: &factotum_access::SecretString| Err(std::io::Error::other("full"));
    assert!(matches!(fresh.access.bootstrap(Some("ft_old"), full), Err(AccessError::Write(_))));
    assert!(fresh.access.list().is_empty());
}

#[test]
fn a_confined_token_stays_in_its_namespaces() {
    let desk = Desk::new();
    let made = desk.create("desk", Role::Admin, Scope::namespaces(["desk", "shop"]));
    let caller = desk.access.authenticate(Some(made.token.expose_secret()), from(1)).unwrap();
    for row in PERMISSIONS {
        let allowed = |namespace| caller.allow(row.permission, namespace).is_ok();
        let want = match row.reach {
            Reach::Namespace => (true, false, false),
            Reach::Host => (false, false, false),
            Reach::Common => (true, true, true),
        };
        assert_eq!((allowed(Some("desk")), allowed(Some("erp")), allowed(None)), want, "{}", row.name);
        assert_eq!(caller.allow_list(row.permission).is_ok(), row.reach != Reach::Host, "{}", row.name);
    }
    assert!(caller.sees("shop") && !caller.sees("erp") && !caller.sees(""));
    let refusal = caller.allow(Permission::FlowRun, Some("erp")).unwrap_err();
    assert_eq!((refusal.status(), refusal.code()), (403, "outside-scope"));
    assert!(
        refusal.to_string().contains("\"erp\"")
            && refusal.challenge().unwrap().contains("insufficient_scope")
    );
}

#[test]
fn every_refusal_is_on_record_one_by_one_or_counted() {
    let desk = Desk::new();
    let mut batch = Batch::new();
    let mut answers = Vec::new();
    for _ in 0..100 {
        let refusal = desk.access.authenticate(Some("guess"), from(7)).unwrap_err();
        answers.push(refusal.status());
        assert_eq!(refusal.retry_after().is_some(), refusal.status() == 429);
        if let Some(entry) = refusal.entry(&desk.audit, "GET /api/v1/runs") {
            entry.add_to(&mut batch);
        }
    }
    let burst = usize::try_from(FAILURE_BURST).unwrap();
    assert!(answers[..burst].iter().all(|status| *status == 401) && answers[burst] == 429);
    for entry in desk.access.take_counted() {
        entry.add_to(&mut batch);
    }
    assert!(desk.access.take_counted().is_empty());
    desk.store.commit_blocking(batch).unwrap();
    let page = desk.audit.list(&desk.store, &Filter::default(), None, 100).unwrap();
    let (mut single, mut counted) = (0, 0);
    for record in &page.records {
        let entry = &record.entry;
        assert_eq!((entry.action.as_str(), entry.actor.as_str()), ("auth.refused", "anonymous"));
        assert_eq!(entry.detail["source"], "0.0.0.7");
        match entry.detail.get("count") {
            Some(count) => counted += count.parse::<usize>().unwrap(),
            None => {
                assert_eq!(entry.detail["reason"], "token-malformed");
                single += 1;
            }
        }
    }
    assert_eq!(single + counted, 100);
    assert!(page.records.len() <= burst + 2, "a stranger cannot fill the log");
}

#[test]
fn others_failures_lock_nobody_out_but_stop_guessing_at_what_people_chose() {
    let desk = Desk::new();
    let made = desk.create("agent", Role::Agent, Scope::Host);
    assert!(desk.access.permit(from(7)).is_ok());
    for _ in 0..50 {
        let _ = desk.access.authenticate(Some("guess"), from(7));
    }
    assert!(desk.access.authenticate(Some(made.token.expose_secret()), from(7)).is_ok());
    assert_eq!(desk.access.permit(from(7)).unwrap_err().status(), 429);
    assert!(desk.access.permit(from(8)).is_ok());
}

#[test]
fn a_role_without_the_permission_is_told_who_may() {
    let desk = Desk::new();
    let made = desk.create("agent", Role::Agent, Scope::Host);
    let caller = desk.access.authenticate(Some(made.token.expose_secret()), from(9)).unwrap();
    let refusal = caller.allow(Permission::SecretManage, None).unwrap_err();
    assert_eq!((refusal.status(), refusal.kind.clone()), (403, RefusalKind::Role(Role::Agent)));
    assert_eq!(
        (refusal.to_string().as_str(), refusal.hint().as_str()),
        ("the role agent may not: secret.manage", "roles that may: admin")
    );
    let entry = refusal.entry(&desk.audit, "PUT /api/v1/secrets/crm").unwrap();
    let entry = entry.entry();
    assert_eq!(
        (entry.actor.as_str(), entry.detail["permission"].as_str(), entry.detail["role"].as_str()),
        ("token:agent", "secret.manage", "agent")
    );
}

#[test]
fn tokens_are_kept_in_a_real_store() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| {
        let (audit, linker) = AuditLog::open(&path.join("audit")).unwrap();
        let options = Options { linker: Some(Box::new(linker)), ..Options::default() };
        let store = Store::open(&path.join("store"), options).unwrap();
        (Access::open(store.clone(), audit).unwrap(), store)
    };
    let (access, store) = open(dir.path());
    let request = TokenRequest { name: "ci".into(), role: Role::Deployer, scope: Scope::Host, life: None };
    let made = access.create(&admin(), &request).unwrap();
    store.close();
    drop((access, store));
    let (access, _store) = open(dir.path());
    assert_eq!(access.authenticate(Some(made.token.expose_secret()), from(1)).unwrap().name(), "ci");
}

fn any_role() -> impl Strategy<Value = Role> {
    proptest::sample::select(Role::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever token there is, it may no more than its role has and no more than its scope holds; and once it is
    /// revoked, nothing.
    #[test]
    fn nothing_is_allowed_beyond_role_and_scope(
        role in any_role(),
        names in proptest::option::of(proptest::collection::btree_set("[a-c]", 1..3)),
        wanted in proptest::option::of("[a-d]"),
        which in any::<prop::sample::Index>(),
    ) {
        let desk = Desk::new();
        desk.create("root", Role::Admin, Scope::Host);
        let scope = names.clone().map_or(Scope::Host, Scope::Namespaces);
        let made = desk.create("t", role, scope);
        let text = made.token.expose_secret();
        let row = which.get(PERMISSIONS);
        let caller = desk.access.authenticate(Some(text), from(1)).unwrap();
        if caller.allow(row.permission, wanted.as_deref()).is_ok() {
            prop_assert!(row.roles.contains(&role));
            if let (Some(names), false) = (&names, row.reach == Reach::Common) {
                prop_assert!(row.reach == Reach::Namespace);
                prop_assert!(wanted.is_some_and(|wanted| names.contains(&wanted)));
            }
        } else if names.is_none() {
            prop_assert!(!row.roles.contains(&role), "a token for the host has all its role has");
        }
        desk.access.revoke(&admin(), "t").unwrap();
        prop_assert_eq!(desk.refused(text), RefusalKind::Revoked);
    }

    /// Whatever text is shown, only the very token opens.
    #[test]
    fn only_the_token_opens(at in 0..TOKEN_LENGTH, with in "[0-9a-z]", text in "\\PC{0,100}") {
        let desk = Desk::new();
        let made = desk.create("t", Role::Agent, Scope::Host);
        let token = made.token.expose_secret();
        let mut other = token.to_owned();
        other.replace_range(at..=at, &with);
        prop_assert_eq!(desk.access.authenticate(Some(&other), from(1)).is_ok(), other == token);
        prop_assert!(desk.access.authenticate(Some(&text), from(1)).is_err());
    }
}
