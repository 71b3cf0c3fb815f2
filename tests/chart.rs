//! The chart: what real Helm renders of it, and what becomes of that in a real API server.

#![allow(unreachable_pub, reason = "every program uses its own part of what is shared")]

mod support;

mod chart {
    mod account;
    mod alerts;
    mod cluster;
    mod definition;
    mod helm;
    mod life;
    mod process;
    mod refusals;
    mod roles;
    mod snapshots;
    mod strict;
    mod table;
}
