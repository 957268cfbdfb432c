"""The jobs of django_tasks_db: their module's path is their name, so they stand in one."""

from __future__ import annotations

from typing import Any

from django.tasks import task

from benchmarks.systems import common


@task
def noop(number: int, text: str) -> None:
    """Do nothing but say so."""
    common.noop(number, text)


@task
def sleep(number: int, text: str) -> None:
    """Wait as for a slow service."""
    common.sleep(number, text)


TASKS: dict[str, Any] = {"noop": noop, "sleep": sleep}
