"""What the records of a study say together; reads records only and cannot run a model."""

from __future__ import annotations

from qbench.analysis.correlation import Correlation, correlations
from qbench.analysis.frame import Point, perplexity_points

__all__ = ["Correlation", "Point", "correlations", "perplexity_points"]
