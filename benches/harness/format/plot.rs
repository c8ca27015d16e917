//! The pictures, as SVG. Text and lines take their colour from the page, so that one picture is read on
//! light and dark screens and on paper; the arms' colours are told apart on all three.

use crate::arm::Arm;
use crate::record::Run;
use crate::study::{ArmStudy, Study};
use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;

/// Replaced by `currentColor` in the finished picture; plotters knows no such colour.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_TEXT: &str = "#010203";

/// In what an arm is drawn: of one brightness, and told apart by those who see no red or green, too.
pub(super) fn colour(arm: Arm) -> RGBColor {
    match arm {
        Arm::None => RGBColor(213, 94, 0),
        Arm::Static => RGBColor(204, 121, 167),
        Arm::Governor => RGBColor(0, 130, 200),
        Arm::Oracle => RGBColor(0, 158, 115),
        Arm::SystemdOomd => RGBColor(150, 120, 40),
        Arm::Earlyoom => RGBColor(140, 110, 200),
        Arm::Oomd => RGBColor(100, 140, 140),
        Arm::Nohang => RGBColor(190, 150, 0),
    }
}

/// Draws into a picture of this size.
fn picture(
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        draw(&area)?;
        area.present().map_err(|why| anyhow!("a picture: {why}"))?;
    }
    // One that scales with the page.
    let size = format!(r#"width="{width}" height="{height}" viewBox"#);
    Ok(svg
        .replacen(&size, "viewBox", 1)
        .replace(INK_TEXT, "currentColor"))
}

/// A picture as a file of its own, which has no page to take its colours from.
pub(super) fn alone(picture: &str) -> String {
    let own = "<svg style=\"color: #1b1f24; background: #ffffff\" ";
    picture.replacen("<svg ", own, 1)
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// The least and the most that a latency axis shows, milliseconds.
fn bounds<'r>(runs: impl Iterator<Item = &'r Run>) -> (f64, f64) {
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    let requests = runs
        .flat_map(|run| &run.victims)
        .flat_map(|victim| &victim.requests);
    for latency in requests.filter_map(|(_, latency)| *latency) {
        let ms = (latency as f64 / 1e3).max(0.05);
        (least, most) = (least.min(ms), most.max(ms));
    }
    if most == 0.0 {
        return (1.0, 10.0);
    }
    // Whole decades, and a little more, so that there are marks to be labelled and no dot on the edge.
    let decade = |ms: f64| 10_f64.powf(ms);
    (
        decade(least.log10().floor()) * 0.9,
        decade(most.log10().ceil()) * 1.1,
    )
}

fn ms_label(ms: &f64) -> String {
    // Only marks that are no sum of rounding errors: 0.3, not 0.30000000000000004.
    let short = |value: f64| {
        format!("{value:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    };
    if *ms >= 1_000.0 {
        format!("{} s", short(ms / 1e3))
    } else {
        format!("{} ms", short(*ms))
    }
}

/// Latency over time in the first round: a panel for each arm, with the attack, the first alarm, the limits
/// and the giving back marked.
///
/// # Errors
/// The picture cannot be drawn.
pub(super) fn timeline(study: &Study) -> anyhow::Result<String> {
    let firsts: Vec<(Arm, &Run)> = study
        .arms
        .iter()
        .filter_map(|arm| Some((arm.arm, &arm.runs.first()?.run)))
        .collect();
    let (least, most) = bounds(firsts.iter().map(|(_, run)| *run));
    let panels = u32::try_from(firsts.len())?;
    picture((900, 150 * panels.max(1) + 20), |area| {
        let parts = area.split_evenly((firsts.len().max(1), 1));
        for ((arm, run), part) in firsts.iter().zip(&parts) {
            panel(part, *arm, run, (least, most)).map_err(|why| anyhow!("a picture: {why}"))?;
        }
        Ok(())
    })
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn panel(part: &Area<'_>, arm: Arm, run: &Run, (least, most): (f64, f64)) -> Drawn {
    // Seconds since the attack's start.
    let at = |us: u64| (us as f64 - run.attack_us as f64) / 1e6;
    let span = at(run.first_us).max(-4.0)..at(run.end_us);
    let mut chart = ChartBuilder::on(part)
        .margin_right(10)
        .x_label_area_size(24)
        .y_label_area_size(64)
        .caption(arm.word(), text(14))
        .build_cartesian_2d(span.clone(), (least..most).log_scale())?;
    chart.draw_series(std::iter::once(Rectangle::new(
        [(0.0, least), (at(run.attack_end_us), most)],
        colour(Arm::None).mix(0.08).filled(),
    )))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.15))
        .axis_style(INK.mix(0.5))
        .label_style(text(12))
        .x_label_formatter(&|second| format!("{second} s"))
        .y_labels(5)
        .y_label_formatter(&ms_label)
        .draw()?;
    for victim in &run.victims {
        let inside = victim
            .requests
            .iter()
            .filter(|(due, _)| span.contains(&at(*due)));
        let dots = inside.map(|(due, latency)| match latency {
            Some(us) => Circle::new(
                (at(*due), (*us as f64 / 1e3).max(least)),
                1.5,
                colour(arm).filled(),
            ),
            // One that was never answered lies on the upper edge.
            None => Circle::new((at(*due), most), 2.0, colour(arm).filled()),
        });
        chart.draw_series(dots)?;
    }
    for (us, dash) in marks(run) {
        let line = [(at(us), least), (at(us), most)];
        chart.draw_series(DashedLineSeries::new(line, dash, 3, INK.mix(0.7).into()))?;
    }
    Ok(())
}

/// What is marked: the first alarm (dotted), the first limit (dashed), when all was given back (long dashes).
fn marks(run: &Run) -> Vec<(u64, u32)> {
    let alarm = run
        .events
        .iter()
        .find(|event| event.at_us >= run.attack_us && event.kind == "alarm");
    // The hand moves a moment before the attack.
    let limit = run
        .writes
        .iter()
        .find(|write| write.at_us + 100_000 >= run.attack_us);
    let restored = run.restored_us.filter(|_| !run.writes.is_empty());
    let all = [
        (alarm.map(|event| event.at_us), 1),
        (limit.map(|write| write.at_us), 4),
        (restored, 10),
    ];
    all.into_iter()
        .filter_map(|(us, dash)| Some((us.filter(|us| *us <= run.end_us)?, dash)))
        .collect()
}

/// The latency at each percentile while the attack lasts, all rounds together; and alone.
///
/// # Errors
/// The picture cannot be drawn.
pub(super) fn percentiles(study: &Study) -> anyhow::Result<String> {
    let runs = || {
        study
            .arms
            .iter()
            .flat_map(|arm| &arm.runs)
            .map(|one| &one.run)
    };
    let (least, most) = bounds(runs());
    picture((900, 300), |area| {
        curves(area, study, (least, most)).map_err(|why| anyhow!("a picture: {why}"))
    })
}

/// Nines: 0 is none, 1 is 90 %, 2 is 99 %, 3 is 99.9 %.
const NINES: f64 = 3.0;

fn curves(area: &Area<'_>, study: &Study, (least, most): (f64, f64)) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(40)
        .x_label_area_size(30)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..NINES, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.15))
        .axis_style(INK.mix(0.5))
        .label_style(text(12))
        .x_labels(4)
        .x_label_formatter(&|nines| {
            format!("{:.5}", 100.0 - 100.0 / 10_f64.powf(*nines))
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
                + " %"
        })
        .y_label_formatter(&ms_label)
        .draw()?;
    for arm in &study.arms {
        let latencies = attacked(arm);
        let points = curve(&latencies, (least, most));
        chart.draw_series(LineSeries::new(points, colour(arm.arm).stroke_width(2)))?;
    }
    Ok(())
}

/// The latencies of all requests that were due in the attacks, ascending, milliseconds.
fn attacked(arm: &ArmStudy) -> Vec<f64> {
    let mut all = Vec::new();
    for run in arm.runs.iter().map(|one| &one.run) {
        for (due, latency) in run.victims.iter().flat_map(|victim| &victim.requests) {
            if (run.attack_us..run.attack_end_us).contains(due) {
                all.push(latency.map_or(f64::INFINITY, |us| us as f64 / 1e3));
            }
        }
    }
    all.sort_by(f64::total_cmp);
    all
}

fn curve(latencies: &[f64], (least, most): (f64, f64)) -> Vec<(f64, f64)> {
    let steps = (0..=90).map(|step| f64::from(step) * NINES / 90.0);
    let at = |nines: f64| {
        let part = 1.0 - 10_f64.powf(-nines);
        let rank = (part * latencies.len() as f64).ceil() as usize;
        let ms = latencies.get(rank.max(1) - 1)?;
        Some((nines, ms.clamp(least, most)))
    };
    steps.filter_map(at).collect()
}

/// One figure of all arms of all scenarios, side by side, on a logarithmic axis.
///
/// # Errors
/// The picture cannot be drawn.
pub(super) fn side_by_side(studies: &[Study], field: &str) -> anyhow::Result<String> {
    let mut bars = Vec::new();
    for study in studies {
        for arm in &study.arms {
            if let Some(median) = arm.median(field).filter(|median| median.is_finite()) {
                bars.push((study.scenario.name.as_str(), arm.arm, median));
            }
        }
    }
    let rows = u32::try_from(bars.len().max(1))?;
    picture((900, rows * 20 + 50), |area| {
        draw_bars(area, &bars).map_err(|why| anyhow!("a picture: {why}"))
    })
}

fn draw_bars(area: &Area<'_>, bars: &[(&str, Arm, f64)]) -> Drawn {
    let most = bars.iter().map(|(.., value)| *value).fold(10.0, f64::max);
    let rows = bars.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin_right(70)
        .margin_top(10)
        .x_label_area_size(30)
        .y_label_area_size(230)
        .build_cartesian_2d((1.0..most).log_scale(), rows..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.15))
        .axis_style(INK.mix(0.5))
        .label_style(text(12))
        .x_label_formatter(&ms_label)
        .draw()?;
    let plane = chart.plotting_area();
    for (row, (name, arm, value)) in bars.iter().enumerate() {
        let top = row as f64;
        plane.draw(&Rectangle::new(
            [(1.0, top + 0.15), (value.max(1.0), top + 0.85)],
            colour(*arm).filled(),
        ))?;
        let (x, y) = plane.map_coordinate(&(value.max(1.0), top + 0.2));
        let shown = super::show(*value, crate::study::fields::Unit::Ms);
        area.draw(&Text::new(shown, (x + 6, y), text(12)))?;
        let (x, _) = plane.map_coordinate(&(1.0, top));
        let label = format!("{name}, {}", arm.word());
        let style = text(12).pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Right,
            plotters::style::text_anchor::VPos::Top,
        ));
        area.draw(&Text::new(label, (x - 8, y), style))?;
    }
    Ok(())
}
