"""Networks: backbones, heads, estimators and priors, and how their weights are read."""
