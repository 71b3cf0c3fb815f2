//! The certificate authority that replicas share, on a real API server: its Secret, and the webhook configurations.

mod agreement;
mod mutual;
mod process;
mod repair;
mod world;
