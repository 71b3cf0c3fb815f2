//! The certificate authority that replicas share, on a real API server: its Secret, and the webhook configurations.

#![allow(unreachable_pub, reason = "every program uses its own part of what is shared")]

mod support;

mod certificates {
    mod agreement;
    mod mutual;
    mod process;
    mod repair;
    mod world;
}
