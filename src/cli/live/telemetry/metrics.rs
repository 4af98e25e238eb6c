//! Reads the metric values of a request.
//!
//! In: an `ExportMetricsServiceRequest` as received. Out: values, each with its service. Invariants:
//! the number of values and the length of names are bounded; one metric is decoded at a time.

use crate::run::{MetricKind, MetricPoint};
use crate::vocab::fields::{Groups, Malformed, contents};
use crate::vocab::observed::LONGEST_SERIES;
use crate::vocab::truncated;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Maximum number of values in a request.
const POINTS: usize = 8_192;
/// Longest metric and longest resource that is decoded, in bytes.
const METRIC: usize = 512 << 10;
const RESOURCE: usize = 64 << 10;
/// Longest name of a service, in bytes.
const SERVICE: usize = 64;
/// The service of a resource that names none, as OpenTelemetry's SDKs call it.
const UNKNOWN: &str = "unknown_service";

/// The metric values of a request.
#[derive(Debug, Default)]
pub(crate) struct ReadMetrics {
    pub points: Vec<MetricPoint>,
    /// Number of values beyond [`POINTS`], and of metrics that are too large.
    pub lost: usize,
}

/// Reads the metric values of an `ExportMetricsServiceRequest`.
///
/// # Errors
/// It is not protobuf.
pub(crate) fn read(request: &[u8]) -> Result<ReadMetrics, Malformed> {
    let mut read = ReadMetrics::default();
    // Fields of ExportMetricsServiceRequest, ResourceMetrics and ScopeMetrics.
    for of_resource in contents(request, 1, Groups::Skipped) {
        let of_resource = of_resource?;
        let resource = contents(of_resource, 1, Groups::Skipped)
            .last()
            .transpose()?;
        let source = Source::of(resource.unwrap_or_default())?;
        for of_scope in contents(of_resource, 2, Groups::Skipped) {
            for metric in contents(of_scope?, 2, Groups::Skipped) {
                let metric = metric?;
                if metric.len() > METRIC || read.points.len() >= POINTS {
                    read.lost += 1;
                    continue;
                }
                let mut points = source.points(&Metric::decode(metric)?);
                let room = POINTS - read.points.len();
                read.lost += points.len().saturating_sub(room);
                points.truncate(room);
                read.points.append(&mut points);
            }
        }
    }
    Ok(read)
}

/// The service that a resource names.
fn service_of(resource: &[u8]) -> Result<Arc<str>, Malformed> {
    if resource.len() > RESOURCE {
        return Ok(UNKNOWN.into());
    }
    let resource = Resource::decode(resource)?;
    let mut attributes = resource.attributes.iter();
    let named = attributes.find(|attribute| attribute.key == "service.name");
    let value = named.and_then(|named| named.value.as_ref()?.value.as_ref());
    Ok(match value {
        Some(Any::StringValue(name)) if !name.is_empty() => truncated(name, SERVICE).into(),
        _ => UNKNOWN.into(),
    })
}

/// What exported a metric.
struct Source {
    service: Arc<str>,
    /// Hash of the resource as received, which differs between processes that describe themselves.
    /// It is computed once, since a resource can have megabytes and thousands of values.
    process: u64,
}

/// A distribution: when it began, its attributes, its count, its sum.
type Distribution<'a> = (u64, &'a [KeyValue], u64, Option<f64>);

impl Source {
    fn of(resource: &[u8]) -> Result<Self, Malformed> {
        let mut hasher = DefaultHasher::new();
        resource.hash(&mut hasher);
        Ok(Self {
            service: service_of(resource)?,
            process: hasher.finish(),
        })
    }

    /// The values of a metric.
    fn points(&self, metric: &Metric) -> Vec<MetricPoint> {
        let name = metric.name.as_str();
        match &metric.data {
            Some(Data::Gauge(gauge)) => self.numbers(name, MetricKind::Gauge, &gauge.data_points),
            Some(Data::Sum(sum)) => {
                let kind = kind_of(sum.is_monotonic, sum.aggregation_temporality);
                self.numbers(name, kind, &sum.data_points)
            }
            Some(Data::Histogram(all)) => {
                let points = all.data_points.iter();
                let points =
                    points.map(|p| (p.start_time_unix_nano, &p.attributes[..], p.count, p.sum));
                self.distributions(name, all.aggregation_temporality, points)
            }
            Some(Data::ExponentialHistogram(all)) => {
                let points = all.data_points.iter();
                let points =
                    points.map(|p| (p.start_time_unix_nano, &p.attributes[..], p.count, p.sum));
                self.distributions(name, all.aggregation_temporality, points)
            }
            Some(Data::Summary(_)) | None => Vec::new(),
        }
    }

    fn numbers(
        &self,
        name: &str,
        kind: MetricKind,
        points: &[NumberDataPoint],
    ) -> Vec<MetricPoint> {
        let name = named(name, "");
        let points = points.iter().filter_map(|point| {
            let value = match point.value? {
                Value::AsDouble(value) => value,
                Value::AsInt(value) => value as f64,
            };
            let stream = self.stream(point.start_time_unix_nano, &point.attributes);
            Some(self.point(&name, kind, stream, value))
        });
        points.collect()
    }

    /// The count and the sum of each distribution, as Prometheus names them.
    fn distributions<'a>(
        &self,
        name: &str,
        temporality: i32,
        points: impl Iterator<Item = Distribution<'a>>,
    ) -> Vec<MetricPoint> {
        let kind = kind_of(true, temporality);
        let (count_name, sum_name) = (named(name, "_count"), named(name, "_sum"));
        let mut read = Vec::new();
        for (since, attributes, count, sum) in points {
            let stream = self.stream(since, attributes);
            read.push(self.point(&count_name, kind, stream, count as f64));
            read.extend(sum.map(|sum| self.point(&sum_name, kind, stream, sum)));
        }
        read
    }

    fn point(&self, name: &Arc<str>, kind: MetricKind, stream: u64, value: f64) -> MetricPoint {
        MetricPoint {
            service: self.service.clone(),
            name: name.clone(),
            kind,
            stream,
            value,
        }
    }

    /// Tells apart the values of one metric. Processes that describe themselves alike have begun at
    /// different instants.
    fn stream(&self, since: u64, attributes: &[KeyValue]) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.process.hash(&mut hasher);
        since.hash(&mut hasher);
        for attribute in attributes {
            attribute.encode_to_vec().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The name of a series: that of its metric, cut so that the suffix fits too.
fn named(metric: &str, suffix: &str) -> Arc<str> {
    let name = truncated(metric, LONGEST_SERIES - suffix.len());
    format!("{name}{suffix}").into()
}

fn kind_of(is_monotonic: bool, temporality: i32) -> MetricKind {
    let is_delta = temporality == AggregationTemporality::Delta as i32;
    match (is_monotonic, is_delta) {
        (true, true) => MetricKind::Delta,
        (true, false) => MetricKind::Counter,
        (false, _) => MetricKind::Gauge,
    }
}
