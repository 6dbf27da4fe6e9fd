"""The waist: policy, ledger, artifacts and stages meet here and nowhere else."""

from penstock.runner.opening import OpenRun, RunRequest
from penstock.runner.report import Failure, Observer, RunReport, StageReport
from penstock.runner.run import Runner
from penstock.runner.stage import Limits

__all__ = ["Failure", "Limits", "Observer", "OpenRun", "RunReport", "RunRequest", "Runner", "StageReport"]
