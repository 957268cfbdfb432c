"""The pages of the dashboard, by the names of their URLs, and where each can be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

if TYPE_CHECKING:
    from tests.dashboard.world import World


def pages(busy: World) -> dict[str, str]:
    """Return the address of each page, by a name for its picture."""
    plain = ("overview", "busy", "queues", "scheduled", "retries", "dead", "errors", "types")
    found = {name: reverse(f"faktory:{name}") for name in (*plain, "storage", "audit")}
    found["queue"] = reverse("faktory:queue", args=["default"])
    found["type"] = reverse("faktory:type", args=["FetchURL"])
    for place in ("waiting", "running", "scheduled", "retry", "dead"):
        found[f"job-{place}"] = reverse("faktory:job", args=[getattr(busy, place)])
    found["job-edit"] = reverse("faktory:job_edit", args=[busy.retry])
    return found
