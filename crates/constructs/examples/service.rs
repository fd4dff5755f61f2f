//! Prints the template of a service that reads its queue itself: `cargo run -p kingtide-constructs --example service > template.json`.

use std::io::Write;

use kingtide_constructs::{Image, QueueProcessing};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = QueueProcessing::service("invoices", Image::named("registry.example.com/invoices:3"));
    let template = service.max_workers(20).template()?;
    std::io::stdout().write_all(template.json().as_bytes())?;
    Ok(())
}
