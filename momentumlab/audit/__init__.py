"""The audit: what somebody's optimizer really computes."""

from momentumlab.audit.examine import examine
from momentumlab.audit.report import Defect, Report

__all__ = ["Defect", "Report", "examine"]
