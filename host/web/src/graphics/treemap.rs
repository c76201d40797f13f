//! A treemap: each value has an area in proportion, and large ones are nearly square.

/// Width of the view box.
pub(crate) const MAP_WIDTH: u64 = 1200;
/// Its height.
pub(crate) const MAP_HEIGHT: u64 = 400;

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) width: u64,
    pub(crate) height: u64,
}

/// An area for each value; the largest comes first. What is too small for a unit has an area without width or height.
pub(crate) fn treemap(values: &[u64]) -> Vec<Area> {
    let mut areas = Vec::with_capacity(values.len());
    divide(values, Area { x: 0, y: 0, width: MAP_WIDTH, height: MAP_HEIGHT }, &mut areas);
    areas
}

/// Halves what there is as evenly as its order allows, and the room across its longer side, until each has its own.
fn divide(values: &[u64], room: Area, areas: &mut Vec<Area>) {
    let ([first, rest @ ..], total) = (values, sum(values)) else { return };
    if rest.is_empty() {
        areas.push(room);
        return;
    }
    let mut taken = u128::from(*first);
    let mut number = 1;
    for value in rest.iter().take(rest.len() - 1) {
        if (taken + u128::from(*value)) * 2 > total {
            break;
        }
        taken += u128::from(*value);
        number += 1;
    }
    let part = |length: u64| u64::try_from(u128::from(length) * taken / total.max(1)).unwrap_or(length).min(length);
    let (left, right) = if room.width >= room.height {
        let width = part(room.width);
        (Area { width, ..room }, Area { x: room.x + width, width: room.width - width, ..room })
    } else {
        let height = part(room.height);
        (Area { height, ..room }, Area { y: room.y + height, height: room.height - height, ..room })
    };
    let (before, after) = values.split_at(number);
    divide(before, left, areas);
    divide(after, right, areas);
}

fn sum(values: &[u64]) -> u128 {
    values.iter().copied().map(u128::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_fill_the_picture_and_are_as_large_as_their_values() {
        let values = [600, 300, 50, 40, 10];
        let areas = treemap(&values);
        let size = |area: &Area| area.width * area.height;
        assert_eq!(areas.iter().map(size).sum::<u64>(), MAP_WIDTH * MAP_HEIGHT);
        for (value, area) in values.iter().zip(&areas) {
            let right = MAP_WIDTH * MAP_HEIGHT * value / 1000;
            assert!(size(area).abs_diff(right) < 3 * MAP_WIDTH, "{value}: {area:?}");
        }
        assert!(treemap(&[]).is_empty());
        assert_eq!(treemap(&[0, 0, 0]).len(), 3);
        assert_eq!(treemap(&[u64::MAX; 100]).len(), 100);
    }
}
