//! The CA that replicas share, on a real API server: the Secret, the webhook configurations, and mutual TLS.

mod agreement;
mod mutual;
mod process;
mod repair;
mod world;
