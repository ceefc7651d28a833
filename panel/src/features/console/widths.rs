//! How many columns a character takes: as many as the guest's `wcwidth` says, or else what a shell or an editor in there
//! draws does not stand where it believes.
//!
//! Guests are Linux, most of them with glibc, whose table this is (2.41, Unicode 16). The crate `unicode-width` has newer
//! data and tells the same for all that glibc knows but the characters in [`NARROW`], [`WIDE`] and [`WITHOUT_WIDTH`]. A
//! character at a time, as `wcwidth` works: programs in guests add up the parts of an emoji that is joined of several.

use unicode_width::UnicodeWidthChar;
use wasm_bindgen::prelude::*;

/// Ranges of characters by their first and last code point.
type Ranges<const N: usize> = [(u32, u32); N];

/// Signs that glibc gives a column of their own, first of all spacing marks of Indic scripts.
const NARROW: Ranges<60> = [
    (0xAD, 0xAD),
    (0x605, 0x605),
    (0x70F, 0x70F),
    (0x890, 0x891),
    (0x8E2, 0x8E2),
    (0x9BE, 0x9BE),
    (0x9D7, 0x9D7),
    (0xB3E, 0xB3E),
    (0xB57, 0xB57),
    (0xBBE, 0xBBE),
    (0xBD7, 0xBD7),
    (0xCC0, 0xCC0),
    (0xCC2, 0xCC2),
    (0xCC7, 0xCC8),
    (0xCCA, 0xCCB),
    (0xCD5, 0xCD6),
    (0xD3E, 0xD3E),
    (0xD4E, 0xD4E),
    (0xD57, 0xD57),
    (0xDCF, 0xDCF),
    (0xDDF, 0xDDF),
    (0x1715, 0x1715),
    (0x1734, 0x1734),
    (0x17A4, 0x17A4),
    (0x17D8, 0x17D8),
    (0x1B35, 0x1B35),
    (0x1B3B, 0x1B3B),
    (0x1B3D, 0x1B3D),
    (0x1B43, 0x1B44),
    (0x1BAA, 0x1BAA),
    (0x1BF2, 0x1BF3),
    (0xA8FA, 0xA8FA),
    (0xA953, 0xA953),
    (0xA9C0, 0xA9C0),
    (0x111C0, 0x111C0),
    (0x111C2, 0x111C3),
    (0x11235, 0x11235),
    (0x1133E, 0x1133E),
    (0x1134D, 0x1134D),
    (0x11357, 0x11357),
    (0x113B8, 0x113B8),
    (0x113C2, 0x113C2),
    (0x113C5, 0x113C5),
    (0x113C7, 0x113C9),
    (0x113CF, 0x113CF),
    (0x113D1, 0x113D1),
    (0x114B0, 0x114B0),
    (0x114BD, 0x114BD),
    (0x115AF, 0x115AF),
    (0x116B6, 0x116B6),
    (0x11930, 0x11930),
    (0x1193D, 0x1193D),
    (0x1193F, 0x1193F),
    (0x11941, 0x11941),
    (0x11A84, 0x11A89),
    (0x11D46, 0x11D46),
    (0x11F02, 0x11F02),
    (0x11F41, 0x11F41),
    (0x1D165, 0x1D166),
    (0x1D16D, 0x1D172),
];
/// Wide ones: numbers in circles, tone marks of Hangul, reading marks of Vietnamese Chinese.
const WIDE: Ranges<3> = [(0x302E, 0x302F), (0x3248, 0x324F), (0x16FF0, 0x16FF1)];
/// The joiner of Tifinagh.
const WITHOUT_WIDTH: Ranges<1> = [(0x2D7F, 0x2D7F)];

/// The columns of a character: 0, 1 or 2.
pub fn width(code: u32) -> u32 {
    if (0x20..0x7F).contains(&code) {
        return 1;
    }
    let is_in = |ranges: &[(u32, u32)]| {
        let next = ranges.partition_point(|&(_, last)| last < code);
        ranges.get(next).is_some_and(|&(first, _)| first <= code)
    };
    if is_in(&NARROW) {
        1
    } else if is_in(&WIDE) {
        2
    } else if is_in(&WITHOUT_WIDTH) {
        0
    } else {
        let width = char::from_u32(code).and_then(UnicodeWidthChar::width);
        // Controls have none, and never come here.
        width.map_or(0, |width| width.min(2) as u32)
    }
}

/// What xterm.js asks about a character and `before`, its answer for the character before it, 0 at the start of a run:
/// in bit 0 whether it joins that one's cell, above it the columns that the cell then has.
pub fn properties(code: u32, before: u32) -> u32 {
    match width(code) {
        0 => before & 0b110 | 1,
        width => width << 1,
    }
}

/// [`width`] as xterm.js takes it, an `IUnicodeVersionProvider`.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct GuestWidths {}

#[wasm_bindgen]
impl GuestWidths {
    /// The name by which a terminal knows these widths.
    #[wasm_bindgen(getter)]
    pub fn version(&self) -> String {
        "guest".to_owned()
    }

    /// See [`width`].
    pub fn wcwidth(&self, code: u32) -> u32 {
        width(code)
    }

    /// See [`properties`].
    #[wasm_bindgen(js_name = charProperties)]
    pub fn char_properties(&self, code: u32, before: u32) -> u32 {
        properties(code, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_glibc() {
        let known = include_str!("../../../tests/wcwidth-glibc.txt");
        let mut checked = 0;
        for line in known.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split(' ').collect();
            let code = |field: &str| u32::from_str_radix(field, 16).unwrap();
            let expected: u32 = fields[2].parse().unwrap();
            for code in code(fields[0])..=code(fields[1]) {
                assert_eq!(width(code), expected, "U+{code:04X}");
                checked += 1;
            }
        }
        assert!(checked > 290_000, "{checked}");
    }

    #[test]
    fn what_no_guest_knows_has_a_width_that_fits_a_cell() {
        for code in 0..=0x11_0000 {
            assert!(width(code) <= 2, "U+{code:04X}");
        }
        assert!(width(u32::MAX) <= 2);
    }

    #[test]
    fn marks_join_the_cell_before_them() {
        let (narrow, wide, mark) = (u32::from('e'), u32::from('漢'), 0x301);
        assert_eq!(properties(narrow, 0), 0b010);
        assert_eq!(properties(wide, properties(narrow, 0)), 0b100);
        assert_eq!(properties(mark, properties(narrow, 0)), 0b011);
        assert_eq!(properties(mark, properties(wide, 0)), 0b101);
        let twice = properties(mark, properties(mark, properties(wide, 0)));
        assert_eq!(twice, 0b101);
        // After an escape sequence xterm.js no longer knows what stands before.
        assert_eq!(properties(mark, 0), 0b001);
    }
}
