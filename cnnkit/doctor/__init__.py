"""The doctor: is this data right?"""

from __future__ import annotations

from cnnkit.doctor.base import ClassCount, Finding, Patient, Pixels, Report, Severity

__all__ = ["ClassCount", "Finding", "Patient", "Pixels", "Report", "Severity"]
