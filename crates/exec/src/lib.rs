//! stub
pub mod keeper;
pub mod wire;
