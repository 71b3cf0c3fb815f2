//! What `lockstep serve` exports, read by Prometheus' own programs, and the chart's alerts on it.

#![allow(unreachable_pub, reason = "every program uses its own part of what is shared")]

mod support;

mod metrics {
    mod alerts;
    mod cluster;
    mod course;
    mod decisions;
    mod exposition;
    #[path = "../chart/helm.rs"]
    #[allow(dead_code, reason = "shared with the tests of the chart")]
    mod helm;
    mod level;
    mod page;
    mod reviews;
    mod rights;
    mod selectors;
    mod table;
}
