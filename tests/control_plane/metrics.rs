//! What `lockstep serve` exports, read by Prometheus' own programs, and the chart's alerts on it.

mod alerts;
mod cluster;
mod course;
mod decisions;
mod exposition;
mod page;
mod rights;
mod selectors;
mod table;
