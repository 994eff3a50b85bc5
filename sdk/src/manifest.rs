//! Puts the plugin's manifest into the component.

/// Puts the plugin's manifest, a TOML file beside `Cargo.toml`, into the component as the custom section
/// `factotum:manifest`. The format is the one documented in the registry's `manifest` module.
///
/// ```ignore
/// factotum_sdk::manifest!("plugin.toml");
/// ```
#[macro_export]
macro_rules! manifest {
    ($file:literal) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            const TEXT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $file));
            // A custom section is the place the WebAssembly specification gives to such data (core, appendix "Custom
            // Sections"); placing a static there is the only way to write one from Rust.
            #[allow(unsafe_code)]
            #[used]
            #[unsafe(link_section = "factotum:manifest")]
            static MANIFEST: [u8; TEXT.len()] =
                *include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $file));
        };
    };
}
