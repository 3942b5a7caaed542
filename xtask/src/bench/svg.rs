//! Curves as SVG, small and without a dependency: recall on x (0.85 to 1), processor time per query on a logarithmic y.

use std::fmt::Write;

/// One named line.
pub struct Line {
    /// As in the legend.
    pub name: String,
    /// (recall, µs) in order of effort.
    pub points: Vec<(f64, f64)>,
    /// Whether it is ours: drawn thicker.
    pub ours: bool,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 420.0;
const RECALL_FROM: f64 = 0.85;

/// Colours that differ for most eyes, on white and on black.
const COLOURS: [&str; 10] = [
    "#d62728", "#ff7f0e", "#1f77b4", "#17becf", "#2ca02c", "#8c9a1f", "#9467bd", "#8c564b", "#e377c2",
    "#7f7f7f",
];

/// The text of an SVG file; `y_name` says whose time.
pub fn chart(title: &str, y_name: &str, lines: &[Line]) -> String {
    let shown = |line: &Line| -> Vec<(f64, f64)> {
        line.points.iter().copied().filter(|(recall, us)| *recall >= RECALL_FROM && *us > 0.0).collect()
    };
    let costs: Vec<f64> = lines.iter().flat_map(shown).map(|(_, us)| us).collect();
    let low = costs.iter().copied().fold(f64::INFINITY, f64::min).min(1e6);
    let high = costs.iter().copied().fold(low, f64::max);
    let marks = marks(low, high);
    let (low, high) = (marks[0], marks[marks.len() - 1]);
    let x = |recall: f64| LEFT + (recall - RECALL_FROM) / (1.0 - RECALL_FROM) * (RIGHT - LEFT);
    let y = |us: f64| BOTTOM - (us / low).ln() / (high / low).ln() * (BOTTOM - TOP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    text(&mut out, LEFT, 24.0, "start", &format!("<tspan font-size=\"15\">{}</tspan>", escape(title)));
    for step in 0..=6 {
        let recall = RECALL_FROM + f64::from(step) * 0.025;
        rule(&mut out, (x(recall), TOP), (x(recall), BOTTOM));
        text(&mut out, x(recall), BOTTOM + 18.0, "middle", &format!("{recall:.3}"));
    }
    for mark in &marks {
        rule(&mut out, (LEFT, y(*mark)), (RIGHT, y(*mark)));
        text(&mut out, LEFT - 8.0, y(*mark) + 4.0, "end", &mark.to_string());
    }
    text(&mut out, f64::midpoint(LEFT, RIGHT), BOTTOM + 42.0, "middle", "recall@10 (right is better)");
    let middle = f64::midpoint(TOP, BOTTOM);
    let _ = writeln!(
        out,
        "<text x=\"20\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle})\" \
         fill=\"#222\">{} (lower is better)</text>",
        escape(y_name)
    );
    for (at, line) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let width = if line.ours { 3 } else { 1 };
        let points: Vec<(f64, f64)> =
            shown(line).into_iter().map(|(recall, us)| (x(recall), y(us))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            path.join(" ")
        );
        for (x, y) in points {
            let _ =
                writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\" fill=\"{colour}\"/>", width + 1);
        }
        let row = TOP + 10.0 + 22.0 * at as f64;
        let _ = writeln!(
            out,
            "<line x1=\"{}\" y1=\"{row}\" x2=\"{}\" y2=\"{row}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            RIGHT + 16.0,
            RIGHT + 40.0
        );
        text(&mut out, RIGHT + 48.0, row + 4.0, "start", &escape(&line.name));
    }
    out + "</svg>\n"
}

/// Round values (1, 2 or 5 times a power of ten) from below `low` to above `high`; at least two.
fn marks(low: f64, high: f64) -> Vec<f64> {
    let mut all = Vec::new();
    for power in -1..7 {
        all.extend([1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    }
    let first = all.iter().rposition(|mark| *mark <= low).unwrap_or(0);
    let last = all.iter().position(|mark| *mark >= high).unwrap_or(all.len() - 1).max(first + 1);
    all[first..=last.min(all.len() - 1)].to_vec()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{content}</text>"
    );
}

fn rule(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_enclose_what_is_shown() {
        assert_eq!(marks(60.0, 900.0), [50.0, 100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(marks(100.0, 100.0), [100.0, 200.0]);
        assert!(marks(f64::INFINITY.min(1e6), 1e6).len() >= 2);
    }

    #[test]
    fn names_cannot_break_the_picture() {
        let line = Line { name: "a<b&c".into(), points: vec![(0.9, 100.0), (0.5, 1.0)], ours: true };
        let picture = chart("t", "y", &[line]);
        assert!(picture.contains("a&lt;b&amp;c"));
        assert_eq!(picture.matches("<circle").count(), 1, "points outside are not drawn");
    }
}
