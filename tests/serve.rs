//! `lockstep serve` as people run it: the real program, over real sockets, and as the webhook of a real API server.

#![allow(unreachable_pub, reason = "every program uses its own part of what is shared")]

mod support;

mod serve {
    mod bad_input;
    mod certificates;
    mod cluster;
    mod life;
    mod log;
    mod startup;
    mod sync;
    mod world;
}
