"""One queue, several languages: what one pushes another runs, up to the end of its life."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from faktory_django.models import DeadJob, RetryJob
from tests.jobapp import jobs
from tests.waiting import until
from tests.worker.running import no_job_is_left

from .third_party import CDRX, NODE_WORKER, PYFAKTORY, push

if TYPE_CHECKING:
    from django.test import Client

    from tests.worker.running import Ledger, Worker

    from .conftest import Work
    from .running import Server

pytestmark = pytest.mark.node
RECORD, FAIL = "tests.jobapp.jobs.record", "tests.jobapp.jobs.fail"


def test_a_job_of_python_is_run_by_a_worker_in_node(
    server: Server, work: Work, ledger: Ledger
) -> None:
    jobs.record.perform_async(str(ledger), "pushed by Python")

    work(NODE_WORKER, server)

    ledger.wait_for("pushed by Python")
    until(no_job_is_left, "the job was acked")


def test_a_worker_in_node_that_waits_is_woken_by_a_push_of_python(
    server: Server, work: Work, ledger: Ledger
) -> None:
    work(NODE_WORKER, server)
    jobs.record.perform_async(str(ledger), "first")
    ledger.wait_for("first")

    jobs.record.perform_async(str(ledger), "second")

    ledger.wait_for("second", seconds=1.5)


def test_a_job_of_node_is_run_by_a_worker_of_django(
    server: Server, django_worker: Worker, ledger: Ledger
) -> None:
    push(NODE_WORKER, server, [{"jobtype": RECORD, "args": [str(ledger), "pushed by Node"]}])

    ledger.wait_for("pushed by Node")
    until(no_job_is_left, "the job has ended")
    assert django_worker.process.poll() is None


def test_a_job_of_node_that_fails_in_django_shows_its_traceback(
    server: Server, django_worker: Worker
) -> None:
    push(NODE_WORKER, server, [{"jobtype": FAIL, "args": ["no ink"], "backtrace": 20}])

    until(RetryJob.objects.exists, "the job has failed")
    failure = RetryJob.objects.get().failure_hash
    assert (failure["errtype"], failure["message"]) == ("ValueError", "no ink")
    assert any("jobs.py" in line for line in failure["backtrace"])
    assert django_worker.process.poll() is None


def test_a_jobtype_that_django_does_not_know_is_never_imported(
    server: Server, django_worker: Worker
) -> None:
    push(PYFAKTORY, server, [{"jid": "evil-00001", "jobtype": "os.system", "args": ["true"]}])

    until(RetryJob.objects.exists, "the job has failed")
    assert "os.system" in RetryJob.objects.get().failure_hash["message"]
    assert django_worker.process.poll() is None


def test_a_job_is_pushed_here_fails_there_is_retried_and_dies_in_sight_of_the_admin(
    server: Server, work: Work, admin_client: Client
) -> None:
    push(CDRX, server, [{"jid": "story-00001", "jobtype": FAIL, "args": ["torn"], "retry": 1}])

    worker = work(NODE_WORKER, server)
    until(RetryJob.objects.exists, "the first failure")
    worker.stop()
    with server.connect() as wire:
        wire.greet()
        assert wire.call('MUTATE {"cmd":"requeue","target":"retries"}').raw == b"+OK\r\n"
    work(PYFAKTORY, server)
    until(DeadJob.objects.exists, "the second failure")

    [dead] = DeadJob.objects.all()
    assert (dead.jid, dead.failure_hash["errtype"]) == ("story-00001", "ValueError")
    assert (dead.failure_hash["retry_count"], dead.failure_hash["remaining"]) == (1, 0)
    page = admin_client.get(reverse("admin:faktory_django_deadjob_changelist"))
    assert "story-00001" in page.content.decode()
