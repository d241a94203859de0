"""One page of everything found under a folder."""
