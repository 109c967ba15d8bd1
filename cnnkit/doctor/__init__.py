"""The doctor: is this data right?"""

from __future__ import annotations

from cnnkit.doctor.base import Finding, Patient, Pixels, Severity

__all__ = ["Finding", "Patient", "Pixels", "Severity"]
