"""Studies: plan, cells, workers, store, records, scores and comparisons."""
