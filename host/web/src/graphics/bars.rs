//! Bars beside each other, the highest as high as there is room.

/// Width of the view box.
pub(crate) const BARS_WIDTH: u64 = 1200;
/// Its height.
pub(crate) const BARS_HEIGHT: u64 = 160;
/// Widest bar, so that one alone is no wall.
const BAR_MAX: u64 = 48;
/// Room between two bars.
const GAP: u64 = 2;

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) width: u64,
    pub(crate) height: u64,
}

/// A bar for each value, in their order. What is not nothing can be seen.
pub(crate) fn bars(values: &[u64]) -> Vec<Bar> {
    let number = values.len().max(1) as u64;
    let step = (BARS_WIDTH / number).clamp(1, BAR_MAX);
    let highest = u128::from(values.iter().copied().max().unwrap_or(0).max(1));
    let bar = |(place, value): (u64, &u64)| {
        let height = u64::try_from(u128::from(*value) * u128::from(BARS_HEIGHT) / highest).unwrap_or(BARS_HEIGHT);
        let height = if *value > 0 { height.max(2) } else { 0 };
        Bar { x: place * step, y: BARS_HEIGHT - height, width: step.saturating_sub(GAP).max(1), height }
    };
    (0..).zip(values).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_picture_and_what_is_small_is_seen() {
        let drawn = bars(&[0, 1, 1_000_000, u64::MAX]);
        let heights: Vec<u64> = drawn.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [0, 2, 2, BARS_HEIGHT]);
        assert!(drawn.iter().all(|bar| bar.y + bar.height == BARS_HEIGHT && bar.x + bar.width <= BARS_WIDTH));
        assert!(bars(&[]).is_empty());
        assert!(bars(&[7; 90]).iter().all(|bar| bar.x + bar.width <= BARS_WIDTH && bar.width >= 1));
    }
}
