//! What the DSL has and this version does not run: recognised by name, refused with the reason and the way round.

/// Kinds of tasks: key, why not yet, what instead.
pub(super) const KINDS: [(&str, &str, &str); 4] = [
    (
        "fork",
        "branches that run at once need a journal that orders them",
        "write the branches one after the other",
    ),
    ("emit", "no event broker stands behind the host yet", "call a plugin that sends the event"),
    ("listen", "no event broker stands behind the host yet", "start the flow by a webhook instead"),
    (
        "run",
        "scripts, containers, shells and sub-flows run outside the sandbox's grants",
        "call a plugin's function instead",
    ),
];

/// Values of `call` that are not plugins: word, why not yet, what instead.
pub(super) const CALLS: [(&str, &str, &str); 6] = [
    ("http", "a flow has no network of its own", "call a plugin that holds a grant for the host"),
    ("openapi", "a flow has no network of its own", "call a plugin that holds a grant for the host"),
    ("grpc", "only the plugins' typed interfaces are spoken", "call a plugin that wraps the service"),
    ("asyncapi", "no message broker stands behind the host yet", "call a plugin that sends the message"),
    ("a2a", "no agent protocol is spoken yet", "call a plugin that wraps the agent"),
    ("mcp", "no model context protocol is spoken yet", "call a plugin that wraps the server"),
];
