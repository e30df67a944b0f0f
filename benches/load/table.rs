//! Markdown tables, and the format of their numbers.

/// A table that is printed when it is complete.
pub struct Table {
    lines: Vec<String>,
}

impl Table {
    pub fn new(title: &str, columns: &[&str]) -> Self {
        let rule = vec!["---"; columns.len()].join(" | ");
        Self { lines: vec![format!("\n### {title}\n"), format!("| {} |", columns.join(" | ")), format!("| {rule} |")] }
    }

    pub fn row(&mut self, cells: &[&str]) {
        eprintln!("{}", cells.join("  "));
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }

    pub fn print(self) {
        println!("{}", self.lines.join("\n"));
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Formats a whole number with separated thousands.
pub fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

pub fn per_second(rate: f64) -> String {
    format!("{} /s", number(rate))
}

pub fn ratio(one: f64, other: f64) -> String {
    format!("{:.2}", one / other)
}

/// Formats a time in a suitable unit.
pub fn time(micros: f64) -> String {
    match micros {
        _ if micros < 1_000.0 => format!("{micros:.0} µs"),
        _ if micros < 1_000_000.0 => format!("{:.1} ms", micros / 1_000.0),
        _ => format!("{:.2} s", micros / 1_000_000.0),
    }
}

/// Formats five quantiles of times in microseconds for a table.
pub fn quantiles(mut micros: Vec<f64>) -> String {
    micros.sort_by(f64::total_cmp);
    let last = micros.len() - 1;
    let at = |share: usize| time(micros[last * share / 1_000]);
    format!("{} / {} / {} / {} / {}", at(500), at(900), at(990), at(999), at(1_000))
}

/// Formats values as a line of bars, each as high as its share of the greatest.
pub fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let greatest = values.iter().copied().fold(1.0, f64::max);
    let bar = |value: &f64| {
        *BARS
            .iter()
            .rev()
            .zip(0..7)
            .find(|(_, down)| value / greatest > f64::from(7 - down) / 8.0)
            .map_or(&BARS[0], |(bar, _)| bar)
    };
    values.iter().map(bar).collect()
}
