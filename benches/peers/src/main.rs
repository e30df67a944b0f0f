//! Tenure beside its peers: the same questions, asked of each in one run, on one machine.
//!
//! `run.sh` starts the servers and calls this program. Every peer must give Tenure's answers before anything is timed.
//! The table is printed to stdout, everything else to stderr.

mod bare;
mod casbin_rs;
mod cedar;
mod cerbos;
mod chance;
mod durable;
mod history;
mod load;
mod measure;
mod ours;
mod past;
mod peer;
mod run;
mod server;
mod spicedb;
mod table;
mod workload;

use std::path::Path;
use std::process::ExitCode;

use peer::Outcome;
use run::Options;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn start() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bare"] => tokio::runtime::Runtime::new()?.block_on(bare::serve()),
        ["memory", data, id] => run::starts::measure_memory(Path::new(data), id),
        _ => {
            let options = Options::read(words.into_iter())?;
            let out = options.path("out");
            let table = run::run(options)?;
            match out {
                Some(file) => std::fs::write(file, table)?,
                None => println!("{table}"),
            }
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
