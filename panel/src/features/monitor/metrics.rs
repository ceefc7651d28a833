//! The metrics strip: how busy a VM is, as numbers and small charts of the last minute, and its boot's phases.

use std::fmt::Write as _;

use qemuweb_wire::monitor::Metrics;
use qemuweb_wire::vm::Phase;
use sycamore::prelude::*;

use super::state::{MAX_METRICS, Monitors};
use crate::cx::Tab;
use crate::features::machines::words;
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::text;

/// A chart's size in its own units.
const WIDTH: f64 = 100.0;
const HEIGHT: f64 = 24.0;
/// Measurements that fit into a chart.
const POINTS: usize = MAX_METRICS;

/// Why there is nothing to draw of the network.
const NETWORK: &str =
    "Network: this build of QEMU has no backend for it, machines are not connected to anything.";

/// One line of a chart: bytes per second, or a share from 0 to 1.
type Series = Vec<f64>;

/// The differences of a counter per second. What went backwards was reset.
#[expect(clippy::cast_precision_loss, reason = "drawn, and shown with three digits")]
fn rates(metrics: &[Metrics], counter: fn(&Metrics) -> u64) -> Series {
    metrics
        .iter()
        .zip(metrics.iter().skip(1))
        .map(|(before, after)| {
            let seconds = ((after.at - before.at) / 1000.0).max(0.001);
            counter(after).saturating_sub(counter(before)) as f64 / seconds
        })
        .collect()
}

/// An SVG path through the values, the latest at the right end; `most` is the upper edge.
fn line(values: &[f64], most: f64) -> String {
    let mut path = String::new();
    let first = values.len().saturating_sub(POINTS);
    let shown = &values[first..];
    #[expect(clippy::cast_precision_loss, reason = "at most 60")]
    for (index, value) in shown.iter().enumerate() {
        let x = WIDTH - (shown.len() - 1 - index) as f64 * WIDTH / (POINTS - 1) as f64;
        let share = if most > 0.0 {
            (value / most).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let command = if index == 0 { 'M' } else { 'L' };
        // A string takes everything.
        let _ = write!(
            path,
            "{command}{x:.1} {:.1}",
            HEIGHT - 1.0 - share * (HEIGHT - 2.0)
        );
    }
    path
}

/// A chart with its name and latest value.
struct Chart {
    name: &'static str,
    title: &'static str,
    value: String,
    lines: Vec<String>,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is positive"
)]
fn per_second(rate: Option<&f64>) -> String {
    rate.map_or_else(
        || "–".to_owned(),
        |rate| format!("{}/s", text::bytes(*rate as u64)),
    )
}

#[expect(clippy::cast_precision_loss, reason = "drawn, and shown with three digits")]
fn charts(metrics: &[Metrics]) -> Vec<Chart> {
    let latest = metrics.last().copied().unwrap_or_default();
    let cpu: Series = metrics.iter().filter_map(|it| it.cpu).collect();
    let memory: Series = metrics
        .iter()
        .filter_map(|it| Some(it.memory_used? as f64 / (it.memory_total? as f64).max(1.0)))
        .collect();
    let (read, written) = (
        rates(metrics, |it| it.disk_read),
        rates(metrics, |it| it.disk_written),
    );
    let busiest = read.iter().chain(&written).copied().fold(1024.0, f64::max);
    let unknown = || "–".to_owned();
    vec![
        Chart {
            name: "CPU",
            title: "Share of time in which the vCPUs are not halted",
            value: latest
                .cpu
                .map_or_else(unknown, |share| format!("{:.0} %", share * 100.0)),
            lines: vec![line(&cpu, 1.0)],
        },
        Chart {
            name: "Memory",
            title: "What the guest uses of its memory, as its balloon driver tells.",
            value: latest
                .memory_used
                .zip(latest.memory_total)
                .map_or_else(unknown, |(used, total)| {
                    format!("{} of {}", used >> 20, text::bytes(total))
                }),
            lines: vec![line(&memory, 1.0)],
        },
        Chart {
            name: "Disk read",
            title: "Bytes that the guest reads from its disks",
            value: per_second(read.last()),
            lines: vec![line(&read, busiest)],
        },
        Chart {
            name: "Disk written",
            title: "Bytes that the guest writes to its disks",
            value: per_second(written.last()),
            lines: vec![line(&written, busiest)],
        },
    ]
}

/// The strip in a line, below whatever is looked at of an active VM; the monitor has the whole one.
#[component]
pub fn MetricsBar() -> View {
    let machines = Monitors::here().machines;
    let is_shown = memo(move || {
        machines.cx.nav.tab.get() != Tab::Monitor && machines.of_shown(|vm| vm.state.is_active())
    });
    view! {
        (Dynamic { of: move || if is_shown.get() {
            view! { div(class="metrics-bar", data-testid="metrics-bar") { Charts {} } }
        } else {
            View::new()
        } })
    }
}

/// The strip, and the phases of the last boot.
#[component]
pub fn MetricsStrip() -> View {
    let monitors = Monitors::here();
    let times = memo(move || monitors.machines.of_shown(words::phase_times));
    view! {
        Charts {}
        p(class="hint") { (NETWORK) }
        (phases(&times.get_clone()))
    }
}

#[component]
fn Charts() -> View {
    let monitors = Monitors::here();
    let metrics = monitors.metrics;
    let drawn = move || -> Vec<View> {
        let metrics = metrics.get_clone();
        charts(&metrics).into_iter().map(chart).collect()
    };
    view! {
        div(class="metrics", role="group", aria-label="Metrics", data-testid="metrics") {
            (drawn())
        }
    }
}

fn chart(chart: Chart) -> View {
    let Chart {
        name,
        title,
        value,
        lines,
    } = chart;
    let paths: Vec<View> = lines
        .into_iter()
        .map(|line| view! { path(d=line, class="chart-line", "vector-effect"="non-scaling-stroke") })
        .collect();
    view! {
        div(class="metric", title=title) {
            span(class="metric-name") { (name) }
            span(class="metric-value") { (value) }
            svg(class="chart", viewBox=format!("0 0 {WIDTH} {HEIGHT}"), preserveAspectRatio="none", aria-hidden="true") {
                (paths)
            }
        }
    }
}

/// The phases of the last boot as parts of one bar, with their times beside it.
fn phases(times: &[(Phase, f64)]) -> View {
    let whole: f64 = times.iter().map(|(_, took)| took).sum();
    if whole <= 0.0 {
        return View::new();
    }
    let parts: Vec<View> = times
        .iter()
        .enumerate()
        .map(|(index, (_, took))| {
            let style = format!("width: {:.2}%", took / whole * 100.0);
            let class = format!("phase phase-{index}");
            view! { span(class=class, style=style) }
        })
        .collect();
    let items: Vec<View> = times
        .iter()
        .enumerate()
        .map(|(index, (phase, took))| {
            let class = format!("phase-key phase-{index}");
            let text = format!("{} {}", words::phase(*phase), text::seconds(*took));
            view! { li { span(class=class) (text) } }
        })
        .collect();
    let title = format!("Boot, {} in all", text::seconds(whole));
    let label = title.clone();
    let names = times
        .iter()
        .map(|(phase, took)| format!("{} {}", words::phase(*phase), text::seconds(*took)));
    let names = names.collect::<Vec<_>>().join(", ");
    view! {
        section(class="boot-phases", aria-label=label, data-testid="boot-phases") {
            h2 { (title) }
            div(class="phase-bar", title=names, aria-hidden="true") { (parts) }
            ul(class="phase-list") { (items) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u32, disk_read: u64) -> Metrics {
        Metrics {
            at: f64::from(seconds) * 1000.0,
            disk_read,
            ..Metrics::default()
        }
    }

    #[test]
    fn rates_are_per_second_and_survive_a_restart() {
        let metrics = [at(0, 0), at(2, 2048), at(3, 2048), at(4, 10)];
        assert_eq!(rates(&metrics, |it| it.disk_read), [1024.0, 0.0, 0.0]);
        assert_eq!(charts(&metrics)[2].value, "0 B/s");
    }

    #[test]
    fn lines_end_at_the_right_and_stay_inside() {
        assert_eq!(line(&[0.0, 2.0], 1.0), "M98.3 23.0L100.0 1.0");
        assert_eq!(line(&[], 1.0), "");
        assert_eq!(line(&vec![1.0; 200], 0.0).matches(['M', 'L']).count(), POINTS);
    }

    #[test]
    fn what_is_unknown_is_not_made_up() {
        let charts = charts(&[]);
        assert!(charts.iter().all(|chart| chart.value == "–"), "nothing measured");
    }
}
