//! Virtual networks.

mod bucket;
pub mod config;
mod flow;
pub mod frame;
pub mod link;
pub mod mac;
pub mod offload;
mod packet;
pub mod switch;
