"""Jobs to look at on the dashboard."""

from __future__ import annotations

import time

from faktory_django import Batch, Limit, current_job, job

WORDS = ("reading", "counting", "sorting", "writing")


@job(queue="default", reserve_for=600)
def slow_report(seconds: int = 120) -> None:
    """Take its time, and say how far it is."""
    for second in range(seconds):
        word = WORDS[second * len(WORDS) // seconds]
        current_job().progress(100 * second / seconds, f"{word}, part {second + 1} of {seconds}")
        current_job().check_cancelled()
        time.sleep(1)
    current_job().progress(100, "done")


@job(queue="throttled", unique_for=600, history=1)
def knock(number: int) -> None:
    """Take a second; of its queue two run at a time."""
    current_job().log(f"knock {number}")
    time.sleep(1)


@job(limit=Limit(1, key="chapter"), keep_result=True)
def print_page(chapter: str, number: int) -> str:
    """Be a page of a chapter: of each chapter one at a time is printed."""
    time.sleep(1)
    return f"{chapter}, page {number}"


@job
def bind(what: str) -> None:
    """Follow when all pages are printed."""
    current_job().log(f"{what} is printed")


def print_book(chapters: int = 3, pages: int = 30) -> str:
    """Push a batch that has a batch for each chapter; return its id."""
    with Batch("a book", success=bind.s("the book")) as book:
        for chapter in range(1, chapters + 1):
            name = f"chapter {chapter}"
            with Batch(name, success=bind.s(name)) as _:
                print_page.perform_bulk([(name, number) for number in range(1, pages + 1)])
    return book.bid
