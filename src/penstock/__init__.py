"""Penstock: sources in, a hybrid search index and a knowledge graph out, nothing lost and nothing done twice."""

__version__ = "0.1.0"
