"""Exports the agent's traces and metrics by OTLP over HTTP, as any livekit-agents worker can.

In: OTEL_EXPORTER_OTLP_ENDPOINT, such as http://127.0.0.1:4318 (`loadgen run --otlp-listen`), and
the other variables of OpenTelemetry. Out: spans every 5 s and at the end of each call, metrics
every minute and at the end. Invariant: without that variable, nothing is set up.
"""

from __future__ import annotations

import asyncio
import os

from livekit.agents import JobContext
from livekit.agents.telemetry import set_tracer_provider
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_providers: list[TracerProvider | MeterProvider] = []


def set_up() -> None:
    """To be called once in each job process, before its first job."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", "pipeline")})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    set_tracer_provider(tracers)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    meters = MeterProvider(resource=resource, metric_readers=[reader])
    metrics.set_meter_provider(meters)
    _providers.extend([tracers, meters])


def attach(ctx: JobContext) -> None:
    """Sends what is left when a call ends: its process may live on for the next one."""

    async def flush() -> None:
        for provider in _providers:
            await asyncio.to_thread(provider.force_flush)

    if _providers:
        ctx.add_shutdown_callback(flush)
