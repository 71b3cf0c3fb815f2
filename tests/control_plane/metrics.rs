//! The metrics of `lockstep serve`, read by Prometheus' own programs, and the chart's alerts on them.

mod alerts;
mod cluster;
mod course;
mod dashboard;
mod decisions;
mod exposition;
mod page;
mod rights;
mod selectors;
mod state;
mod table;
