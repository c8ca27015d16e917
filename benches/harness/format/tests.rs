use super::{files, show, side, table};
use crate::study::fields::{FIELDS, Unit};
use crate::study::tests::{SCENARIO, session, three};
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

fn file(name: &str) -> String {
    let all = files(&[session(three())]).expect("pictures can be drawn");
    let found = all.into_iter().find(|(known, _)| *known == name);
    found.expect("a file of this name").1
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = file("report.html");
    assert!(
        page.contains("<section id=\"0-paper\">"),
        "the scenario is not there"
    );
    assert!(page.matches("<svg").count() >= 3, "pictures are missing");
    for foreign in ["<script", "src=\"http", "href=\"http", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign} is on the page");
    }
}

#[test]
fn pictures_take_the_pages_colour_and_width() {
    let page = file("report.html");
    assert!(page.contains("currentColor"));
    assert!(
        !page.contains("#010203"),
        "a mark for the page's colour was left"
    );
    assert!(
        !page.contains("<svg width"),
        "a picture has a width of its own"
    );
}

#[test]
fn side_by_side_is_a_table_and_a_picture_with_colours_of_its_own() {
    let files = side::files(&[session(three())]).expect("pictures can be drawn");
    let [(picture, svg), (table, text)] = &files[..] else {
        panic!("not two files");
    };
    assert!(picture.ends_with(".svg") && text.contains(picture));
    assert!(svg.starts_with("<svg style=\"color: "), "{}", &svg[..60]);
    assert_eq!(table, "SIDE-BY-SIDE.md");
    let harm = text.lines().find(|line| line.starts_with("| `paper`"));
    assert_eq!(harm.map(|line| line.matches('|').count()), Some(5));
    assert!(text.contains("| nobody |"), "{text}");
}

#[test]
fn json_and_csv_tell_every_figure() {
    let (json, csv) = (file("figures.json"), file("figures.csv"));
    let head = csv.lines().next().expect("a head");
    for field in FIELDS {
        assert!(
            json.contains(&format!("\"{}\"", field.name)),
            "{} is not in the JSON",
            field.name
        );
        assert!(
            head.split(',').any(|name| name == field.name),
            "{} is not in the CSV",
            field.name
        );
    }
    // One line a run.
    assert_eq!(csv.lines().count(), 4);
    let whole: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let p99 = &whole["sessions"][0]["scenarios"][0]["arms"][1]["figures"]["p99_ms"]["median"];
    assert_eq!(p99, 500.0);
}

#[test]
fn the_histogram_log_holds_every_answer() {
    let log = file("latencies.hlog");
    let mut tags = std::collections::BTreeSet::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        if let LogEntry::Interval(interval) = entry.expect("a sound log") {
            tags.insert(interval.tag().expect("a tag").as_str().to_owned());
        }
    }
    let wanted = [
        "paper/governor/1/victim",
        "paper/none/1/victim",
        "paper/oracle/1/victim",
    ];
    assert_eq!(tags.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
}

#[test]
fn the_table_tells_what_does_not_hold() {
    let text = table::table(&[session(three())]);
    assert!(
        text.contains("DOES NOT HOLD: paper: p99 is 50.00 × alone, not 1.5"),
        "{text}"
    );
    let lines: Vec<&str> = text.lines().collect();
    insta::assert_snapshot!(lines[1..lines.len() - 2].join("\n"), @r"
    Linux , 1 × , 0 MiB of RAM, 0 MiB of swap; seed 0

     scenario  arm       rounds  p50      p99      p99 × alone  answered  harm     of the oracle  first limit  relief   attackers keep  precision  wrong  exact
     paper     none      1       1010 ms  1010 ms  101          90.0 %    100.0 s  0.0 %          –            –        88.9 %          –          0.0 s  100.0 %
     paper     governor  1       12.0 ms  500 ms   50.0         100.0 %   5080 ms  94.9 %         200 ms       900 ms   88.9 %          100.0 %    0.0 s  100.0 %
     paper     oracle    1       10.0 ms  10.0 ms  1.00         100.0 %   0.00 ms  100.0 %        –            0.00 ms  88.9 %          –          0.0 s  100.0 %
    NOT CONTAINED: paper: p99 500 ms: 50.0 × alone, 50.0 × the hand's
    DOES NOT HOLD: paper: p99 is 50.00 × alone, not 1.5

    attribution: 1 of 1 interventions on a true aggressor: precision 100.0 % (95 %: at least 20.7 %); 1 of 1 aggressors held: recall 100.0 %
    ");
}

#[test]
fn the_catalogue_tells_what_is_not_contained_and_what_was_not_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, row) in [("paper", "cpu: a hog"), ("other", "io: a flood")] {
        let text = SCENARIO.replace("class", &format!("row = \"{row}\"\nclass"));
        std::fs::write(folder.path().join(format!("{name}.toml")), text).expect("written");
    }
    let known = crate::scenario::find::find(folder.path(), &[]).expect("both are valid");
    let text = super::attacks::attacks(&[session(three())], &known);
    for part in [
        "| cpu: a hog | `paper`: on paper | 1 | 101 → 50.0 (1.00) | **not**: p99 500 ms: 50.0 × alone, 50.0 × the hand's |",
        "| io: a flood | `other`: on paper | – | – | not measured |",
        "- 0 of 2 rows of attacks contained in all of their scenarios; not in all: cpu: a hog; not measured: io: a flood.",
        "- 0 of 0 benign rows left alone",
        "1 of 1 interventions on a true aggressor",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn what_never_came_is_told_as_never() {
    assert_eq!(show(f64::INFINITY, Unit::Ms), "never");
    assert_eq!(show(0.987, Unit::Share), "98.7 %");
    assert_eq!(show(12_345.0, Unit::Ms), "12.3 s");
    assert_eq!(show(44.2, Unit::Ms), "44.2 ms");
}
