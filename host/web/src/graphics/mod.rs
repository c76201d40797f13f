//! Pictures that the server draws: where each shape lies, in whole units of a view box.
//!
//! Owned here: geometry. Refused here: what is drawn, and the table that says the same (`pages`). Colours are the stylesheet's.

mod bars;
mod calendar;
mod treemap;

pub(crate) use bars::{BARS_HEIGHT, BARS_WIDTH, Bar, bars};
pub(crate) use calendar::{CELL, Calendar, WEEKS};
pub(crate) use treemap::{Area, MAP_HEIGHT, MAP_WIDTH, treemap};
