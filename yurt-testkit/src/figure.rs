//! Figures, their goals, and the JSON lines that report them, alike for all that is measured beside a cluster.
//!
//! Not here: how something is measured. Invariant: a figure gets exactly one line, with a value or with the error that kept
//! it from being measured.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// One number that the project promises.
#[derive(Debug)]
pub struct Figure {
    /// Its name, which says the unit too.
    pub name: &'static str,
    /// The unit of value and goal.
    pub unit: &'static str,
    /// The value must not be larger; nor smaller, where it is reported by [`Figure::report_at_least`].
    pub goal: f64,
}

/// What was measured for one figure.
#[derive(Debug)]
pub struct Reading {
    name: &'static str,
    value: f64,
    baseline: Option<(f64, f64)>,
    detail: Map<String, Value>,
}

impl Reading {
    /// The value of the figure `name`.
    pub fn new(name: &'static str, value: f64) -> Self {
        Self {
            name,
            value,
            baseline: None,
            detail: Map::new(),
        }
    }

    /// What it is without what is measured, and the figure with it over that.
    #[must_use]
    pub fn beside(mut self, baseline: f64, ratio: f64) -> Self {
        self.baseline = Some((baseline, ratio));
        self
    }

    /// Something else that helps to understand the value; its name says the unit.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.detail.insert(name.to_owned(), json!(round(value)));
        self
    }
}

/// What is printed for a figure.
#[derive(Serialize)]
struct Line<'l> {
    figure: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    value: Option<f64>,
    unit: &'l str,
    baseline: Option<f64>,
    ratio: Option<f64>,
    goal: f64,
    /// The goal is the least, not the most.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    met: bool,
    /// Of the machine, over the last minute.
    load: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'l Map<String, Value>>,
}

impl Figure {
    /// The line of JSON that reports the figure after its experiment.
    pub fn report(&self, outcome: &Result<Vec<Reading>>) -> String {
        self.line(outcome, false)
    }

    /// The same for a figure whose goal is the least that its value should be.
    pub fn report_at_least(&self, outcome: &Result<Vec<Reading>>) -> String {
        self.line(outcome, true)
    }

    fn line(&self, outcome: &Result<Vec<Reading>>, at_least: bool) -> String {
        let reading = match outcome {
            Ok(readings) => readings
                .iter()
                .find(|reading| reading.name == self.name)
                .ok_or_else(|| "the measurement did not yield it".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        };
        let measured = reading.as_ref().ok();
        let (baseline, ratio) = measured.and_then(|reading| reading.baseline).unzip();
        let line = Line {
            figure: self.name,
            error: reading.as_ref().err().cloned(),
            value: measured.map(|reading| round(reading.value)),
            unit: self.unit,
            baseline: baseline.map(round),
            ratio: ratio.map(round),
            goal: self.goal,
            at_least,
            met: measured.is_some_and(|reading| {
                if at_least {
                    reading.value >= self.goal
                } else {
                    reading.value <= self.goal
                }
            }),
            load: load_average(),
            detail: measured.map(|reading| &reading.detail),
        };
        // Numbers and strings always have a JSON form.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// Three digits after the point: more is noise.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The machine's load over the last minute.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    const PAIR: [Figure; 2] = [
        Figure {
            name: "first_us",
            unit: "us",
            goal: 150.0,
        },
        Figure {
            name: "second_mb",
            unit: "MB",
            goal: 15.0,
        },
    ];

    fn lines(outcome: &Result<Vec<Reading>>) -> Vec<Value> {
        let line = |figure: &Figure| serde_json::from_str(&figure.report(outcome)).unwrap();
        PAIR.iter().map(line).collect()
    }

    #[test]
    fn a_value_is_judged_by_its_goal() {
        let lines = lines(&Ok(vec![
            Reading::new("first_us", 150.0).beside(1000.0, 1.15),
            Reading::new("second_mb", 15.01).with("objects", 2000.0),
        ]));
        assert_eq!(
            (&lines[0]["met"], &lines[1]["met"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(lines[0]["baseline"], 1000.0);
        assert_eq!(lines[1]["baseline"], Value::Null);
        assert_eq!(lines[1]["detail"]["objects"], 2000.0);
    }

    #[test]
    fn a_goal_may_be_the_least() {
        for (value, met) in [(150.0, true), (149.9, false), (f64::NAN, false)] {
            let line = PAIR[0].report_at_least(&Ok(vec![Reading::new("first_us", value)]));
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&line["met"], &line["at_least"]), (&json!(met), &json!(true)));
        }
    }

    #[test]
    fn no_figure_is_left_out() {
        let failed = lines(&Err(anyhow!("no apiserver")));
        assert!(
            failed
                .iter()
                .all(|line| line["error"] == "no apiserver" && line["met"] == false)
        );
        let partial = lines(&Ok(vec![Reading::new("first_us", 1.0)]));
        assert_eq!(partial[0]["value"], 1.0);
        assert!(partial[1]["error"].is_string() && partial[1]["value"].is_null());
    }

    #[test]
    fn a_value_that_is_no_number_meets_no_goal() {
        let lines = lines(&Ok(vec![Reading::new("first_us", f64::NAN)]));
        assert_eq!(lines[0]["met"], false);
    }

    #[test]
    fn the_name_comes_first() {
        let line = PAIR[0].report(&Ok(vec![Reading::new("first_us", 1.0)]));
        assert!(
            line.starts_with(r#"{"figure":"first_us","value":1.0,"unit":"us","#),
            "{line}"
        );
    }
}
