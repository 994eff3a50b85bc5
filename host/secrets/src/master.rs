//! Where the master key comes from: a file, an environment variable, or a command.

use std::{ffi::OsString, fmt, fs, io::ErrorKind, path::PathBuf};

use base64::{Engine, alphabet, engine::GeneralPurpose, engine::general_purpose};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    SecretError, command,
    own_file::{OwnFiles, write_private},
    private_file::read_private,
    seal::{KEY, Key},
};

/// Most bytes that a key's file, variable or command may hold.
pub const MAX_KEY_FILE_BYTES: usize = 4096;
/// Most previous keys.
pub const MAX_PREVIOUS_KEYS: usize = 4;
/// How to make one.
const MEND: &str = "make one with: openssl rand -hex 32";
/// Fewer different bytes than this among 32 were not drawn at random.
const FEWEST_DISTINCT: usize = 10;

/// Where a master key comes from. In a configuration file: `{ file = "…" }`, `{ env = "…" }` or `{ command = ["…",
/// …] }`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum MasterKeySource {
    /// A file that an administrator keeps. It must belong to the host's user or root, and be closed to group and
    /// others.
    File(PathBuf),
    /// An environment variable. Processes of the same user can read it there: prefer a file.
    Env(String),
    /// A program (absolute path) and its arguments, run without a shell; its output is the key. It has 10 s.
    Command(Vec<String>),
    /// The host's own file, made with a random key when it is absent and nothing was sealed yet. The host may
    /// replace it ([`crate::NewMaster::Fresh`]).
    #[serde(skip)]
    OwnFile(PathBuf),
}

impl fmt::Display for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::OwnFile(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            // Not its arguments: one of them may be a credential.
            Self::Command(argv) => write!(f, "command {}", argv.first().map_or("(empty)", String::as_str)),
        }
    }
}

impl fmt::Debug for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeySource({self})")
    }
}

/// The master key's source, and where earlier ones come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeys {
    /// The key that everything is to be sealed under.
    pub current: MasterKeySource,
    /// Keys that it may still be sealed under, at most [`MAX_PREVIOUS_KEYS`]: the store is then sealed anew under
    /// the current one when it opens. They are looked at only then.
    pub previous: Vec<MasterKeySource>,
}

impl MasterKeys {
    /// One source and no previous keys.
    #[must_use]
    pub fn new(current: MasterKeySource) -> Self {
        Self { current, previous: Vec::new() }
    }
}

/// A master key's identity: half of a hash of it. It tells keys apart and says nothing about them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex::encode(self.0).get(..12).unwrap_or_default())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A master key at hand.
#[derive(Debug)]
pub(crate) struct MasterKey {
    pub(crate) key: Key,
    pub(crate) id: KeyId,
}

impl MasterKey {
    pub(crate) fn new(key: Key) -> MasterKey {
        let hash =
            Sha256::new().chain_update(b"factotum-secrets/key id/1\n").chain_update(key.bytes()).finalize();
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash) {
            *to = from;
        }
        MasterKey { key, id: KeyId(id) }
    }

    /// The key from its text.
    fn parse(text: &[u8]) -> Result<MasterKey, String> {
        let text = text.trim_ascii();
        // Larger than a key, since the decoder wants room for its estimate.
        let mut bytes = Zeroizing::new([0_u8; 48]);
        let length = match text.len() {
            64 => bytes.get_mut(..KEY).and_then(|to| hex::decode_to_slice(text, to).ok()).map(|()| KEY),
            43 | 44 => {
                let any_padding = general_purpose::GeneralPurposeConfig::new()
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
                [alphabet::STANDARD, alphabet::URL_SAFE].iter().find_map(|alphabet| {
                    GeneralPurpose::new(alphabet, any_padding).decode_slice(text, bytes.as_mut_slice()).ok()
                })
            }
            _ => None,
        };
        let key = length.and_then(|length| bytes.get(..length)).and_then(Key::of).ok_or_else(|| {
            format!("it does not hold 32 bytes as 64 hexadecimal digits or in base64; {MEND}")
        })?;
        let mut seen = [false; 256];
        for byte in key.bytes() {
            if let Some(place) = seen.get_mut(usize::from(*byte)) {
                *place = true;
            }
        }
        if seen.iter().filter(|seen| **seen).count() < FEWEST_DISTINCT {
            return Err(format!("its bytes were not drawn at random; {MEND}"));
        }
        Ok(MasterKey::new(key))
    }
}

impl MasterKeySource {
    /// The key.
    pub(crate) fn load(&self) -> Result<MasterKey, SecretError> {
        let text = match self {
            Self::File(path) | Self::OwnFile(path) => read_private(path, MAX_KEY_FILE_BYTES),
            Self::Env(name) => read_variable(name, std::env::var_os(name)),
            Self::Command(argv) => command::output(argv, MAX_KEY_FILE_BYTES),
        };
        text.and_then(|text| MasterKey::parse(&text)).map_err(|problem| self.refuse(problem))
    }

    /// The key for a store that holds nothing yet: the host's own file is made when it is absent.
    pub(crate) fn load_or_make(&self) -> Result<MasterKey, SecretError> {
        if let Self::OwnFile(path) = self
            && matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound)
        {
            write_private(path, &Key::random()).map_err(|error| self.refuse(error.to_string()))?;
            tracing::info!(path = %path.display(), "made a master key for secrets; keep a copy of it apart from the data's backups");
        }
        self.load()
    }

    pub(crate) fn refuse(&self, problem: String) -> SecretError {
        SecretError::MasterKey { origin: self.to_string(), problem }
    }

    /// The files of the host's own key, when it is one.
    pub(crate) fn own(&self) -> Option<OwnFiles> {
        match self {
            Self::OwnFile(path) => Some(OwnFiles::of(path)),
            _ => None,
        }
    }
}

fn read_variable(name: &str, value: Option<OsString>) -> Result<Zeroizing<Vec<u8>>, String> {
    let value = value.ok_or_else(|| format!("it is not set; set {name} for the host's process"))?;
    let value = Zeroizing::new(value.into_encoded_bytes());
    if value.len() > MAX_KEY_FILE_BYTES {
        return Err(format!("it is longer than {MAX_KEY_FILE_BYTES} bytes; {MEND}"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, path::Path};

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_same_key_in_each_of_its_forms() {
        let want = MasterKey::parse(HEX.as_bytes()).unwrap().id;
        let bytes = hex::decode(HEX).unwrap();
        for text in [
            format!("  {HEX}\r\n"),
            HEX.to_uppercase(),
            general_purpose::STANDARD.encode(&bytes),
            general_purpose::STANDARD_NO_PAD.encode(&bytes),
            general_purpose::URL_SAFE.encode(&bytes),
            general_purpose::URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            assert_eq!(MasterKey::parse(text.as_bytes()).unwrap().id, want, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        for text in
            ["", "correct horse battery staple", &"ab".repeat(32), &HEX[..62], &format!("{HEX}00"), "é"]
        {
            let problem = MasterKey::parse(text.as_bytes()).unwrap_err();
            assert!(problem.contains("openssl rand -hex 32"), "{problem}");
            assert!(text.is_empty() || !problem.contains(text), "{problem}");
        }
    }

    #[test]
    fn a_key_file_is_closed_to_others_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let source = MasterKeySource::File(path.clone());
        for mode in [0o640, 0o604, 0o660, 0o610] {
            write(&path, HEX, mode);
            let error = source.load().unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:o}")), "{error}");
        }
        write(&path, HEX, 0o400);
        source.load().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(source.load().unwrap_err().to_string().contains("no such file"));
        fs::create_dir(&path).unwrap();
        assert!(source.load().unwrap_err().to_string().contains("not a regular file"));
        fs::remove_dir(&path).unwrap();
        write(&path, &"a".repeat(MAX_KEY_FILE_BYTES + 1), 0o600);
        assert!(source.load().unwrap_err().to_string().contains("longer"));
    }

    #[test]
    fn the_hosts_own_file_is_made_once_and_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/secrets.key");
        let source = MasterKeySource::OwnFile(path.clone());
        assert!(source.load().is_err(), "only a store that holds nothing may have a new key");
        let id = source.load_or_make().unwrap().id;
        assert_eq!(source.load_or_make().unwrap().id, id);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A dangling link is not "absent": a key is never written where somebody else points to.
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(source.load_or_make().is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn variables_are_bounded() {
        assert!(read_variable("K", None).unwrap_err().contains("not set"));
        assert!(read_variable("K", Some("a".repeat(5000).into())).unwrap_err().contains("longer"));
        assert_eq!(&**read_variable("K", Some(HEX.into())).unwrap(), HEX.as_bytes());
        assert!(MasterKeySource::Env("FACTOTUM_NO_SUCH_VARIABLE".into()).load().is_err());
    }

    #[test]
    fn sources_read_as_configuration_and_print_without_arguments() {
        #[derive(Deserialize)]
        struct Config {
            key: MasterKeySource,
        }
        let read = |text: &str| toml::from_str::<Config>(text).map(|config| config.key);
        assert_eq!(read("key = { file = \"/k\" }").unwrap(), MasterKeySource::File("/k".into()));
        assert_eq!(read("key = { env = \"K\" }").unwrap(), MasterKeySource::Env("K".into()));
        let command = read("key = { command = [\"/bin/get\", \"--password=hush\"] }").unwrap();
        assert!(!format!("{command} {command:?}").contains("hush"));
        assert!(read("key = { own-file = \"/k\" }").is_err());
    }
}
