//! Reads the metric values of a request.
//!
//! In: an `ExportMetricsServiceRequest` as received. Out: values, each with its service. Invariants:
//! the number of values and the length of names are bounded; one metric is decoded at a time.

use super::wire::{Malformed, cut, each, last};
use crate::run::{MetricKind, MetricPoint};
use crate::vocab::observed::LONGEST_SERIES;
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

/// Reads a request.
///
/// # Errors
/// It is not protobuf.
pub(crate) fn read(request: &[u8]) -> Result<ReadMetrics, Malformed> {
    let mut read = ReadMetrics::default();
    // Fields of ExportMetricsServiceRequest, ResourceMetrics and ScopeMetrics.
    each(request, 1, |of_resource| {
        let resource = last(of_resource, 1)?.unwrap_or_default();
        let source = Source {
            service: service_of(resource)?,
            resource,
        };
        each(of_resource, 2, |of_scope| {
            each(of_scope, 2, |metric| {
                if metric.len() > METRIC || read.points.len() >= POINTS {
                    read.lost += 1;
                    return Ok(());
                }
                let mut points = source.points(Metric::decode(metric)?);
                let room = POINTS - read.points.len();
                read.lost += points.len().saturating_sub(room);
                points.truncate(room);
                read.points.append(&mut points);
                Ok(())
            })
        })
    })?;
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
        Some(Any::StringValue(name)) if !name.is_empty() => cut(name, SERVICE).into(),
        _ => UNKNOWN.into(),
    })
}

/// What exported a metric.
struct Source<'a> {
    service: Arc<str>,
    /// As received: it differs between processes that describe themselves.
    resource: &'a [u8],
}

impl Source<'_> {
    /// The values of a metric: of a distribution, its sum and its count, as Prometheus names them.
    fn points(&self, metric: Metric) -> Vec<MetricPoint> {
        let name = metric.name.as_str();
        let distribution = |(since, attributes): (u64, &[KeyValue]), delta, count: u64, sum| {
            let kind = kind_of(true, delta);
            let stream = self.stream(since, attributes);
            let point =
                |suffix, value| self.point(&format!("{name}_{suffix}"), kind, stream, value);
            let sum: Option<f64> = sum;
            [
                Some(point("count", count as f64)),
                sum.map(|sum| point("sum", sum)),
            ]
            .into_iter()
            .flatten()
        };
        match metric.data {
            Some(Data::Gauge(gauge)) => self.numbers(name, MetricKind::Gauge, &gauge.data_points),
            Some(Data::Sum(sum)) => {
                let kind = kind_of(sum.is_monotonic, sum.aggregation_temporality);
                self.numbers(name, kind, &sum.data_points)
            }
            Some(Data::Histogram(all)) => {
                let delta = all.aggregation_temporality;
                let points = all.data_points.iter();
                let points = points.flat_map(|p| {
                    let key = (p.start_time_unix_nano, &p.attributes[..]);
                    distribution(key, delta, p.count, p.sum)
                });
                points.collect()
            }
            Some(Data::ExponentialHistogram(all)) => {
                let delta = all.aggregation_temporality;
                let points = all.data_points.iter();
                let points = points.flat_map(|p| {
                    let key = (p.start_time_unix_nano, &p.attributes[..]);
                    distribution(key, delta, p.count, p.sum)
                });
                points.collect()
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
        let value = |point: &NumberDataPoint| match point.value? {
            Value::AsDouble(value) => Some(value),
            Value::AsInt(value) => Some(value as f64),
        };
        let points = points.iter().filter_map(|point| {
            let stream = self.stream(point.start_time_unix_nano, &point.attributes);
            Some(self.point(name, kind, stream, value(point)?))
        });
        points.collect()
    }

    fn point(&self, name: &str, kind: MetricKind, stream: u64, value: f64) -> MetricPoint {
        MetricPoint {
            service: self.service.clone(),
            name: cut(name, LONGEST_SERIES).into(),
            kind,
            stream,
            value,
        }
    }

    /// Tells apart the values of one metric. Processes that describe themselves alike have begun at
    /// different instants.
    fn stream(&self, since: u64, attributes: &[KeyValue]) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.resource.hash(&mut hasher);
        since.hash(&mut hasher);
        for attribute in attributes {
            attribute.encode_to_vec().hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn kind_of(is_monotonic: bool, temporality: i32) -> MetricKind {
    let is_delta = temporality == AggregationTemporality::Delta as i32;
    match (is_monotonic, is_delta) {
        (true, true) => MetricKind::Delta,
        (true, false) => MetricKind::Counter,
        (false, _) => MetricKind::Gauge,
    }
}
