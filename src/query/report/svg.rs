//! A chart as SVG: bars in lanes below an axis. Patterns and words distinguish them, so a black-and-white print says as much.

use std::fmt::{self, Write};

use super::chart::{BARS_MAX, Chart, ChartBar, ChartMark, Fill, Tick, ticks};
use super::page::Text;
use crate::domain::model::time::Instant;

const WIDTH: i64 = 1_000;
/// The x at which the lanes begin, right of their names.
const LEFT: i64 = 240;
/// The x at which the lanes end.
const RIGHT: i64 = 985;
const TOP: i64 = 26;
const LANE: i64 = 20;
const BAR: i64 = 14;
const LEGEND: i64 = 34;
/// The most lanes of a panel, so that one fits on a page of paper below the heading.
const PANEL_LANES: usize = 15;
/// The longest name of a lane, in characters.
const NAME_CHARS_MAX: usize = 38;
/// The approximate width of a tick's label.
const LABEL: i64 = 76;
/// The approximate width of a letter in a bar.
const LETTER: i64 = 6;

/// The patterns of bars.
const PATTERNS: &str = "<svg class=\"patterns\" aria-hidden=\"true\"><defs>\
<pattern id=\"viewer\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect width=\"6\" height=\"6\" fill=\"#fff\"/><rect width=\"2\" height=\"6\" fill=\"#7a8fa6\"/></pattern>\
<pattern id=\"manager\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect width=\"6\" height=\"6\" fill=\"#fff\"/><path d=\"M0 0H6M0 0V6\" stroke=\"#333\" stroke-width=\"2\"/></pattern>\
<pattern id=\"service-user\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"5\" height=\"5\" fill=\"#fff\"/><circle cx=\"2.5\" cy=\"2.5\" r=\"1.1\" fill=\"#333\"/></pattern>\
<pattern id=\"credential\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"5\" height=\"5\" fill=\"#fff\"/><rect width=\"1.5\" height=\"5\" fill=\"#666\"/></pattern>\
</defs></svg>\n";

const fn paint(fill: Fill) -> &'static str {
    match fill {
        Fill::Contributor => "#1d4f7c",
        Fill::Viewer => "url(#viewer)",
        Fill::Owner => "#222",
        Fill::Manager => "url(#manager)",
        Fill::Member => "#dcdcdc",
        Fill::ServiceUser => "url(#service-user)",
        Fill::Credential => "url(#credential)",
    }
}

/// The time axis, between two instants.
#[derive(Clone, Copy)]
struct Axis {
    first: Instant,
    last: Instant,
}

impl Axis {
    fn x(self, at: Instant) -> i64 {
        let at = at.clamp(self.first, self.last);
        let part = i128::from(at.micros()) - i128::from(self.first.micros());
        let whole = i128::from(self.last.micros()) - i128::from(self.first.micros());
        LEFT + i64::try_from(part * i128::from(RIGHT - LEFT) / whole.max(1)).unwrap_or_default()
    }
}

/// Writes a chart in panels that each fit on a page of paper. Without bars, it writes nothing.
///
/// # Errors
/// An error of `out`.
pub fn draw(chart: &Chart, out: &mut String) -> fmt::Result {
    let Some((first, last)) = chart.ends() else { return Ok(()) };
    let axis = Axis { first, last };
    let firsts = (0..chart.lanes.len()).step_by(PANEL_LANES);
    let panels: Vec<Panel> =
        firsts.map(|first| Panel { chart, axis, first, end: chart.lanes.len().min(first + PANEL_LANES) }).collect();
    out.push_str(PATTERNS);
    panels.iter().try_for_each(|panel| panel.draw(out))?;
    caption(chart, out)
}

/// Some of the lanes of a chart, below an axis of their own.
struct Panel<'a> {
    chart: &'a Chart,
    axis: Axis,
    first: usize,
    end: usize,
}

impl Panel<'_> {
    fn draw(&self, out: &mut String) -> fmt::Result {
        let (chart, axis, bottom) = (self.chart, self.axis, self.y(self.end));
        let is_last = self.end == chart.lanes.len();
        let height = bottom + if is_last { LEGEND } else { 4 };
        write!(
            out,
            "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"tenures on a time axis\">"
        )?;
        draw_ticks(axis, bottom, out)?;
        for (index, lane) in chart.lanes.iter().enumerate().filter(|(index, _)| self.holds(*index)) {
            draw_lane(self.y(index), lane, out)?;
        }
        let bars = chart.bars.iter().filter(|bar| self.holds(bar.lane));
        bars.into_iter().try_for_each(|bar| draw_bar(bar, self.y(bar.lane), axis, out))?;
        let marks = chart.marks.iter().filter(|mark| self.holds(mark.lane));
        marks.into_iter().try_for_each(|mark| draw_mark(mark, self.y(mark.lane), axis, out))?;
        if is_last {
            draw_legend(chart, bottom + 20, out)?;
        }
        out.push_str("</svg></figure>\n");
        Ok(())
    }

    fn holds(&self, lane: usize) -> bool {
        (self.first..self.end).contains(&lane)
    }

    /// Returns the y at which a lane begins.
    fn y(&self, lane: usize) -> i64 {
        TOP + LANE * i64::try_from(lane.saturating_sub(self.first)).unwrap_or_default()
    }
}

fn caption(chart: &Chart, out: &mut String) -> fmt::Result {
    out.push_str("<p class=\"caption\">Times are in UTC.");
    if chart.bars_total > chart.bars.len() {
        write!(out, " Of {} bars the first {BARS_MAX} are drawn; the table has all rows.", chart.bars_total)?;
    }
    out.push_str("</p>\n");
    Ok(())
}

fn draw_ticks(axis: Axis, bottom: i64, out: &mut String) -> fmt::Result {
    let ticks = ticks(axis.first, axis.last);
    // A label that would leave the picture ends at its right edge. The label before it may then have no room.
    let at_edge = ticks.last().filter(|tick| axis.x(tick.at) > RIGHT - LABEL / 2).map(|tick| tick.at);
    for tick in &ticks {
        let x = axis.x(tick.at);
        write!(out, "<path class=\"tick\" d=\"M{x} {}V{bottom}\"/>", TOP - 6)?;
        if at_edge == Some(tick.at) {
            draw_when(tick, "when last", x.min(RIGHT + 10), out)?;
        } else if at_edge.is_none() || x < RIGHT - LABEL - LABEL / 2 {
            draw_when(tick, "when", x, out)?;
        }
    }
    Ok(())
}

fn draw_when(tick: &Tick, class: &str, x: i64, out: &mut String) -> fmt::Result {
    write!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{}\">{}</text>", TOP - 12, Text(&tick.label))
}

fn draw_lane(top: i64, lane: &str, out: &mut String) -> fmt::Result {
    let cut = lane.chars().count() > NAME_CHARS_MAX;
    let shown: String = lane.chars().take(if cut { NAME_CHARS_MAX - 1 } else { NAME_CHARS_MAX }).collect();
    let (baseline, below, dots) = (top + 14, top + LANE, if cut { "…" } else { "" });
    write!(out, "<path class=\"lane\" d=\"M0 {below}H{RIGHT}\"/>")?;
    write!(out, "<text class=\"name\" x=\"{}\" y=\"{baseline}\">{}{dots}</text>", LEFT - 8, Text(&shown))
}

fn draw_bar(bar: &ChartBar, top: i64, axis: Axis, out: &mut String) -> fmt::Result {
    let (x, top) = (axis.x(bar.from), top + (LANE - BAR) / 2);
    let width = (axis.x(bar.until.unwrap_or(axis.last)) - x).max(2);
    write!(
        out,
        "<rect class=\"bar\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{BAR}\" fill=\"{}\">",
        paint(bar.fill)
    )?;
    let until = bar.until.map_or_else(|| "goes on".to_owned(), |until| format!("until {until}"));
    write!(out, "<title>{} from {}, {until}</title></rect>", bar.fill.word(), bar.from)?;
    if bar.until.is_none() {
        let (end, middle) = (x + width, top + BAR / 2);
        write!(out, "<path class=\"on\" d=\"M{end} {}L{} {middle}L{end} {}Z\"/>", top - 2, end + 9, top + BAR + 2)?;
    }
    let letters = i64::try_from(bar.fill.word().len()).unwrap_or_default() * LETTER + 12;
    if letters < width {
        let class = if matches!(bar.fill, Fill::Contributor | Fill::Owner) { "word light" } else { "word" };
        write!(out, "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>", x + 6, top + 11, bar.fill.word())?;
    }
    Ok(())
}

/// Writes a diamond.
fn diamond(x: i64, middle: i64, out: &mut String) -> fmt::Result {
    write!(
        out,
        "<path class=\"mark\" d=\"M{x} {}L{} {middle}L{x} {}L{} {middle}Z\"",
        middle - 8,
        x + 5,
        middle + 8,
        x - 5
    )
}

fn draw_mark(mark: &ChartMark, top: i64, axis: Axis, out: &mut String) -> fmt::Result {
    diamond(axis.x(mark.at), top + LANE / 2, out)?;
    write!(out, "><title>{} at {}</title></path>", mark.word, mark.at)
}

fn draw_legend(chart: &Chart, baseline: i64, out: &mut String) -> fmt::Result {
    let mut x = LEFT;
    for fill in Fill::ALL.iter().filter(|fill| chart.bars.iter().any(|bar| bar.fill == **fill)) {
        let top = baseline - 11;
        write!(
            out,
            "<rect class=\"bar\" x=\"{x}\" y=\"{top}\" width=\"26\" height=\"{BAR}\" fill=\"{}\"/>",
            paint(*fill)
        )?;
        x = legend_word(fill.word(), x + 32, baseline, out)?;
    }
    if let Some(mark) = chart.marks.first() {
        diamond(x + 5, baseline - 4, out)?;
        out.push_str("/>");
        x = legend_word(mark.word, x + 16, baseline, out)?;
    }
    if chart.bars.iter().any(|bar| bar.until.is_none()) {
        let (top, end, middle, bottom) = (baseline - 13, x + 9, baseline - 4, baseline + 5);
        write!(out, "<path class=\"on\" d=\"M{x} {top}L{end} {middle}L{x} {bottom}Z\"/>")?;
        legend_word("goes on", x + 15, baseline, out)?;
    }
    Ok(())
}

/// Writes a word of the legend, and returns the x of the next one.
fn legend_word(word: &str, x: i64, baseline: i64, out: &mut String) -> Result<i64, fmt::Error> {
    write!(out, "<text class=\"legend\" x=\"{x}\" y=\"{baseline}\">{word}</text>")?;
    Ok(x + i64::try_from(word.len()).unwrap_or_default() * 7 + 22)
}
