//! Scrapes over several minutes, and the alerts that fire on them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::page::{Page, Series, promtool};
use lockstep_test_support::helm::{Helm, NAMESPACE, the};

/// The pod that is scraped.
pub const POD: &str = "lockstep-1";

/// The second pod of [`Course::of_two_replicas`].
const OTHER_POD: &str = "lockstep-2";

/// Returns the rules of the rendered PrometheusRule.
pub fn rules() -> &'static [Value] {
    static RULES: OnceLock<Vec<Value>> = OnceLock::new();
    RULES.get_or_init(|| {
        let rendered = the("PrometheusRule", &Helm::offline().render("ha", &[]));
        rendered["spec"]["groups"][0]["rules"].as_array().unwrap().clone()
    })
}

/// One sample per minute of each series: a page that Lockstep exported, repeated for some minutes.
#[derive(Debug, Default)]
pub struct Course {
    start: u64,
    minutes: usize,
    samples: BTreeMap<String, Vec<Option<f64>>>,
}

impl Course {
    /// Starts the scrapes at this second since 1970, for alerts that compare with the clock.
    pub fn from(start: u64) -> Self {
        Self { start, ..Self::default() }
    }

    /// Scrapes this page, and no other, for these minutes.
    pub fn then(mut self, page: &Page, minutes: usize) -> Self {
        for series in &page.series {
            self.add(selector(series), minutes, Some(series.value()));
        }
        self.last(minutes)
    }

    /// Scrapes this page for these minutes, with the timestamps of these series following the clock, as those of a live
    /// watch.
    pub fn then_live(mut self, page: &Page, is_live: impl Fn(&Series) -> bool, minutes: usize) -> Self {
        for _ in 0..minutes {
            let now = (self.start + 60 * self.minutes as u64) as f64;
            let mut page = page.clone();
            page.series.iter_mut().filter(|series| is_live(series)).for_each(|series| series.set(now));
            self = self.then(&page, 1);
        }
        self
    }

    /// Scrapes a second replica, which exports the same.
    pub fn of_two_replicas(mut self) -> Self {
        let other = |(selector, samples): (&String, &Vec<Option<f64>>)| {
            assert!(selector.contains(POD), "{selector}");
            (selector.replace(POD, OTHER_POD), samples.clone())
        };
        let others: Vec<_> = self.samples.iter().map(other).collect();
        self.samples.extend(others);
        self
    }

    /// Sets the series `up` for these minutes. Must be called before `then`.
    pub fn up(mut self, is_up: bool, minutes: usize) -> Self {
        let up = format!("up{{namespace=\"{NAMESPACE}\",service=\"lockstep\",pod=\"{POD}\"}}");
        self.add(up, minutes, Some(f64::from(u8::from(is_up))));
        self.last(minutes)
    }

    fn add(&mut self, selector: String, minutes: usize, value: Option<f64>) {
        let samples = self.samples.entry(selector).or_default();
        samples.resize(self.minutes, None);
        samples.extend(std::iter::repeat_n(value, minutes));
    }

    /// Ends these minutes: a series that was not scraped in them has no sample.
    fn last(mut self, minutes: usize) -> Self {
        self.minutes += minutes;
        self.samples.values_mut().for_each(|samples| samples.resize(self.minutes, None));
        self
    }

    /// Asserts that each of these queries returns series at this minute.
    pub fn assert_answered(&self, minute: usize, queries: &[String]) {
        let tests: Vec<Value> = queries
            .iter()
            .map(|query| {
                let expr = format!("count({query}) > bool 0");
                json!({"expr": expr, "eval_time": format!("{minute}m"), "exp_samples": [{"labels": "{}", "value": 1}]})
            })
            .collect();
        let test = json!({
            "evaluation_interval": "1m",
            "tests": [{
                "interval": "1m",
                "start_timestamp": self.start.to_string(),
                "input_series": self.series(),
                "promql_expr_test": tests,
            }],
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("test.json"), test.to_string()).unwrap();
        if let Err(said) = promtool(&["test", "rules", "test.json"], folder.path()) {
            panic!("{said}");
        }
    }

    fn series(&self) -> Vec<Value> {
        let word = |sample: &Option<f64>| sample.map_or("_".to_owned(), |value| value.to_string());
        let values = |samples: &[Option<f64>]| samples.iter().map(word).collect::<Vec<_>>().join(" ");
        let all = self.samples.iter();
        all.map(|(selector, samples)| json!({"series": selector, "values": values(samples)})).collect()
    }
}

/// Returns the selector of a series, with the labels that the Prometheus operator adds.
fn selector(series: &Series) -> String {
    let mut labels = series.labels.clone();
    let name = labels.remove("__name__").unwrap();
    for (label, value) in [("namespace", NAMESPACE), ("service", "lockstep"), ("pod", POD)] {
        labels.insert(label.to_owned(), value.to_owned());
    }
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// An alert and its expected summary for each set of labels.
pub struct Alert {
    name: &'static str,
    firing: Vec<(Value, String)>,
}

impl Alert {
    pub fn named(name: &'static str) -> Self {
        Self { name, firing: Vec::new() }
    }

    /// Expects the alert with this summary and these labels, in addition to those of the rule.
    pub fn says(mut self, labels: Value, summary: impl Into<String>) -> Self {
        self.firing.push((labels, summary.into()));
        self
    }

    /// Expects the alert to be quiet before the first minute, to fire between both, and to be quiet after the last.
    pub fn assert(&self, course: &Course, before: &[usize], between: &[usize], after: &[usize]) {
        assert!(!self.firing.is_empty() && !between.is_empty() && !after.is_empty(), "{}", self.name);
        self.run(course, before, between, after);
    }

    /// Expects the alert to be quiet in these minutes.
    pub fn assert_quiet(&self, course: &Course, minutes: &[usize]) {
        assert!(!minutes.is_empty(), "{}", self.name);
        self.run(course, minutes, &[], &[]);
    }

    fn run(&self, course: &Course, before: &[usize], between: &[usize], after: &[usize]) {
        let rule = rules().iter().find(|rule| rule["alert"] == self.name);
        let rule = rule.unwrap_or_else(|| panic!("there is no alert `{}`", self.name));
        let firing: Vec<Value> =
            self.firing.iter().map(|(labels, text)| expected(rule, labels, text)).collect();
        let quiet = before.iter().chain(after).map(|minute| (minute, Vec::new()));
        let loud = between.iter().map(|minute| (minute, firing.clone()));
        let tests: Vec<Value> = quiet
            .chain(loud)
            .map(|(minute, alerts)| {
                assert!(*minute < course.minutes, "the course has no minute {minute}");
                json!({"eval_time": format!("{minute}m"), "alertname": self.name, "exp_alerts": alerts})
            })
            .collect();
        let test = json!({
            "rule_files": ["rules.json"],
            "evaluation_interval": "1m",
            "tests": [{
                "interval": "1m",
                "start_timestamp": course.start.to_string(),
                "input_series": course.series(),
                "alert_rule_test": tests,
            }],
        });
        let folder = tempfile::tempdir().unwrap();
        let rules = json!({"groups": [{"name": "lockstep", "rules": rules()}]});
        // JSON is YAML.
        std::fs::write(folder.path().join("rules.json"), rules.to_string()).unwrap();
        std::fs::write(folder.path().join("test.json"), test.to_string()).unwrap();
        if let Err(said) = promtool(&["test", "rules", "test.json"], folder.path()) {
            panic!("{}: {said}", self.name);
        }
    }
}

fn expected(rule: &Value, labels: &Value, summary: &str) -> Value {
    let all = |one: &Value, other: &Value| -> Map<String, Value> {
        [one, other].into_iter().flat_map(|labels| labels.as_object().unwrap().clone()).collect()
    };
    let annotations = all(&rule["annotations"], &json!({"summary": summary}));
    json!({"exp_labels": all(&rule["labels"], labels), "exp_annotations": annotations})
}
