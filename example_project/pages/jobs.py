"""The jobs of the example."""

from __future__ import annotations

import re
import urllib.request

from example_project.pages.models import Page
from faktory_django import current_job, job

TIMEOUT_SECONDS = 5


@job(retry=5, reserve_for=60)
def fetch_url(url: str) -> None:
    """Fetch a page, print its beginning and keep what it is called."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"only http and https, got {url!r}")
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        body = answer.read(1_000_000)
    text = body.decode(answer.headers.get_content_charset() or "utf-8", "replace")
    print(f"{url}: {answer.status}, {len(body)} bytes\n{text[:200]}", flush=True)  # noqa: T201
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    Page.objects.create(
        url=url,
        jid=current_job().jid,
        status=answer.status,
        title=title.group(1).strip()[:200] if title else "",
        size=len(body),
    )
