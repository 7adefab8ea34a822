//! A line chart, drawn as SVG.

use std::fmt::Write as _;

/// A chart with one line per series, labelled at its end.
#[derive(Debug)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Its series.
    pub lines: Vec<Line>,
}

/// An axis. Without ticks of its own it gets round ones.
#[derive(Debug)]
pub struct Axis {
    /// What is counted, in which unit.
    pub label: String,
    /// How far numbers lie apart.
    pub scale: Scale,
    /// Ascending; the first and the last are the ends.
    pub ticks: Vec<f64>,
}

/// A linear axis begins at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps.
    Linear,
    /// Equal factors.
    Log,
}

/// A series.
#[derive(Debug)]
pub struct Line {
    /// At its end.
    pub label: String,
    /// As SVG has it, `#0b5fff`.
    pub colour: String,
    /// Ascending by `x`.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Labels nearer than this would overlap.
const LABEL: f64 = 15.0;

impl Chart {
    /// The picture.
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        self.draw(&mut svg).ok();
        svg
    }

    fn draw(&self, svg: &mut String) -> std::fmt::Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Range::of(&self.x, points().map(|(x, _)| *x), LEFT, WIDTH - RIGHT);
        let y = Range::of(&self.y, points().map(|(_, y)| *y), HEIGHT - BOTTOM, TOP);
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
             <title>{title}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{title}</text>",
            title = escape(&self.title)
        )?;
        for tick in &x.ticks {
            let at = x.place(*tick);
            let (bottom, below) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 18.0);
            writeln!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#e0e0e0\"/>"
            )?;
            writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{}</text>",
                tick_label(*tick)
            )?;
        }
        for tick in &y.ticks {
            let (at, right) = (y.place(*tick), WIDTH - RIGHT);
            let (text, left) = (at + 4.0, LEFT - 8.0);
            writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#e0e0e0\"/>"
            )?;
            writeln!(
                svg,
                "<text x=\"{left}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>",
                tick_label(*tick)
            )?;
        }
        let (middle_x, low) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0);
        let middle_y = (TOP + HEIGHT - BOTTOM) / 2.0;
        writeln!(
            svg,
            "<text x=\"{middle_x}\" y=\"{low}\" text-anchor=\"middle\">{}</text>",
            escape(&self.x.label)
        )?;
        writeln!(
            svg,
            "<text transform=\"translate(18 {middle_y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escape(&self.y.label)
        )?;
        self.draw_lines(svg, &x, &y)?;
        writeln!(svg, "</svg>")
    }

    fn draw_lines(&self, svg: &mut String, x: &Range, y: &Range) -> std::fmt::Result {
        let mut labels = Vec::new();
        for line in &self.lines {
            let mut path = String::new();
            for (index, (px, py)) in line.points.iter().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                write!(path, "{command}{:.1} {:.1}", x.place(*px), y.place(*py))?;
            }
            let colour = &line.colour;
            writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            )?;
            // A few points are marked; many would hide the line.
            if line.points.len() < 20 {
                for (px, py) in &line.points {
                    let (cx, cy) = (x.place(*px), y.place(*py));
                    writeln!(
                        svg,
                        "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"{colour}\"/>"
                    )?;
                }
            }
            if let Some((_, last)) = line.points.last() {
                labels.push((y.place(*last), line));
            }
        }
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut lowest = TOP;
        for (at, line) in labels {
            let at = at.max(lowest);
            lowest = at + LABEL;
            let (left, text) = (WIDTH - RIGHT + 10.0, at + 4.0);
            writeln!(
                svg,
                "<text x=\"{left}\" y=\"{text:.1}\" fill=\"{}\">{}</text>",
                line.colour,
                escape(&line.label)
            )?;
        }
        Ok(())
    }
}

/// An axis with its ends, in numbers and on the page.
struct Range {
    scale: Scale,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    ticks: Vec<f64>,
}

impl Range {
    fn of(axis: &Axis, numbers: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let usable = |n: &f64| n.is_finite() && (axis.scale == Scale::Linear || *n > 0.0);
        let numbers: Vec<f64> = numbers.filter(usable).collect();
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if numbers.is_empty() { (1.0, 10.0) } else { (low, high) };
        let (from, to, round) = match axis.scale {
            Scale::Linear => linear(high.max(f64::MIN_POSITIVE)),
            Scale::Log => log(low, high),
        };
        let (from, to, ticks) = match (axis.ticks.first(), axis.ticks.last()) {
            (Some(first), Some(last)) if first < last => (*first, *last, axis.ticks.clone()),
            _ => (from, to, round),
        };
        Self { scale: axis.scale, from, to, start, end, ticks }
    }

    fn place(&self, number: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (number - self.from) / (self.to - self.from),
            Scale::Log => (number.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
        };
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }
}

/// From zero to the next round step above, in at most ten steps.
fn linear(high: f64) -> (f64, f64, Vec<f64>) {
    let power = 10_f64.powf((high / 10.0).log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| high / (f * power) <= 10.0);
    let step = power * factor.unwrap_or(10.0);
    let count = (high / step).ceil().max(1.0) as u32;
    let ticks = (0..=count).map(|n| f64::from(n) * step).collect();
    (0.0, f64::from(count) * step, ticks)
}

/// Whole powers of ten around all numbers, with 2 and 5 between them.
fn log(low: f64, high: f64) -> (f64, f64, Vec<f64>) {
    let mut steps: Vec<f64> = Vec::new();
    for power in low.log10().floor() as i32..=high.log10().ceil() as i32 {
        steps.extend([1.0, 2.0, 5.0].map(|f| f * 10_f64.powi(power)));
    }
    let from = steps.iter().rev().find(|s| **s <= low).copied().unwrap_or(low);
    let to = steps.iter().find(|s| **s >= high && **s > from).copied().unwrap_or(high);
    steps.retain(|step| (from..=to).contains(step));
    (from, to, steps)
}

fn tick_label(number: f64) -> String {
    if number >= 1e6 {
        format!("{}M", number / 1e6)
    } else if number >= 1e3 {
        format!("{}k", number / 1e3)
    } else {
        // Steps such as 0.30000000000000004 are meant to be round.
        let text = format!("{number:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(linear(43.0), (0.0, 45.0, (0..=9).map(|n| f64::from(n) * 5.0).collect()));
        let (from, to, ticks) = log(700.0, 51_000.0);
        assert_eq!((from, to), (500.0, 100_000.0));
        assert_eq!(ticks, [5e2, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5]);
        assert_eq!(tick_label(0.1 + 0.2), "0.3");
        assert_eq!(tick_label(50_000.0), "50k");
    }

    #[test]
    fn a_chart_has_each_line_and_nothing_unescaped() {
        let chart = Chart {
            title: "a < b".to_owned(),
            x: Axis { label: "x".to_owned(), scale: Scale::Log, ticks: vec![1.0, 4.0, 16.0] },
            y: Axis { label: "y".to_owned(), scale: Scale::Log, ticks: Vec::new() },
            lines: ["one", "two"]
                .map(|label| Line {
                    label: label.to_owned(),
                    colour: "#000000".to_owned(),
                    points: vec![(1.0, 10.0), (16.0, 1000.0)],
                })
                .into(),
        };
        let svg = chart.to_svg();
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_chart_of_nothing_is_still_a_chart() {
        let axis = |scale| Axis { label: String::new(), scale, ticks: Vec::new() };
        let chart = Chart {
            title: String::new(),
            x: axis(Scale::Linear),
            y: axis(Scale::Log),
            lines: Vec::new(),
        };
        let svg = chart.to_svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
