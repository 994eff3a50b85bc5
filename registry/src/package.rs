//! A package: the bytes of one component, looked at without running or compiling it.

use factotum_grant::{Capability, Import, classify_import};
use sha2::{Digest, Sha256};
use wasmparser::{Encoding, Parser, Payload};

use crate::manifest::{MAX_BYTES, Manifest, ManifestError, SECTION};

/// The most bytes a component may have.
pub const MAX_COMPONENT_BYTES: usize = 64 << 20;
/// How deep modules and components may stand in one another.
const MAX_DEPTH: usize = 16;
/// The most imports a component may have.
const MAX_IMPORTS: usize = 256;

/// What the bytes of a component say of it.
#[derive(Debug, Clone)]
pub struct Package {
    /// SHA-256 of the bytes, lower-case hexadecimal.
    pub digest: String,
    /// The manifest, when it carries one.
    pub manifest: Option<Manifest>,
    /// The names it imports, such as `wasi:http/outgoing-handler@0.2.6`.
    pub imports: Vec<String>,
}

/// Bytes that are no usable package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Too large.
    #[error("the component has {0} bytes; at most {MAX_COMPONENT_BYTES}")]
    TooLarge(usize),
    /// A core module, or something else.
    #[error("this is {0}, not a WebAssembly component; build it with --target wasm32-wasip2")]
    NotAComponent(&'static str),
    /// Broken bytes.
    #[error("the component cannot be read: {0}")]
    Unreadable(String),
    /// A manifest that cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Package {
    /// Looks at the bytes of a component. Bounded in depth and count; nothing is executed.
    ///
    /// # Errors
    /// See [`PackageError`].
    pub fn read(bytes: &[u8]) -> Result<Self, PackageError> {
        if bytes.len() > MAX_COMPONENT_BYTES {
            return Err(PackageError::TooLarge(bytes.len()));
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(PackageError::NotAComponent("no WebAssembly at all"));
        }
        let unreadable = |e: wasmparser::BinaryReaderError| PackageError::Unreadable(e.to_string());
        let mut depth = 0_usize;
        let mut manifest = None;
        let mut imports = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(unreadable)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(PackageError::NotAComponent("a core module"));
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    depth = depth.saturating_add(1);
                    if depth > MAX_DEPTH {
                        return Err(PackageError::Unreadable(format!("nested deeper than {MAX_DEPTH}")));
                    }
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        imports.push(import.map_err(unreadable)?.name.name.to_owned());
                        if imports.len() > MAX_IMPORTS {
                            return Err(PackageError::Unreadable(format!("more than {MAX_IMPORTS} imports")));
                        }
                    }
                }
                Payload::CustomSection(section) if section.name() == SECTION => {
                    if manifest.is_some() {
                        return Err(ManifestError::Unreadable(
                            "there are two, and which one counts cannot be said; embed it once".into(),
                        )
                        .into());
                    }
                    if section.data().len() > MAX_BYTES {
                        return Err(ManifestError::Unreadable(format!("more than {MAX_BYTES} bytes")).into());
                    }
                    manifest = Some(Manifest::parse(section.data())?);
                }
                _ => {}
            }
        }
        let package = Self { digest: hex::encode(Sha256::digest(bytes)), manifest, imports };
        if let Some(manifest) = &package.manifest {
            manifest.check_imports(&package.capabilities())?;
        }
        Ok(package)
    }

    /// The capabilities that the imports ask for, each once.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Capability> {
        Capability::ALL
            .into_iter()
            .filter(|capability| {
                self.imports.iter().any(|name| classify_import(name) == Import::Capability(*capability))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused() {
        assert_eq!(
            Package::read(b"hello").unwrap_err(),
            PackageError::NotAComponent("no WebAssembly at all")
        );
        assert_eq!(
            Package::read(b"\0asm\x01\0\0\0").unwrap_err(),
            PackageError::NotAComponent("a core module")
        );
        assert!(matches!(
            Package::read(b"\0asm\x0d\0\x01\0\xff\xff").unwrap_err(),
            PackageError::Unreadable(_)
        ));
    }

    #[test]
    fn the_empty_component_asks_for_nothing() {
        let package = Package::read(b"\0asm\x0d\0\x01\0").unwrap();
        assert!(
            package.manifest.is_none() && package.imports.is_empty() && package.capabilities().is_empty()
        );
    }
}
