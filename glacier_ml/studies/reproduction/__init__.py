"""The report's figures and wishes as studies over its own grids, run, resumed, drawn and judged."""

from glacier_ml.studies.reproduction.running import reproduce

__all__ = ["reproduce"]
