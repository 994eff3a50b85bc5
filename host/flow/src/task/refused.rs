//! What the DSL has and the profile refuses: recognised by name, refused with the reason and the way round.

/// Processes of `run`: word, why, what instead.
pub(super) const PROCESSES: [(&str, &str, &str); 2] = [
    (
        "shell",
        "a shell can do whatever the host can, whoever wrote its arguments",
        "use `run: script`, or a plugin",
    ),
    ("container", "a container runs outside of every grant", "use `run: script`, or a plugin"),
];

/// What `call` refuses: word, why, what instead.
pub(super) const CALLS: [(&str, &str, &str); 4] = [
    ("grpc", "only the plugins' typed interfaces are spoken", "call a plugin that wraps the service"),
    ("asyncapi", "no message broker stands behind the host", "call a plugin that sends the message"),
    ("a2a", "no agent protocol is spoken", "call a plugin that wraps the agent"),
    ("mcp", "the model context protocol is not spoken", "call a plugin that wraps the server"),
];
