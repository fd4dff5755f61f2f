//! For tests only: the simulator (`sim`), scenarios to read aloud (`scenario`), projects in temporary folders run by the real binary (`project`, `running`), a
//! look at the process table (`processes`), the kill loop (`kill_loop`), waiting with a limit (`patience`), and the redactor that makes output
//! comparable (`redactor`), `up` and its queues (`sqs`), executions of state machines (`states`), an S3 in memory (`s3`), an ECS whose tasks are processes (`ecs`), terminals (`terminal`) and what is seen on them (`screen`). Nothing here is linked into what users get.
//!
//! Whatever goes wrong panics: the caller is a test, and the text of the panic is what its reader sees.

pub mod ecs;
mod http;
pub mod kill_loop;
pub mod patience;
pub mod processes;
pub mod project;
pub mod redactor;
pub mod running;
pub mod s3;
pub mod scenario;
pub mod screen;
pub mod sim;
pub mod sqs;
pub mod states;
pub mod terminal;

pub use processes::assert_no_process_left;
pub use project::{Output, TestProject};
pub use redactor::Redactor;
pub use running::Running;
pub use terminal::Terminal;
