//! The formats of the metrics: OpenMetrics for clients that ask for it, and Prometheus' text format for all others.
//!
//! `promtool check metrics` and older scrapers read the text format alone, and Prometheus asks for OpenMetrics.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, HeaderValue};

/// A format of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Format {
    /// The format that the client prefers; the text format if it prefers none, as Prometheus' own client library answers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let (mut open_metrics, mut text) = (0.0, 0.0);
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in accepted.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let preference = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => &mut open_metrics,
                "text/plain" | "text/*" => &mut text,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
            *preference = weight.unwrap_or(1.0).max(*preference);
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The content type of a response.
    pub(super) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        })
    }

    /// Returns a text in the `OpenMetrics` format in this one.
    pub(super) fn write(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => text_format(&open_metrics),
        }
    }
}

/// Rewrites the lines that describe a metric: the text format names it as its series are named, has no infos, and has no
/// units and no end. The series are the same, without exemplars.
fn text_format(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The name of a metric depends on its type, which stands after its help.
    let mut help = None;
    for line in open_metrics.lines() {
        let Some(description) = line.strip_prefix("# ") else {
            text.push_str(without_exemplar(line));
            text.push('\n');
            continue;
        };
        let mut words = description.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), Some(words)) => help = Some(words),
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some(help) = help.take() {
                    // Only OpenMetrics escapes quotes in a help.
                    let help = help.replace("\\\"", "\"");
                    text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
                }
                text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
            }
            // A unit, or the end.
            _ => {}
        }
    }
    text
}

/// A series without its exemplar. Values of labels may look like one, but no value of a metric precedes it there.
fn without_exemplar(series: &str) -> &str {
    let is_sample = |text: &&str| {
        let value = text.rsplit_once("} ").map(|(_, value)| value.parse::<f64>());
        matches!(value, Some(Ok(_)))
    };
    series.rsplit_once(" # {").map(|(sample, _)| sample).filter(is_sample).unwrap_or(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Format::of(&headers)
    }

    #[test]
    fn a_client_gets_open_metrics_if_it_prefers_it_and_the_text_format_otherwise() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0", Format::OpenMetrics),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text),
            ("text/plain, application/openmetrics-text;q=0.5", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(format(accept), expected, "{accept}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn the_text_format_names_a_metric_as_its_series() {
        let open_metrics = "# HELP a_seconds Time of \\\"it\\\".\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
            a_seconds_total{x=\"# TYPE\"} 1\n# HELP b The build.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
            # HELP c Size.\n# TYPE c gauge\nc 2\n# EOF\n";
        let text = "# HELP a_seconds_total Time of \"it\".\n# TYPE a_seconds_total counter\n\
            a_seconds_total{x=\"# TYPE\"} 1\n# HELP b_info The build.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
            # HELP c Size.\n# TYPE c gauge\nc 2\n";
        assert_eq!(Format::Text.write(open_metrics.to_owned()), text);
        assert_eq!(Format::OpenMetrics.write(open_metrics.to_owned()), open_metrics);
    }

    #[test]
    fn the_text_format_has_no_exemplars() {
        for (series, plain) in [
            ("a_bucket{le=\"0.1\"} 3 # {trace_id=\"4b\"} 0.05 1700000000.5", "a_bucket{le=\"0.1\"} 3"),
            ("a_bucket{le=\"0.1\"} 3", "a_bucket{le=\"0.1\"} 3"),
            ("a{x=\"1 # {y\"} 2", "a{x=\"1 # {y\"} 2"),
            ("a{x=\"1 # {y\"} 2 # {trace_id=\"4b\"} 1.0", "a{x=\"1 # {y\"} 2"),
            ("a 2", "a 2"),
        ] {
            assert_eq!(without_exemplar(series), plain);
        }
    }
}
