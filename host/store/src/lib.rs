//! The store: sled behind one group-commit writer; journals, indexes, timers, key-value namespaces and blobs.
