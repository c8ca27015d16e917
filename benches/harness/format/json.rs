//! Every figure of every run as JSON.

use crate::study::fields::FIELDS;
use crate::study::verdict::{Attribution, Verdict};
use crate::study::{ArmStudy, RULE, Session, Study};
use serde_json::{Map, Value, json};

/// All sessions. A latency that never ended is the string `never`.
///
/// # Errors
/// None that a value could cause.
pub(crate) fn json(sessions: &[Session]) -> anyhow::Result<String> {
    let fields = FIELDS
        .iter()
        .map(|field| (field.name.to_owned(), Value::from(field.means)));
    let all: Vec<Value> = sessions.iter().map(session).collect();
    let whole = json!({
        "sessions": all,
        "fields": fields.collect::<Map<_, _>>(),
        "attribution": Attribution::of(sessions),
        "rule": RULE,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&whole)?))
}

fn session(session: &Session) -> Value {
    let failed = session.failed.iter().map(|(scenario, arm, round, why)| {
        json!({ "scenario": scenario, "arm": arm, "round": round, "why": why })
    });
    json!({
        "machine": session.machine,
        "seeds": session.seeds,
        "scenarios": session.scenarios.iter().map(study).collect::<Vec<_>>(),
        "failed": failed.collect::<Vec<_>>(),
    })
}

fn study(study: &Study) -> Value {
    json!({
        "scenario": study.scenario.name,
        "title": study.scenario.title,
        "class": study.scenario.class,
        "arms": study.arms.iter().map(arm).collect::<Vec<_>>(),
        "broken": study.broken(),
        "verdict": match study.verdict() {
            Verdict::Unknown => Value::Null,
            Verdict::Contained => Value::from("contained"),
            Verdict::Not(why) => json!({ "not": why }),
        },
    })
}

fn arm(arm: &ArmStudy) -> Value {
    let mut figures = Map::new();
    for field in FIELDS {
        if let Some(spread) = arm.spread(field) {
            let spread = json!({
                "median": number(spread.median),
                "low": number(spread.low),
                "high": number(spread.high),
                "runs": spread.runs,
            });
            figures.insert(field.name.to_owned(), spread);
        }
    }
    let runs = arm.runs.iter().map(|one| {
        let values = FIELDS.iter().map(|field| {
            let value = field.of(&one.figures).map_or(Value::Null, number);
            (field.name.to_owned(), value)
        });
        json!({ "round": one.run.round, "figures": values.collect::<Map<_, _>>() })
    });
    let discarded = arm
        .discarded
        .iter()
        .map(|(round, why)| json!({ "round": round, "why": why }));
    json!({
        "arm": arm.arm,
        "figures": figures,
        "runs": runs.collect::<Vec<_>>(),
        "discarded": discarded.collect::<Vec<_>>(),
    })
}

/// JSON has no infinity.
fn number(value: f64) -> Value {
    if value.is_infinite() {
        Value::from("never")
    } else {
        Value::from(value)
    }
}
