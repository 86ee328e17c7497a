"""Compute as flexibility: one job-control interface, three drivers, and the rule that picks jobs."""

from backend.vpp.jobs.control import Job, JobControl, JobError, JobState, Reached, Rule, set_point

__all__ = ["Job", "JobControl", "JobError", "JobState", "Reached", "Rule", "set_point"]
