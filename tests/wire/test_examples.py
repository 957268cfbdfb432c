"""The example and the how-to, as they stand there, against a real server."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from example_project.polyglot.jobs import word_count
from faktory_django import payload
from faktory_django.models import Job
from tests.docs.pages import ROOT, blocks
from tests.waiting import until
from tests.worker.running import no_job_is_left

from .third_party import NODE_WORKER, client_environment

if TYPE_CHECKING:
    from tests.worker.running import Worker

    from .conftest import Begin
    from .running import Server

pytestmark = pytest.mark.node
PAGE = ROOT / "docs" / "how-to" / "workers-in-other-languages.md"
TEXT = "to be or not to be"


@pytest.fixture
def node(begin: Begin, server: Server) -> Begin:
    """Return a function that starts a program in Node, from a file or as text."""

    def run(line: list[str], variables: dict[str, str]) -> Worker:
        program = NODE_WORKER.arguments()[0]
        return begin([program, *line], client_environment(server) | variables)

    return run


def test_the_example_counts_in_node_and_tells_django(node: Begin, django_worker: Worker) -> None:
    node([str(ROOT / "example_project" / "polyglot" / "worker.js")], {})

    word_count.perform_async(TEXT)

    django_worker.wait_for_log(f"6 words: {TEXT}")
    until(no_job_is_left, "both jobs were acked")


def test_the_worker_of_the_how_to_runs_the_job_of_the_how_to(node: Begin) -> None:
    [program] = blocks(PAGE, "js")
    worker = node(["-e", program.text], {})

    word_count.perform_async(TEXT)

    worker.wait_for_log("6 words")
    until(no_job_is_left, "the job was acked")


def test_the_producer_of_the_how_to_needs_only_the_url(locked: Server) -> None:
    [program] = [block for block in blocks(PAGE) if "pyfaktory" in block.text]

    done = subprocess.run(
        [sys.executable, "-c", program.text],
        env=client_environment(locked),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("refused: {}\n", 0), done.stderr
    bodies = [payload.parse(job.body) for job in Job.objects.order_by("id")]
    assert [body.args for body in bodies] == [[TEXT], ["one"], ["two words"]]
    assert {(body.jobtype, body.queue) for body in bodies} == {("WordCount", "node")}
