"""Jobs as Kubernetes Jobs: `spec.suspend` pauses and resumes them, by the official client.

A Job carries what the market knows about it in annotations: `bitwatt.io/full-w`, `bitwatt.io/work-left-s`,
`bitwatt.io/deadline`. Suspending deletes the Job's pods, so its work must save its own state (checkpoints);
only Jobs labelled `bitwatt.io/flexible=true` are touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from backend.vpp.jobs.control import Job, JobError, JobState

LABEL = "bitwatt.io/flexible=true"
PREFIX = "bitwatt.io/"


class KubernetesJobs:
    """Job control over one namespace."""

    can_slow = False

    def __init__(self, api: Any, namespace: str) -> None:
        """`api` is a configured `kubernetes.client.ApiClient`."""
        self._batch = client.BatchV1Api(api)
        self._namespace = namespace

    def jobs(self) -> Sequence[Job]:
        """The flexible Jobs of the namespace that are not done."""
        found = []
        listed: Any = self._batch.list_namespaced_job(self._namespace, label_selector=LABEL)
        for item in listed.items:
            if item.status.completion_time is not None:
                continue
            notes = item.metadata.annotations or {}
            name = item.metadata.name
            try:
                full_w = int(notes[PREFIX + "full-w"])
                work, deadline = float(notes[PREFIX + "work-left-s"]), _seconds(notes[PREFIX + "deadline"])
            except (KeyError, ValueError) as error:
                raise JobError(
                    name, f"annotation {error}", "annotate full-w, work-left-s, deadline"
                ) from error
            if item.spec.suspend:
                state = JobState.PAUSED if item.status.start_time or _ran(item) else JobState.QUEUED
            else:
                state = JobState.RUNNING
            found.append(Job(name, state, full_w, work, deadline))
        return found

    def pause(self, job_id: str) -> None:
        """Suspends the Job."""
        self._suspend(job_id, True)

    def resume(self, job_id: str) -> None:
        """Ends its suspension."""
        self._suspend(job_id, False)

    def start(self, job_id: str) -> None:
        """Ends its suspension for the first time."""
        self._suspend(job_id, False)

    def slow(self, job_id: str, speed_milli: int) -> None:
        """Not possible: a Job runs or is suspended."""
        raise JobError(job_id, "a Kubernetes Job cannot run at a part of its speed", "pause it instead")

    def _suspend(self, job_id: str, suspend: bool) -> None:
        try:
            self._batch.patch_namespaced_job(job_id, self._namespace, {"spec": {"suspend": suspend}})
        except ApiException as error:
            mend = "list the jobs" if error.status == 404 else "see the cluster's answer and its RBAC rules"
            raise JobError(job_id, f"the API server answered {error.status} {error.reason}", mend) from error


def _ran(item: Any) -> bool:
    return any(c.type == "Suspended" and c.status == "True" for c in item.status.conditions or ())


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()
