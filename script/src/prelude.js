// What a script finds besides the language: console, process, stdin. `host` writes and ends; nothing else leads outside.
(function (host, argv, env, stdin) {
  "use strict";
  const text = (value, depth, seen) => {
    if (typeof value === "string") return depth === 0 ? value : JSON.stringify(value);
    if (typeof value === "bigint") return value + "n";
    if (typeof value === "function") return "[Function: " + (value.name || "anonymous") + "]";
    if (typeof value === "symbol") return value.toString();
    if (value === null || typeof value !== "object") return Object.is(value, -0) ? "-0" : String(value);
    if (value instanceof Error) return value.stack || String(value);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (seen.includes(value)) return "[Circular]";
    if (depth > 4) return Array.isArray(value) ? "[Array]" : "[Object]";
    const inside = seen.concat([value]);
    const one = (item) => text(item, depth + 1, inside);
    if (Array.isArray(value)) return value.length ? "[ " + value.map(one).join(", ") + " ]" : "[]";
    if (value instanceof Map) return "Map(" + value.size + ") { " + [...value].map(([k, v]) => one(k) + " => " + one(v)).join(", ") + " }";
    if (value instanceof Set) return "Set(" + value.size + ") { " + [...value].map(one).join(", ") + " }";
    const entries = Object.entries(value);
    if (!entries.length) return "{}";
    return "{ " + entries.map(([k, v]) => (/^[A-Za-z_$][\w$]*$/.test(k) ? k : JSON.stringify(k)) + ": " + one(v)).join(", ") + " }";
  };
  const line = (values) => values.map((value) => text(value, 0, [])).join(" ") + "\n";
  const out = (...values) => host(1, line(values));
  const err = (...values) => host(2, line(values));
  const fixed = (name, value) => Object.defineProperty(globalThis, name, { value, enumerable: false });
  fixed("console", Object.freeze({ log: out, info: out, debug: out, warn: err, error: err, trace: err }));
  fixed("process", Object.freeze({
    argv: Object.freeze(["node", "script.js", ...argv]),
    env: Object.freeze(Object.fromEntries(env)),
    exit: (code) => host(0, String(code === undefined ? 0 : Math.trunc(Number(code)) || 0)),
    stdout: Object.freeze({ write: (chunk) => (host(1, String(chunk)), true) }),
    stderr: Object.freeze({ write: (chunk) => (host(2, String(chunk)), true) }),
  }));
  fixed("stdin", stdin);
})
