//! stub
use crate::wire::*;
#[derive(Debug)]
pub struct Client;
#[derive(Debug)]
pub struct Reports;
pub fn connect_or_start(
    _: &std::path::Path,
    _: &std::path::Path,
    _: Hello,
) -> Result<(Client, Reports, Welcome), std::io::Error> {
    panic!()
}
impl Client {
    pub fn send(&mut self, _: &[Request]) -> std::io::Result<()> {
        panic!()
    }
}
impl Reports {
    #[expect(clippy::should_implement_trait)]
    pub fn next(&mut self) -> std::io::Result<Option<Report>> {
        panic!()
    }
}
