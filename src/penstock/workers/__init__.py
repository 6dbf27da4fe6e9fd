"""Processes that work on documents waiting at a gate, with no Dagster in them."""
