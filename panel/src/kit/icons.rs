//! The icons: outlines of 16 × 16 units in the colour of the text around them.
//!
//! They are decoration: the control that holds one has a name of its own.

use sycamore::prelude::*;

/// An icon by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icon(&'static str);

/// A plus.
pub const ADD: Icon = Icon("M7.25 3h1.5v4.25H13v1.5H8.75V13h-1.5V8.75H3v-1.5h4.25z");
/// A disc, as on a recorder.
pub const RECORD: Icon = Icon("M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3z");
/// A circle with a bar across.
pub const CLEAR: Icon = Icon(
    "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zm0 1.5A4.5 4.5 0 0 0 4.3 10.600L10.6 4.300A4.5 4.5 0 0 0 8 3.500zm3.7 1.900L5.4 11.700A4.5 4.5 0 0 0 11.7 5.400z",
);
/// An arrow to and an arrow fro.
pub const TRAFFIC: Icon = Icon(
    "M4.75 13V5.870L2.53 8.090 1.47 7.030 5.5 3l4.030 4.030-1.060 1.060-2.220-2.220V13zm5-10h1.500v7.130l2.220-2.220 1.060 1.060L10.5 13 6.470 8.970 7.530 7.910 9.750 10.130z",
);
/// A triangle to the right.
pub const START: Icon = Icon("M4.5 2.8v10.4L13 8z");
/// A button with the sign for power.
pub const STOP: Icon =
    Icon("M7.25 2h1.5v6h-1.5zM5.2 3.9l.9 1.2a3.9 3.9 0 1 0 3.8 0l.9-1.2a5.4 5.4 0 1 1-5.6 0z");
/// A plug that is pulled: a square.
pub const FORCE_STOP: Icon = Icon("M3.5 3.5h9v9h-9z");
/// An arrow in a circle.
pub const RESET: Icon = Icon("M8 3V.8L11.6 3.9 8 7V4.5a4 4 0 1 0 4 4h1.5A5.5 5.5 0 1 1 8 3z");
/// A bin.
pub const REMOVE: Icon = Icon(
    "M6 2h4v1.2h3.5v1.5h-11V3.200H6zM3.7 5.700h8.600L11.6 14H4.400zm1.6 1.5.450 5.300h4.500l.450-5.300z",
);
/// Three lines.
pub const MENU: Icon = Icon("M2.5 3.750h11v1.500h-11zm0 3.500h11v1.500h-11zm0 3.500h11v1.500h-11z");
/// A question mark.
pub const HELP: Icon = Icon(
    "M7.2 11.200h1.600v1.600H7.200zM8 3a3 3 0 0 1 3 3c0 1.2-.7 1.9-1.4 2.5-.6.5-.9.8-.9 1.500H7.300c0-1.4.8-2 1.4-2.6.5-.4.8-.7.8-1.400a1.5 1.5 0 0 0-3 0H5a3 3 0 0 1 3-3z",
);
/// An arrow out of a window.
pub const POP_OUT: Icon =
    Icon("M3 3h4v1.500H4.500v7h7V9H13v4H3zm6 0h4v4h-1.500V5.560L7.53 9.53 6.47 8.47 10.44 4.500H9z");
/// A magnifying glass.
pub const SEARCH: Icon = Icon(
    "M7 2.500a4.5 4.5 0 0 1 3.6 7.200l2.9 2.9-1.1 1.1-2.9-2.900A4.5 4.5 0 1 1 7 2.500zM7 4a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
);
/// Two sheets of which one is new.
pub const CLONE: Icon = Icon(
    "M2.500 2h8v2.500H9V3.500H4v7h1V12H2.500zm4 3.500h7.500V14H6.500zm3.100 1.500v2.100H7.500v1.300h2.100v2.100h1.300v-2.100H13V9.100h-2.100V7z",
);
/// Two sheets.
pub const COPY: Icon = Icon("M5 2h8v9h-2v3H3V5h2zm1.5 3H11v4.500h.500v-6h-5zM4.5 6.500v6h5v-6z");
/// A keyboard.
pub const KEYBOARD: Icon = Icon(
    "M1.5 4h13v8.500h-13zM3 5.500V11h10V5.500zm1 1h1.500V8H4zm2.5 0H8V8H6.500zm2.5 0h1.500V8H9zm2 0h1.500V8H11zM5 9h6v1.200H5z",
);
/// A frame whose corner is pulled.
pub const RESIZE: Icon =
    Icon("M2.5 3h11v10h-11zM4 4.500v7h8v-7zm6.500 2h1v4h-4v-1h2.300L6.600 6.300l.7-.7 3.200 3.200z");
/// A speaker.
pub const SPEAK: Icon =
    Icon("M2.5 6H5l3.5-3v10L5 10H2.500zm7.7-.9.9-1.100a5 5 0 0 1 0 8l-.9-1.100a3.6 3.6 0 0 0 0-5.800z");
/// A triangle with an exclamation mark.
pub const WARNING: Icon = Icon("M8 1.8 15 14H1zm-.75 4.700v3.500h1.500V6.500zm0 4.500v1.500h1.500V11z");
/// A cross.
pub const CLOSE: Icon = Icon(
    "m4.2 3.1 3.8 3.8 3.8-3.8 1.1 1.100L9.1 8l3.8 3.8-1.1 1.100L8 9.100l-3.8 3.8-1.1-1.100L6.9 8 3.1 4.200z",
);
/// A star.
pub const STAR: Icon =
    Icon("m8 1.500 2 4.200 4.600.600-3.400 3.200.9 4.600L8 11.800l-4.100 2.300.9-4.600L1.400 6.300 6 5.700z");
/// The outline of a star.
pub const STAR_OUTLINE: Icon = Icon(
    "m8 1.500 2 4.200 4.600.600-3.400 3.200.9 4.600L8 11.800l-4.100 2.300.9-4.600L1.400 6.300 6 5.700zm0 3.300L6.900 7l-2.500.300 1.900 1.700-.5 2.500L8 10.200l2.200 1.300-.5-2.500 1.900-1.700L9.100 7z",
);
/// An arrow onto a line.
pub const DOWNLOAD: Icon =
    Icon("M7.250 2h1.500v6l2.200-2.200 1.050 1.050L8 10.850 4 6.850 5.050 5.800 7.250 8zM3 12h10v1.500H3z");
/// An arrow away from a line.
pub const UPLOAD: Icon =
    Icon("M7.250 10.850V4.850L5.050 7.050 4 6 8 2l4 4-1.050 1.050L8.750 4.850v6zM3 12h10v1.500H3z");
/// A paper plane.
pub const SEND: Icon = Icon("M2 2.500 14.5 8 2 13.500V9.200L9 8 2 6.800z");
/// A sheet with an arrow up and an arrow down.
pub const FILES: Icon = Icon(
    "M3 2h6.200L13 5.800V14H3zm1.500 1.500v9h7V6.500H8.500v-3zM6.500 7l1.700 1.800H7.100v2.700H5.900V8.800H4.800zm3 4.700L7.900 9.900h1V7.400h1.200v2.500h1z",
);
/// Two panes side by side.
pub const PANES: Icon = Icon("M2 3h12v10H2zm1.500 1.500v7h3.750v-7zm5.250 0v7h3.750v-7z");
/// Three dots.
pub const MORE: Icon = Icon(
    "M8 2.500a1.25 1.25 0 1 1 0 2.500 1.25 1.25 0 0 1 0-2.500zm0 4.250a1.25 1.25 0 1 1 0 2.500 1.25 1.25 0 0 1 0-2.500zM8 11a1.25 1.25 0 1 1 0 2.500A1.25 1.25 0 0 1 8 11z",
);
/// A triangle to the right behind a bar.
pub const RESUME: Icon = Icon("M3 3h2v10H3zm4 0v10l6.500-5z");
/// An arrow up.
pub const UP: Icon = Icon("m8 4.4 5 5-1.1 1.100L8 6.600l-3.9 3.900L3 9.400z");
/// An arrow down.
pub const DOWN: Icon = Icon("m8 11.6-5-5 1.1-1.100L8 9.400l3.9-3.900L13 6.600z");
/// A full circle.
pub const DISC: Icon = Icon("M8 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8z");
/// An empty circle.
pub const RING: Icon =
    Icon("M8 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zm0 1.300a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.400z");
/// Three quarters of a circle.
pub const ARC: Icon = Icon("M8 3.500v1.400A3.1 3.1 0 1 0 11.1 8h1.400A4.5 4.5 0 1 1 8 3.500z");
/// Two bars.
pub const BARS: Icon = Icon("M4.5 4h2.400v8H4.500zm4.6 0h2.400v8H9.100z");

/// Draws an icon.
pub fn icon(Icon(path): Icon) -> View {
    view! {
        svg(class="icon", viewBox="0 0 16 16", aria-hidden="true") {
            path(d=path, fill-rule="evenodd")
        }
    }
}
