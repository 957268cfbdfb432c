"""Two halves of one task: Node counts the words, Django keeps the result."""

from __future__ import annotations

from faktory_django import job


@job(name="WordCount", queue="node", retry=3)
def word_count(text: str) -> None:
    """Count the words of a text; worker.js does it, for only Node works on the queue `node`."""
    raise NotImplementedError(f"WordCount runs in Node, not here: {text!r}")


@job(name="WordCounted")
def keep_count(text: str, words: int) -> None:
    """Print what the worker in Node has counted."""
    print(f"{words} words: {text[:200]}", flush=True)  # noqa: T201
