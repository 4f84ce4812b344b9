//! How plots look.

use plotters::style::{Color as _, RGBColor, ShapeStyle};

/// What text is written in.
pub const FONT: &str = "sans-serif";

/// Colours that can be told apart, by those who see few of them too.
pub const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(90, 90, 90),
    RGBColor(86, 180, 233),
    RGBColor(200, 150, 0),
];

/// That of the n-th series.
pub fn style(number: usize) -> ShapeStyle {
    COLOURS[number % COLOURS.len()].stroke_width(2)
}

/// As few digits as tell it from its neighbours.
pub fn label(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// Whether every element of an SVG is closed, in order. For tests.
pub fn is_well_formed(text: &str) -> bool {
    let mut open = Vec::new();
    for tag in text.split('<').skip(1) {
        let Some((tag, _)) = tag.split_once('>') else {
            return false;
        };
        let name = tag.split([' ', '\n']).next();
        match name.and_then(|name| name.strip_prefix('/')) {
            Some(name) if open.pop() != Some(name) => return false,
            Some(_) => {}
            None if tag.ends_with('/') || tag.starts_with(['?', '!']) => {}
            None => open.extend(name),
        }
    }
    open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_short_as_can_be() {
        assert_eq!(
            [10.0, 0.0, 1.05, 1.5].map(label),
            ["10", "0", "1.05", "1.5"]
        );
    }

    #[test]
    fn what_is_left_open_is_not_well_formed() {
        assert!(is_well_formed("<svg a=\"b\"><g><p/></g></svg>"));
        assert!(!is_well_formed("<svg><g></svg></g>") && !is_well_formed("<svg>"));
    }
}
