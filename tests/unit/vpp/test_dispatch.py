"""Events never re-sent blindly; compute sites follow set-points and keep deadlines, with real CPU work."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client

from backend.vpp.errors import FlexError
from backend.vpp.events import Dispatch, NoReceipt, Receipt, Setpoints, State, resolve, send, step
from backend.vpp.jobs import Job, JobError, JobState, Rule, set_point
from backend.vpp.jobs.control import plan, rescue
from backend.vpp.jobs.kubernetes import KubernetesJobs
from backend.vpp.jobs.local import LocalJobs
from backend.vpp.jobs.slurm import SlurmJobs

ORDER = Setpoints("e1", "r1", 0, 900, (500,))
NOW = 1_000_000.0


class Flaky:
    """A receiver that may do what it is told and lose the answer, or lose the message."""

    def __init__(self, *outcomes: str) -> None:
        self.outcomes = list(outcomes)
        self.done: list[str] = []

    def send(self, setpoints: Setpoints) -> Receipt:
        outcome = self.outcomes.pop(0)
        if outcome in ("ok", "answer lost"):
            self.done.append(setpoints.event_id)
        if outcome.endswith("lost"):
            raise NoReceipt(outcome)
        return Receipt(outcome == "ok", "" if outcome == "ok" else outcome)

    def status(self, event_id: str) -> Receipt | None:
        return Receipt(True) if event_id in self.done else None


def test_acknowledged_and_rejected() -> None:
    acked = send(Dispatch(ORDER), Flaky("ok"))
    assert acked.state == State.ACKED and acked.ack_ms is not None
    assert send(Dispatch(ORDER), Flaky("too hot")).reason == "too hot"


def test_a_lost_answer_is_asked_for_and_not_sent_again() -> None:
    receiver = Flaky("answer lost")
    silent = send(Dispatch(ORDER), receiver)
    assert silent.state == State.NO_RECEIPT
    settled = resolve(silent, receiver)
    assert settled.state == State.ACKED and settled.sends == 1 and receiver.done == ["e1"]


def test_a_lost_message_is_sent_again_after_asking() -> None:
    receiver = Flaky("message lost", "ok")
    settled = resolve(send(Dispatch(ORDER), receiver), receiver)
    assert settled.state == State.ACKED and settled.sends == 2 and receiver.done == ["e1"]


def test_sends_are_bounded() -> None:
    receiver = Flaky(*["message lost"] * 5)
    now = send(Dispatch(ORDER), receiver)
    for _ in range(4):
        now = resolve(now, receiver)
    assert now.sends == 3 and now.state == State.NO_RECEIPT


def test_events_only_move_forward() -> None:
    acked = send(Dispatch(ORDER), Flaky("ok"))
    for state in State:
        with pytest.raises(FlexError):
            step(acked, state)
    with pytest.raises(FlexError):
        resolve(acked, Flaky())


def job(name: str, slack: float, watts: int = 1000, state: JobState = JobState.RUNNING) -> Job:
    return Job(name, state, watts, 600.0, NOW + 600 + slack)


def test_shed_pauses_those_with_most_slack_and_never_the_urgent() -> None:
    jobs = [job("a", 5000), job("b", 100), job("c", 9000)]
    assert plan(jobs, 0, NOW, Rule(), False) == [("pause", "c", 0), ("pause", "a", 0)]


def test_shed_slows_where_a_pause_would_be_too_much() -> None:
    assert plan([job("a", 5000)], 700, NOW, Rule(), True) == [("slow", "a", 700)]


def test_raise_resumes_then_starts() -> None:
    jobs = [job("p", 500, state=JobState.PAUSED), job("q", 100, state=JobState.QUEUED)]
    assert plan(jobs, 2500, NOW, Rule(), False) == [("resume", "p", 1000), ("start", "q", 1000)]
    assert plan(jobs, 1500, NOW, Rule(), False) == [("resume", "p", 1000)]


def test_a_deadline_comes_before_the_set_point() -> None:
    late = [job("p", 10, state=JobState.PAUSED)]
    assert rescue(late, NOW, 60) == [("resume", "p", 1000)]


BURN = "import time\nend = time.process_time() + {work}\nwhile time.process_time() < end: pass"


@pytest.fixture
def local() -> Iterator[LocalJobs]:
    jobs = LocalJobs()
    yield jobs
    jobs.close()


def burn(local: LocalJobs, name: str, work: float, slack: float = 3600) -> None:
    command = [sys.executable, "-c", BURN.format(work=work)]
    local.submit(name, command, 200, work, time.time() + work + slack)


def used(local: LocalJobs, name: str, seconds: float) -> float:
    before = local.cpu_seconds(name)
    time.sleep(seconds)
    return local.cpu_seconds(name) - before


def test_real_work_pauses_resumes_slows_and_finishes(local: LocalJobs) -> None:
    burn(local, "a", 1.2)
    local.start("a")
    while local.cpu_seconds("a") < 0.1:
        time.sleep(0.02)
    shed = set_point(local, 0)
    assert shed.actions == (("pause", "a"),) and (shed.before_w, shed.after_w) == (200, 0)
    assert used(local, "a", 0.3) <= 0.02
    raised = set_point(local, 200)
    assert raised.actions == (("resume", "a"),)
    assert used(local, "a", 0.3) > 0
    follow = set_point(local, 120)
    assert follow.actions == (("slow", "a"),) and follow.after_w == 120
    local.slow("a", 1000)
    end = time.time() + 60
    while local.jobs() and time.time() < end:
        time.sleep(0.05)
    assert not local.jobs()


def test_an_urgent_job_is_not_touched(local: LocalJobs) -> None:
    burn(local, "a", 5, slack=1)
    local.start("a")
    reached = set_point(local, 0)
    assert reached.after_w == 200 and reached.actions == ()


def test_unknown_jobs_are_named(local: LocalJobs) -> None:
    with pytest.raises(JobError, match="not known"):
        local.pause("x")


# --- Kubernetes: the official client against a small HTTP server that keeps Jobs in the API's own shapes and
# does what the API documents of suspension (batch/v1). It is written by hand: no cluster was asked.


def job_object(
    name: str, suspend: bool, started: bool, done: bool = False, notes: bool = True, label: str = "true"
) -> dict[str, Any]:
    known = {
        "bitwatt.io/full-w": "3000",
        "bitwatt.io/work-left-s": "600",
        "bitwatt.io/deadline": "2030-01-01T00:00:00+00:00",
    }
    meta = {"name": name, "namespace": "flex", "uid": f"uid-{name}", "resourceVersion": "1",
            "labels": {"bitwatt.io/flexible": label}, "annotations": known if notes else {}}  # fmt: skip
    pod = {"spec": {"containers": [{"name": "c", "image": "busybox"}], "restartPolicy": "Never"}}
    job: dict[str, Any] = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": meta,
        "spec": {"suspend": suspend, "parallelism": 1, "completions": 1, "template": pod}, "status": {},
    }  # fmt: skip
    if suspend and started:
        job["status"] = suspended(True)
    elif started:
        job["status"] = {"active": 0 if done else 1, "startTime": "2024-01-01T00:00:00Z"}
    if done:
        job["status"]["completionTime"] = "2024-01-01T01:00:00Z"
    return job


def suspended(yes: bool) -> dict[str, Any]:
    """The status of a Job that is suspended, or runs again: its start time is cleared and set anew."""
    reason = "JobSuspended" if yes else "JobResumed"
    condition = {"type": "Suspended", "status": str(yes), "reason": reason,
                 "lastTransitionTime": "2024-01-01T00:00:00Z"}  # fmt: skip
    return {"conditions": [condition]} | ({} if yes else {"active": 1, "startTime": "2024-01-01T02:00:00Z"})


class Cluster(BaseHTTPRequestHandler):
    jobs: dict[str, dict[str, Any]]
    asked: list[tuple[str, str, object]]

    def _answer(self, code: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _status(self, code: int, reason: str) -> None:
        self._answer(code, {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
                            "reason": reason, "code": code})  # fmt: skip

    def do_GET(self) -> None:
        self.asked.append(("GET", self.path, None))
        parts = urlsplit(self.path)
        key, value = parse_qs(parts.query)["labelSelector"][0].split("=")
        items = [job for job in self.jobs.values() if job["metadata"]["labels"].get(key) == value]
        shape = {"apiVersion": "batch/v1", "kind": "JobList", "metadata": {"resourceVersion": "9"}}
        self._answer(200, shape | {"items": items})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(("PATCH", self.path, body))
        if "patch+json" not in self.headers["Content-Type"]:
            self._status(415, "UnsupportedMediaType")
            return
        name = self.path.rsplit("/", 1)[1]
        if name not in self.jobs:
            self._status(404, "NotFound")
            return
        job = self.jobs[name]
        if body["spec"]["suspend"] != job["spec"]["suspend"]:
            job["status"] = suspended(body["spec"]["suspend"])
        job["spec"].update(body["spec"])
        self._answer(200, job)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[type[Cluster]]:
    Cluster.jobs = {
        "train": job_object("train", False, True), "batch": job_object("batch", True, True),
        "old": job_object("old", False, True, done=True),
        "firm": job_object("firm", False, True, label="false"),
    }  # fmt: skip
    Cluster.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Cluster.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield Cluster
    server.shutdown()
    server.server_close()


def test_kubernetes_jobs_suspend_and_resume(cluster: type[Cluster]) -> None:
    with client.ApiClient(client.Configuration(host=cluster.url)) as api:  # type: ignore[attr-defined]
        control = KubernetesJobs(api, "flex")
        assert {j.id: j.state for j in control.jobs()} == {
            "train": JobState.RUNNING,
            "batch": JobState.PAUSED,
        }
        shed = set_point(control, 0)
        assert shed.actions == (("pause", "train"),) and (shed.before_w, shed.after_w) == (3000, 0)
        assert set_point(control, 6000).after_w == 6000
        patches = [a for a in cluster.asked if a[0] == "PATCH"]
        assert patches[0] == (
            "PATCH",
            "/apis/batch/v1/namespaces/flex/jobs/train",
            {"spec": {"suspend": True}},
        )
        assert "labelSelector=bitwatt.io" in cluster.asked[0][1]
        with pytest.raises(JobError, match="404"):
            control.pause("nobody")
        with pytest.raises(JobError):
            control.slow("train", 500)
        cluster.jobs["bare"] = job_object("bare", False, True, notes=False)
        with pytest.raises(JobError, match="bare"):
            control.jobs()


def test_slurm_holds_requeues_and_releases() -> None:
    table = {"7": ["RUNNING", "None"], "8": ["PENDING", "JobHeldUser"], "9": ["PENDING", "Priority"]}
    said: list[Sequence[str]] = []
    comment = json.dumps({"full_w": 500, "work_left_s": 60, "deadline": time.time() + 86_400})

    def run(command: Sequence[str]) -> str:
        said.append(command)
        if command[0] == "squeue":
            lines = [f"{name}|{state}|{reason}|{comment}" for name, (state, reason) in table.items()]
            return "\n".join([*lines, "10|RUNNING|None|somebody's own note"])
        name = command[2]
        table[name] = {"requeuehold": ["PENDING", "JobHeldUser"], "release": ["RUNNING", "None"],
                       "top": ["RUNNING", "None"]}[command[1]]  # fmt: skip
        return ""

    control = SlurmJobs("ai", run)
    assert [j.state for j in control.jobs()] == [JobState.RUNNING, JobState.PAUSED, JobState.QUEUED]
    assert set_point(control, 0).after_w == 0
    assert ["scontrol", "requeuehold", "7"] in said
    assert set_point(control, 1000).after_w == 1000
    with pytest.raises(JobError):
        control.slow("7", 500)


def test_slurm_says_where_its_commands_are_missing() -> None:
    with pytest.raises(JobError, match="Slurm"):
        SlurmJobs("ai").jobs()
