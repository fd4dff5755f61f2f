//! For tests only: the simulator, test projects, the redactor.

pub mod sim;
