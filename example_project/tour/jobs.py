"""Jobs to look at on the dashboard."""

from __future__ import annotations

import time

from faktory_django import current_job, job

WORDS = ("reading", "counting", "sorting", "writing")


@job(queue="default", reserve_for=600)
def slow_report(seconds: int = 120) -> None:
    """Take its time, and say how far it is."""
    for second in range(seconds):
        word = WORDS[second * len(WORDS) // seconds]
        current_job().progress(100 * second / seconds, f"{word}, part {second + 1} of {seconds}")
        time.sleep(1)
    current_job().progress(100, "done")
