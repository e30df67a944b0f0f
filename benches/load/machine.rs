//! The machine, the date and the command of a measurement.

use std::fs;
use std::process::Command;

fn found(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or("unknown").trim().to_owned()
}

/// Returns the output of a command; empty if it fails.
pub fn said(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

pub fn print(generator: &str) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kib: f64 = found("/proc/meminfo", "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(0.0);
    println!("- date: {}", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]));
    println!("- machine: {cores} cores of {}, {:.0} GiB", found("/proc/cpuinfo", "model name"), kib / 1_048_576.0);
    println!("- system: {}, at most {} open files", said("uname", &["-sr"]), open_files_max());
    println!("- load generator: {generator}, on the same cores");
    println!("- command: `benches/load/run.sh {}`", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
}

fn open_files_max() -> String {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).unwrap_or("?").to_owned()
}
