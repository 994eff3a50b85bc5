//! Puts the rooms together: durable runs, retries, timers, installs, deployments.
