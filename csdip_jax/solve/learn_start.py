"""A start for fits of a network, learned from the measurements of a few images of the same kind."""
