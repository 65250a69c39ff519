"""The operations, one class for each group of endpoints."""

from tator.api.job_api import JobApi

__all__ = ["JobApi"]
