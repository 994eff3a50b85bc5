//! The cache of compiled plugins holds native code, so a file counts only when this host wrote it for this component.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use common::spec;
use factotum_grant::Grants;
use factotum_sandbox::{Component, Sandbox, SandboxConfig, testing::Memory};
use serde_json::json;
use tempfile::TempDir;

fn sandbox(dir: &Path, key: u8) -> Sandbox {
    sandbox_holding(dir, key, 1 << 30)
}

fn sandbox_holding(dir: &Path, key: u8, cache_bytes: u64) -> Sandbox {
    Sandbox::new(SandboxConfig {
        cache_dir: Some(dir.join("cache")),
        cache_key: [key; 32],
        cache_bytes,
        max_calls: 8,
        ..SandboxConfig::default()
    })
    .unwrap()
}

/// A component that answers with `n`.
fn answering(n: u32) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            (core module $m (func (export "run") (result i32) (i32.const {n})))
            (core instance $m (instantiate $m))
            (func (export "run") (result u32) (canon lift (core func $m "run"))))"#
    ))
    .unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        fs::read_dir(dir.join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

async fn answer(sandbox: &Sandbox, component: &Component) -> u64 {
    let (backends, _) = Memory::backends();
    let plugin = sandbox.link(component, spec("p", Grants::default()), &backends).unwrap();
    common::ok(&plugin, "run", json!({})).await.as_u64().unwrap()
}

/// Loads `wasm` over `dir` and says whether the file that was there is still there as it was, also in its time: a
/// component that is compiled again is written anew.
async fn came_from_cache(dir: &TempDir, key: u8, wasm: &[u8], expected: u64) -> bool {
    let [file] = &files(dir.path())[..] else { panic!("one file, not {:?}", files(dir.path())) };
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    let before = fs::read(file).unwrap();
    let sandbox = sandbox(dir.path(), key);
    let component = sandbox.load(wasm).unwrap();
    assert_eq!(answer(&sandbox, &component).await, expected);
    fs::metadata(file).unwrap().modified().unwrap() == long_ago && fs::read(file).unwrap() == before
}

fn filled(wasm: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    sandbox(dir.path(), 1).load(wasm).unwrap();
    dir
}

#[tokio::test]
async fn a_second_start_takes_the_compiled_component_from_the_folder() {
    let dir = filled(&answering(7));
    assert!(came_from_cache(&dir, 1, &answering(7), 7).await);
}

#[tokio::test]
async fn a_file_with_any_byte_changed_is_refused_and_compiled_again() {
    let wasm = answering(7);
    let dir = filled(&wasm);
    let file = files(dir.path()).remove(0);
    let sound = fs::read(&file).unwrap();
    for at in [0, 31, 32, 33, 100, sound.len() / 2, sound.len() - 1] {
        let mut altered = sound.clone();
        altered[at] ^= 1;
        fs::write(&file, altered).unwrap();
        assert!(!came_from_cache(&dir, 1, &wasm, 7).await, "byte {at}");
        assert!(came_from_cache(&dir, 1, &wasm, 7).await, "byte {at}: it is sound again");
    }
    for cut in [0, 10, 32, sound.len() - 1] {
        fs::write(&file, &sound[..cut]).unwrap();
        assert!(!came_from_cache(&dir, 1, &wasm, 7).await, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_sound_file_of_another_component_does_not_count_under_this_name() {
    let (seven, eight) = (answering(7), answering(8));
    let (dir, other) = (filled(&seven), filled(&eight));
    fs::copy(&files(other.path())[0], &files(dir.path())[0]).unwrap();
    assert!(!came_from_cache(&dir, 1, &seven, 7).await);
}

#[tokio::test]
async fn a_file_sealed_with_another_key_is_refused() {
    let dir = filled(&answering(7));
    assert!(!came_from_cache(&dir, 2, &answering(7), 7).await);
}

#[test]
fn folder_and_files_are_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    // A folder that was there before, open to all.
    fs::create_dir(dir.path().join("cache")).unwrap();
    fs::set_permissions(dir.path().join("cache"), fs::Permissions::from_mode(0o777)).unwrap();
    sandbox(dir.path(), 1).load(&answering(7)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("cache")), 0o700);
    for file in files(dir.path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn nothing_half_written_is_left() {
    let dir = filled(&answering(7));
    let names: Vec<_> =
        files(dir.path()).iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 1);
    assert!(names[0].ends_with(".bin") && !names[0].starts_with('.'), "{names:?}");
}

#[test]
fn the_oldest_files_go_when_the_cache_is_full() {
    let dir = filled(&answering(0));
    let first = files(dir.path()).remove(0);
    let bytes = fs::metadata(&first).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&first)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    let sandbox = sandbox_holding(dir.path(), 1, bytes * 5 / 2);
    sandbox.load(&answering(1)).unwrap();
    assert!(first.exists());
    sandbox.load(&answering(2)).unwrap();
    assert!(!first.exists());
    assert_eq!(files(dir.path()).len(), 2);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cache"), "a file").unwrap();
    let config = SandboxConfig { cache_dir: Some(dir.path().join("cache")), ..SandboxConfig::default() };
    let Err(error) = Sandbox::new(config) else { panic!("it was used") };
    assert!(error.to_string().contains("cache"), "{error}");
}

#[test]
fn a_cache_that_cannot_be_written_costs_time_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path(), 1);
    fs::remove_dir(dir.path().join("cache")).unwrap();
    assert!(sandbox.load(&answering(7)).is_ok());
}
