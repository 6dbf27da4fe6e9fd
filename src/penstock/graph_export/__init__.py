"""The graph for other programs (GraphML, CSV, Cypher, JSON-LD: one file each), and as a page for people."""

from penstock.graph_export.formats import FORMATS, Counts, export

__all__ = ["FORMATS", "Counts", "export"]
