// Loopback only, no editor.
module.exports = { uiPort: Number(process.env.RIVAL_PORT), uiHost: "127.0.0.1", flowFile: "flows.json", httpAdminRoot: false, logging: { console: { level: "warn" } }, editorTheme: { tours: false } };
