//! Lockstep keeps an ingress gateway's pods, its Services and MetalLB's announcements in lockstep, so that
//! the client's source IP survives from the network to the gateway and to the audit log.
//!
//! The pure core comes first: [`labels`], [`objects`], [`topology`], [`facts`], [`rules`] and [`verdict`]
//! know no clock, no network and no file. Around it, [`admission`] speaks the API server's
//! `AdmissionReview`, [`server`] and [`certs`] speak HTTPS, [`cluster`] and [`manifests`] gather facts,
//! and [`cli`] is what people type.

pub mod admission;
pub mod change;
pub mod facts;
pub mod field;
pub mod labels;
pub mod objects;
pub mod rules;
mod text;
pub mod topology;
pub mod verdict;
