//! `governor explain` as text, for somebody who has never seen the inside: who, whom, how much, why not
//! the others, until when.

use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::event::resource_word;
use super::explain_hold::{hold_text, past_table};
use super::explain_suspects::{GROWS, fate_text, suspects_table};
use super::measure::{length, percent, size};
use super::status::{name, role, role_style};
use super::table::{Paint, painted};
use super::text::{clean, shorten};
use crate::model::{
    BlameView, EntitledBy, Excuse, Explanation, Fate, HoldView, Mode, Resource, Role, StrainView,
    Who, WhyNobody,
};

const PATH_MAX: usize = 160;
/// Sentences are broken at this width where the terminal is not narrower.
const WIDTH: u16 = 100;
/// In microseconds since 1970.
const YEAR_10000: u64 = 253_402_300_800_000_000;
/// What is shown as 0.0 %.
const NOTHING: f64 = 0.0005;
/// The column of labels.
const LABEL: usize = 8;

/// The whole answer. `width` is the terminal's, in columns; `None` for a file or a pipe.
#[must_use]
pub fn explanation_text(explanation: &Explanation, width: Option<u16>, paint: Paint) -> String {
    let page = Page { width, paint };
    let mut text = head(explanation, page);
    for sentence in summary(explanation) {
        text.push_str(&page.paragraph("", &sentence));
    }
    text.push('\n');
    let is_told = |strain: &&StrainView| {
        match strain.resource {
            Resource::Cpu | Resource::Memory => true,
            // Nobody waits for tasks: there is something to tell of them only where they run out.
            Resource::Pids => strain.imminent || strain.bucket_s > 0.0,
            // Without the io controller nobody knows.
            Resource::Io => strain.measured_s.is_some(),
        }
    };
    for strain in explanation.strains.iter().filter(is_told) {
        let (label, sentences) = (resource_word(strain.resource), strain_text(strain));
        text.push_str(&page.list(label, &sentences));
    }
    let standing = explanation.held.iter().chain(&explanation.helped);
    for hold in standing.clone() {
        text.push('\n');
        text.push_str(&hold_text(hold, page));
        if !hold.suspects.is_empty() {
            let who = who(&hold.victim);
            let word = resource_word(hold.resource);
            let ago = length(hold.since_s);
            text.push('\n');
            let title = format!(
                "SUSPECTED of {who}'s harm ({word}) when that was decided, {ago} ago; what they took then"
            );
            text.push_str(&page.title(&title));
            text.push_str(&suspects_table(
                &hold.suspects,
                hold.others,
                hold.resource,
                page,
            ));
        }
    }
    let helped = |strain: &StrainView| {
        let mut helped = explanation.helped.iter();
        helped.any(|hold| hold.resource == strain.resource && !hold.suspects.is_empty())
    };
    for strain in &explanation.strains {
        if strain.suspects.is_empty() || helped(strain) {
            continue;
        }
        text.push('\n');
        let word = resource_word(strain.resource);
        text.push_str(&page.title(&format!("SUSPECTED of its harm ({word}) now")));
        text.push_str(&suspects_table(
            &strain.suspects,
            strain.others,
            strain.resource,
            page,
        ));
    }
    if !explanation.history.is_empty() {
        text.push('\n');
        text.push_str(&page.title("HISTORY of what was held of it or for it"));
        text.push_str(&past_table(&explanation.history, page));
    }
    text
}

/// Where it is shown.
#[derive(Clone, Copy)]
pub(super) struct Page {
    pub(super) width: Option<u16>,
    pub(super) paint: Paint,
}

impl Page {
    pub(super) fn title(self, text: &str) -> String {
        format!("{}\n", painted(text, Style::new().bold(), self.paint))
    }

    /// Sentences below each other, with a label before the first.
    pub(super) fn list(self, label: &str, sentences: &[String]) -> String {
        let labels = std::iter::once(label).chain(std::iter::repeat(" "));
        let lines = labels.zip(sentences);
        lines
            .map(|(label, sentence)| self.paragraph(label, sentence))
            .collect()
    }

    /// One sentence, broken between words; with a label it is indented behind that.
    pub(super) fn paragraph(self, label: &str, sentence: &str) -> String {
        let indent = if label.is_empty() { 0 } else { LABEL };
        let width = usize::from(self.width.unwrap_or(WIDTH).min(WIDTH));
        let mut text = format!("{label:indent$}");
        let mut column = text.width().max(indent);
        let mut is_first = true;
        for word in sentence.split(' ') {
            if is_first {
                is_first = false;
            } else if column + 1 + word.width() > width {
                text.push_str(&format!("\n{:indent$}", ""));
                column = indent;
            } else {
                text.push(' ');
                column += 1;
            }
            text.push_str(word);
            column += word.width();
        }
        text.push('\n');
        text
    }
}

fn head(explanation: &Explanation, page: Page) -> String {
    let line = format!(
        "{} ({}): {} for {}",
        who(&explanation.who),
        clean(&explanation.runtime),
        role(explanation.role),
        length(explanation.since_s)
    );
    let style = match explanation.role {
        Role::Aggressor => AnsiColor::Red.on_default().bold(),
        role => role_style(role).bold(),
    };
    let at = moment(explanation.at_us, explanation.wall_us);
    format!(
        "{}\n{:LABEL$}{}\n{:LABEL$}{at}\n\n",
        painted(&line, style, page.paint),
        "path",
        shorten(&explanation.who.path, PATH_MAX),
        "as of",
    )
}

/// A moment for people: the time of day in UTC or, where nobody knows that, the time since the boot.
#[must_use]
pub fn moment(at_us: u64, wall_us: Option<i64>) -> String {
    let wall = wall_us
        .and_then(|wall| u64::try_from(wall).ok())
        // A recording may say anything, and years have four digits.
        .filter(|wall| *wall < YEAR_10000)
        .and_then(|wall| SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(wall)))
        .map(|wall| humantime::format_rfc3339_millis(wall).to_string());
    match wall {
        Some(wall) => wall,
        None => format!("{:.3} s after the start of the clock", at_us as f64 / 1e6),
    }
}

/// What it comes down to.
fn summary(explanation: &Explanation) -> Vec<String> {
    let mut sentences = Vec::new();
    if explanation.mode == Mode::DryRun {
        sentences.push(
            "The governor runs dry: nothing is written, and what is called held would be held."
                .to_owned(),
        );
    }
    let others = |whose: fn(&HoldView) -> &Who, holds: &[HoldView]| {
        let mut names: Vec<String> = holds.iter().map(|hold| who(whose(hold))).collect();
        names.dedup();
        names.join(" and ")
    };
    let victims = others(|hold| &hold.victim, &explanation.held);
    let aggressors = others(|hold| &hold.aggressor, &explanation.helped);
    sentences.push(match explanation.role {
        Role::Aggressor => format!(
            "It took more than it may take while {victims} waited, so it is held."
        ),
        Role::Victim if aggressors.is_empty() => {
            "It waits for what others take, and nobody is held for it.".to_owned()
        }
        Role::Victim => {
            let is = if explanation.helped.len() > 1 { "are" } else { "is" };
            format!("It waited for what others took, so {aggressors} {is} held for it.")
        }
        Role::Suspect => {
            "It takes more than it may, and somebody waits: whether by its doing is being summed up."
                .to_owned()
        }
        Role::Protected => {
            "The policy protects it: its waiting counts as harm, and it is never held.".to_owned()
        }
        Role::Calm => "Nothing is wrong: nobody harms it, and it harms nobody.".to_owned(),
    });
    if explanation.protected && explanation.role != Role::Protected {
        sentences.push("The policy protects it: it is never held.".to_owned());
    }
    let unanswered = explanation.strains.iter().filter(|strain| strain.alarmed);
    for strain in unanswered {
        if let Some(why) = strain.nobody {
            let word = resource_word(strain.resource);
            let what = if aggressors.is_empty() {
                "Why not"
            } else {
                "Why nobody else is held"
            };
            sentences.push(format!("{what} ({word}): {}.", nobody(why)));
        }
    }
    for blame in &explanation.blamed {
        let of = format!(
            "blamed for {} % of the harm to {} ({})",
            percent(Some(blame.blame)),
            who(&blame.victim),
            resource_word(blame.resource)
        );
        let is_held_for = |hold: &HoldView| hold.victim == blame.victim;
        if blame.fate != Fate::Held {
            let fate = fate_text(&blame.fate);
            sentences.push(format!("It is {of}, and not held for that: {fate}."));
        } else if !explanation.held.iter().any(is_held_for) {
            sentences.push(format!("It is also {of}."));
        }
    }
    let is_told = |blame: &BlameView| matches!(blame.fate, Fate::Exonerated { .. });
    if let Some(left) = explanation.exonerated_s
        && !explanation.blamed.iter().any(is_told)
    {
        sentences.push(format!(
            "For {} yet others are looked at first: to hold it lately brought no relief, or failed.",
            length(left)
        ));
    }
    sentences
}

const fn nobody(why: WhyNobody) -> &'static str {
    match why {
        WhyNobody::NoExcess => "nobody takes more than it may",
        WhyNobody::NoMargin => "so many are to blame alike that nobody stands out",
        WhyNobody::Protected => "the policy protects those who take too much",
        WhyNobody::Exonerated => "to hold those who take too much lately brought no relief",
        WhyNobody::AtFloor => "those who take too much are held already",
        WhyNobody::NoLever => "no knob that may be written moves the one to blame and nobody else",
        WhyNobody::Busy => "whether what was done last helps is being measured",
    }
}

/// How one resource fares.
fn strain_text(strain: &StrainView) -> Vec<String> {
    let Some(age) = strain.measured_s else {
        return vec!["its waiting has not been measured yet".to_owned()];
    };
    let mut sentences = vec![waits(strain)];
    if age > 2.0 {
        sentences.push(format!("that was read {} ago", length(age)));
    }
    if strain.bucket_s > 0.0 && (strain.alarmed || strain.harm > 0.0) {
        sentences.push(format!(
            "so {} of harm have summed up; the alarm, at {}, is {}",
            short(strain.bucket_s),
            short(strain.bucket_size_s),
            if strain.alarmed { "on" } else { "off" }
        ));
    }
    sentences.push(takes(strain));
    sentences
}

fn waits(strain: &StrainView) -> String {
    let tolerated = percent(Some(strain.tolerance));
    if strain.imminent && strain.resource == Resource::Pids {
        let place = strain
            .short_of
            .as_deref()
            .map(|path| format!(" of {}", shorten(path, PATH_MAX)));
        return format!(
            "tasks{} run out within twenty seconds while others start more: that is harm before a fork fails",
            place.unwrap_or_default()
        );
    }
    if strain.imminent {
        return "memory runs out within a second while others grow: that is harm before it waits"
            .to_owned();
    }
    if strain.stalled < NOTHING {
        return "does not wait".to_owned();
    }
    let mut text = format!(
        "waits {} % of the time, {} % by others' doing; up to {tolerated} % is tolerated",
        percent(Some(strain.stalled)),
        percent(Some(strain.harm)),
    );
    if let Some(excuse) = strain.excuse {
        text.push_str("; the rest is no harm: ");
        text.push_str(match excuse {
            Excuse::Satisfied => "it gets what it may take, and waits for itself",
            Excuse::Quota => "its own CPU quota holds it",
            Excuse::Held => "it waits because it is held",
            Excuse::Plenty => "memory is not short on this host",
            Excuse::OwnLimit => "it stands at its own memory limit",
            Excuse::Work => {
                "it would wait as long for its work in calm, or nearly, or memory is short"
            }
            Excuse::Grows => "it is itself one of those who take too much",
        });
    }
    text
}

fn takes(strain: &StrainView) -> String {
    let entitled = &strain.entitled;
    let show = |value: f64| amount(strain.resource, value);
    let may = show(entitled.entitlement);
    let fair = show(entitled.fair);
    match strain.resource {
        Resource::Cpu => {
            let mut text = format!(
                "takes {}, may take {may} while others want more: ",
                show(entitled.usage)
            );
            text.push_str(&match entitled.by {
                EntitledBy::FairShare => "its share by weight among those who run".to_owned(),
                EntitledBy::Demand => format!(
                    "it needed that while there was CPU to spare (its share by weight would be {fair})"
                ),
                EntitledBy::Rest => format!(
                    "what the others, who needed theirs before, leave of its share by weight ({fair})"
                ),
            });
            if entitled.owed_s > 0.0 {
                text.push_str(&format!(
                    "; and may catch up on {} that others kept from it",
                    short(entitled.owed_s)
                ));
            }
            text
        }
        Resource::Memory => {
            let grows = match entitled.grows {
                rate if rate >= GROWS => format!(", grows {}/s", show(rate)),
                _ => String::new(),
            };
            let by = match entitled.by {
                EntitledBy::Demand => "it has held that in calm".to_owned(),
                EntitledBy::FairShare | EntitledBy::Rest => {
                    "an equal part of the host's memory".to_owned()
                }
            };
            format!(
                "has {}{grows}, may have {may} while memory is short: {by}",
                show(entitled.usage)
            )
        }
        Resource::Pids => {
            let by = match entitled.by {
                EntitledBy::Demand => "a little more than it has held in calm",
                EntitledBy::FairShare | EntitledBy::Rest => {
                    "an equal part of what the host can have"
                }
            };
            format!(
                "has {}, may have {may} while they are short: {by}",
                show(entitled.usage)
            )
        }
        Resource::Io => format!(
            "takes {}, may take {may} while others wait for it: what the others do not want, or an equal part",
            show(entitled.usage)
        ),
    }
}

/// CPUs, bytes, tasks, or a part of a device.
pub(super) fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu => format!("{value:.2} CPUs"),
        Resource::Memory => size(Some(value.max(0.0) as u64)),
        Resource::Pids => format!("{value:.0} tasks"),
        Resource::Io => format!("{} % of a device", percent(Some(value))),
    }
}

/// A short time: milliseconds where it is less than a second.
pub(super) fn short(seconds: f64) -> String {
    if seconds < 0.9995 {
        format!("{:.0}ms", seconds * 1e3)
    } else {
        length(seconds)
    }
}

pub(super) fn who(who: &Who) -> String {
    name(&who.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_no_clock_can_show_is_told_by_the_clock_of_the_host() {
        let text = moment(1_500_000, Some(i64::MAX));
        assert_eq!(text, "1.500 s after the start of the clock");
        assert_eq!(moment(1_500_000, Some(-1)), text);
        let last = i64::try_from(YEAR_10000).unwrap() - 1;
        assert_eq!(moment(0, Some(last)), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn sentences_are_broken_between_words_and_stay_behind_their_label() {
        let page = Page {
            width: Some(24),
            paint: Paint::Plain,
        };
        let text = page.paragraph("until", "redis has been calm for two seconds");
        assert_eq!(
            text,
            "until   redis has been\n        calm for two\n        seconds\n"
        );
        let narrow = Page {
            width: Some(1),
            paint: Paint::Plain,
        };
        assert_eq!(narrow.paragraph("", "a b").lines().count(), 2);
    }
}
