//! The controller, its webhook and its tools against an API server, on loopback.
//!
//! One program for the lane: each program links, and stores, the whole product.

mod access;
mod addresses;
mod alerts;
mod bounds;
mod chaos;
mod chart;
mod check;
mod controller;
mod inspect;
mod install;
mod kubectl;
mod leader;
mod metrics;
mod migration;
mod replay;
mod source;
mod status;
mod webhook;
