//! The one door out over HTTP: policy, resolve, check every address, pin, inject secrets, send, bound the answer.
