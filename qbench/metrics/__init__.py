"""Metrics as pure functions of plain values; nothing here knows a model, a task or a file."""

from qbench.metrics.values import MetricDef, MetricValue, point_value

__all__ = ["MetricDef", "MetricValue", "point_value"]
