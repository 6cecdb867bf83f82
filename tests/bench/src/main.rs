//! `cargo xtask bench`: what is promised about speed, measured beside a peer in the same run. Machines are noisy: read the
//! ratios, not the times. Nothing here is a test.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "this program measures and prints")]

mod fold;
mod ingest;
mod report;
mod rows;

use std::error::Error;

use report::Report;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--json").collect();
    let json = std::env::args().any(|arg| arg == "--json");
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let mut report = Report::default();
    if is_wanted("fold") {
        fold::measure(&mut report)?;
    }
    if is_wanted("ingest") {
        ingest::measure(&mut report)?;
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
