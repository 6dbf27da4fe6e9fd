"""A payload that is a PDF, or says where one is, to a PDF at rest."""

from penstock.stages.download.content import is_pdf
from penstock.stages.download.stage import DownloadOptions, HttpDownload

__all__ = ["DownloadOptions", "HttpDownload", "is_pdf"]
