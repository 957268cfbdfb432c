"""The benchmarks run, and count what the jobs did."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest


def measured(*options: str) -> tuple[list[dict[str, Any]], str]:
    """Run the benchmarks on the server of the tests; return their rows, and all that they say."""
    command = [sys.executable, "-m", "benchmarks.run", "--runs", "1", "--scale", "0.005", *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    return [row for row in rows if "figure" in row], ran.stdout


@pytest.mark.usefixtures("django_db_setup")
def test_a_drain_counts_each_job_once_and_says_what_it_cost() -> None:
    rows, said = measured("--figures", "drain_2kb,sleep")

    assert [row["variant"] for row in rows] == ["two", "sleep", "threads"]
    for row in rows:
        assert (row["ran"], row["twice"]) == (row["jobs"], 0)
        assert min(row["per_s"], row["per_cpu_s"], row["rss_mb"]) > 0
    assert "| system | variant | jobs |" in said
    assert '"fsync"' in said


def test_what_is_not_known_is_an_error() -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--figures", "speed"]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 2
    assert "speed" in ran.stderr
