//! Containers against a real engine: the one that `KINGTIDE_TEST_DOCKER` names (`unix:///…/docker.sock`), or any that is found as
//! users' would be. Images are made here, from nothing and the machine's static busybox. Where there is no engine or no
//! busybox each test says on stderr that it was skipped.

mod adoption;
mod cost;
mod ends;
mod harbour;
mod images;
mod inside;
mod link;
