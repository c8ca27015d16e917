//! Every run as a line of CSV.

use crate::study::Session;
use crate::study::fields::FIELDS;

/// One line for each run that counts, one column for each figure; empty where a run has none.
///
/// # Errors
/// None that a value could cause.
pub(crate) fn csv(sessions: &[Session]) -> anyhow::Result<String> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let head = ["kernel", "scenario", "arm", "round"].into_iter();
    out.write_record(head.chain(FIELDS.iter().map(|field| field.name)))?;
    for session in sessions {
        let release = session.machine.kernel.split(' ').next().unwrap_or_default();
        for study in &session.scenarios {
            for one in study.arms.iter().flat_map(|arm| &arm.runs) {
                let run = &one.run;
                let mut line = vec![
                    release.to_owned(),
                    run.scenario.clone(),
                    run.arm.word().to_owned(),
                    run.round.to_string(),
                ];
                for field in FIELDS {
                    let value = field.of(&one.figures);
                    line.push(value.map_or_else(String::new, |value| value.to_string()));
                }
                out.write_record(&line)?;
            }
        }
    }
    Ok(String::from_utf8(out.into_inner()?)?)
}
