//! The report as one HTML page that needs nothing else: no script, no network; light, dark and on paper.

use super::plot;
use super::{show, table::rounds};
use crate::arm::Arm;
use crate::study::fields::{FIELDS, Field, named};
use crate::study::spread::{ENOUGH, Spread};
use crate::study::verdict::{self, Attribution, Verdict};
use crate::study::{ArmStudy, RULE, Session, Study};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotters::style::RGBColor;

/// The whole page.
///
/// # Errors
/// A picture cannot be drawn.
pub(super) fn page(sessions: &[Session]) -> anyhow::Result<String> {
    let bodies = sessions
        .iter()
        .enumerate()
        .map(|(number, one)| session(number, one));
    let bodies = bodies.collect::<anyhow::Result<Vec<Markup>>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "governor-bench" }
                // Else a browser asks for one beside the file, and complains.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Noisy neighbours, with and without help" }
                p { "Whom the governor acted upon: " (Attribution::of(sessions).line()) "." }
                @for body in bodies { (body) }
                (words())
            }
        }
    };
    Ok(page.into_string())
}

fn session(number: usize, session: &Session) -> anyhow::Result<Markup> {
    let studies = session
        .scenarios
        .iter()
        .map(|study| scenario(number, study));
    let studies = studies.collect::<anyhow::Result<Vec<Markup>>>()?;
    let harm = plot::side_by_side(&session.scenarios, "harm_ms")?;
    Ok(html! {
        section {
            h2 { (session.line()) }
            (overview(number, session))
            h3 { "Harm, the less the better" }
            p { "What all requests since the attack's start waited beyond what one takes alone; medians." }
            figure { (PreEscaped(harm)) }
            @if !session.failed.is_empty() {
                h3 { "Runs that came to no end" }
                ul {
                    @for (scenario, arm, round, why) in &session.failed {
                        li { (scenario) ", " (arm.word()) " " (round) ": " (why) }
                    }
                }
            }
        }
        @for study in studies { (study) }
    })
}

/// A line for each scenario, and in it p99 for each arm.
fn overview(number: usize, session: &Session) -> Markup {
    let tried = |arm: &Arm| {
        session
            .scenarios
            .iter()
            .any(|study| study.arm(*arm).is_some())
    };
    let arms: Vec<Arm> = Arm::ALL.into_iter().filter(tried).collect();
    html! {
        table {
            caption { "p99 under attack over p99 alone; medians of the rounds that count" }
            thead {
                tr {
                    th { "scenario" }
                    @for arm in &arms { th { (arm.word()) } }
                    th { "of what the oracle saves" }
                    th { "promised" }
                    th { "verdict" }
                }
            }
            tbody {
                @for study in &session.scenarios {
                    tr {
                        th { a href=(format!("#{number}-{}", study.scenario.name)) { (study.scenario.name) } }
                        @for arm in &arms { (times(study.arm(*arm))) }
                        td { (median(study.arm(Arm::Governor), "of_oracle")) }
                        td { (verdict(study)) }
                        (contained(study))
                    }
                }
            }
        }
    }
}

fn times(arm: Option<&ArmStudy>) -> Markup {
    let Some(times) = arm.and_then(|arm| arm.median("p99_times")) else {
        return html! { td { "–" } };
    };
    let class = match times {
        good if good <= 1.5 => "good",
        bad if bad >= 5.0 => "bad",
        _ => "so-so",
    };
    html! { td class=(class) { (show(times, crate::study::fields::Unit::Times)) } }
}

fn median(arm: Option<&ArmStudy>, name: &str) -> String {
    let shown = arm.and_then(|arm| {
        let field = named(name)?;
        Some(show(arm.spread(field)?.median, field.unit))
    });
    shown.unwrap_or_else(|| "–".to_owned())
}

fn verdict(study: &Study) -> &'static str {
    match study.broken() {
        None => "–",
        Some(broken) if broken.is_empty() => "holds",
        Some(_) => "does not hold",
    }
}

fn contained(study: &Study) -> Markup {
    match study.verdict() {
        Verdict::Unknown => html! { td { "–" } },
        Verdict::Contained => html! { td class="good" { "contained" } },
        Verdict::Not(why) => html! { td class="bad" title=(why.join("; ")) { "not contained" } },
    }
}

fn scenario(number: usize, study: &Study) -> anyhow::Result<Markup> {
    let any = study.arms.iter().any(|arm| !arm.runs.is_empty());
    let pictures = if any {
        Some((plot::timeline(study)?, plot::percentiles(study)?))
    } else {
        None
    };
    Ok(html! {
        section id=(format!("{number}-{}", study.scenario.name)) {
            h2 { (study.scenario.name) }
            p { (study.scenario.title) "." }
            @for why in study.broken().unwrap_or_default() {
                p class="bad" { "Does not hold: " (why) "." }
            }
            @if let Some((timeline, percentiles)) = pictures {
                figure {
                    (PreEscaped(timeline))
                    figcaption {
                        "Latency of each request over the seconds since the attack began (shaded), first round that \
                         counts. Dotted: the governor's alarm; dashed: the first limit; long dashes: all given back."
                    }
                }
                figure {
                    (PreEscaped(percentiles))
                    figcaption {
                        "Latency at each percentile while the attack lasts, all rounds:"
                        @for arm in &study.arms { " " (key(arm.arm)) }
                    }
                }
            }
            (figures(study))
            @for arm in &study.arms {
                @for (round, why) in &arm.discarded {
                    p { "Discarded: " (arm.arm.word()) ", round " (round) ": " (why) "." }
                }
            }
        }
    })
}

/// An arm's colour and name.
fn key(arm: Arm) -> Markup {
    let RGBColor(red, green, blue) = plot::colour(arm);
    html! {
        span class="key" style=(format!("background: rgb({red} {green} {blue})")) {}
        (arm.word())
    }
}

/// Every figure that any arm has, a line each.
fn figures(study: &Study) -> Markup {
    let told = |field: &&Field| study.arms.iter().any(|arm| arm.spread(field).is_some());
    html! {
        details {
            summary { "All figures" }
            table {
                caption { "median (from – to)" }
                thead {
                    tr {
                        th { "figure" }
                        @for arm in &study.arms { th { (arm.arm.word()) } }
                    }
                }
                tbody {
                    tr {
                        th { "rounds" }
                        @for arm in &study.arms { td { (rounds(arm)) } }
                    }
                    @for field in FIELDS.iter().filter(told) {
                        tr {
                            th title=(field.means) { (field.head) }
                            @for arm in &study.arms { td { (spread(arm.spread(field), field)) } }
                        }
                    }
                }
            }
        }
    }
}

fn spread(spread: Option<Spread>, field: &Field) -> Markup {
    let Some(spread) = spread else {
        return html! { "–" };
    };
    let [median, low, high] =
        [spread.median, spread.low, spread.high].map(|value| show(value, field.unit));
    html! {
        (median)
        @if low != high { small { " (" (low) " – " (high) ")" } }
    }
}

/// What the figures mean, from the one list of them.
fn words() -> Markup {
    html! {
        section {
            h2 { "What the figures mean" }
            p { (RULE) }
            p { (verdict::RULE) }
            p {
                "An interval is the 95 % one of the median (order statistics) from " (ENOUGH) " runs on, and from the \
                 least to the most seen under it. Latency counts from the moment a request was due, whatever became of \
                 those before. Where there are several victims the latencies are those of the one that was hit worst."
            }
            dl {
                @for field in FIELDS {
                    dt { (field.head) " (" code { (field.name) } ")" }
                    dd { (field.means) }
                }
            }
        }
    }
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #d0d5da; --good: #0a7a4b; --bad: #b3401a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7eb; --paper: #15181c; --line: #3a4047; --good: #4cc38a; --bad: #ff8a5c; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --line: #999; --good: #064; --bad: #921; }
  section { break-inside: avoid-page; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .3rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; font-weight: 600; }
a { color: inherit; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; color: var(--ink); }
figcaption, small, dd { opacity: .8; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; print-color-adjust: exact; }
svg { width: 100%; height: auto; }
summary { cursor: pointer; padding: .5rem 0; }
";
