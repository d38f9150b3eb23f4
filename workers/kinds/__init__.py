"""Load each kind of model."""
