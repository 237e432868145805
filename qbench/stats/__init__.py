"""Intervals and paired tests on plain numbers; knows nothing of models, tasks or stores."""

from __future__ import annotations

from qbench.stats.means import Interval, cluster_se, mean_interval
from qbench.stats.paired import (
    discordant,
    mcnemar_exact,
    paired_interval,
    paired_ratio_interval,
)
from qbench.stats.proportions import (
    clopper_pearson,
    paired_proportion_interval,
    proportion_interval,
    wilson,
)
from qbench.stats.ratios import exp_ratio_interval, ratio_interval

__all__ = [
    "Interval",
    "clopper_pearson",
    "cluster_se",
    "discordant",
    "exp_ratio_interval",
    "mcnemar_exact",
    "mean_interval",
    "paired_interval",
    "paired_proportion_interval",
    "paired_ratio_interval",
    "proportion_interval",
    "ratio_interval",
    "wilson",
]
