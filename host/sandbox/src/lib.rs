//! The sandbox: wasmtime, its limits and cache, JSON to WIT values and back, and the capabilities a plugin may import.
