//! A chart of growth as SVG: a panel for each figure, both axes logarithmic, so that a power of the number of keys is a straight line.
//!
//! Owned here: drawing lines and words. It knows nothing of what they mean.

/// Size of a panel.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
/// Room around the plot of a panel for words: left, right, above and below.
const MARGINS: (f64, f64, f64, f64) = (60.0, 130.0, 34.0, 36.0);
/// One for each series, told apart by people who do not see all colours (Okabe and Ito, 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555"];

/// What is drawn in one plot.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) series: Vec<Series>,
}

/// One line.
pub(crate) struct Series {
    pub(crate) name: String,
    /// Where it goes; what is not above 0 is left out.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    /// To which power of the first its second coordinate grows, between its ends.
    pub(crate) fn exponent(&self) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let exponent = (last.1 / first.1).ln() / (last.0 / first.0).ln();
        exponent.is_finite().then_some(exponent)
    }

    fn drawn(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).map(|(x, y)| (x.log10(), y.log10()))
    }
}

/// The chart, two panels beside each other.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let (width, height) = (2.0 * WIDTH, panels.len().div_ceil(2) as f64 * HEIGHT);
    let drawn = panels.iter().enumerate().map(|(number, panel)| {
        let (x, y) = ((number % 2) as f64 * WIDTH, (number / 2) as f64 * HEIGHT);
        format!("<g transform=\"translate({x},{y})\">{}</g>\n", plot(panel))
    });
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n{}</svg>\n",
        drawn.collect::<String>()
    )
}

fn plot(panel: &Panel) -> String {
    let (left, right, above, below) = MARGINS;
    let all = || panel.series.iter().flat_map(Series::drawn);
    let (x_from, x_to) = decades(all().map(|(x, _)| x));
    let (y_from, y_to) = decades(all().map(|(_, y)| y));
    let at = |x: f64, y: f64| {
        let (across, up) = ((x - x_from) / (x_to - x_from), (y - y_from) / (y_to - y_from));
        (left + across * (WIDTH - left - right), HEIGHT - below - up * (HEIGHT - above - below))
    };
    let mut out = format!("<text x=\"{left}\" y=\"20\" font-weight=\"bold\">{}</text>", panel.title);
    for x in steps(x_from, x_to) {
        let ((x_at, low), (_, high)) = (at(x, y_from), at(x, y_to));
        out += &format!("<path d=\"M{x_at:.1} {low:.1}V{high:.1}\" stroke=\"#ddd\"/>");
        out += &format!("<text x=\"{x_at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", low + 15.0, power(x));
    }
    for y in steps(y_from, y_to) {
        let ((low, y_at), (high, _)) = (at(x_from, y), at(x_to, y));
        out += &format!("<path d=\"M{low:.1} {y_at:.1}H{high:.1}\" stroke=\"#ddd\"/>");
        out += &format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", low - 6.0, y_at + 4.0, power(y));
    }
    for (number, (series, colour)) in panel.series.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<String> =
            series.drawn().map(|(x, y)| at(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        out += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        let exponent = series.exponent().map_or_else(String::new, |exponent| format!(" n^{exponent:.2}"));
        let (x, y) = (WIDTH - right + 8.0, above + 12.0 + number as f64 * 16.0);
        out += &format!("<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}{exponent}</text>", series.name);
    }
    out
}

/// The whole decades around some logarithms, at least one.
fn decades(logarithms: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = logarithms.fold((f64::MAX, f64::MIN), |(low, high), one| (low.min(one), high.max(one)));
    if low > high { (0.0, 1.0) } else { (low.floor(), high.ceil().max(low.floor() + 1.0)) }
}

fn steps(from: f64, to: f64) -> impl Iterator<Item = f64> {
    (0..=(to - from) as u32).map(move |step| from + f64::from(step))
}

fn power(exponent: f64) -> String {
    format!("10<tspan dy=\"-4\" font-size=\"8\">{exponent}</tspan>")
}
