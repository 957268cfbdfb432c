"""The history: the list of jobs that have ended, and what is kept on the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from faktory_django.lifecycle.connection import execute
from faktory_django.models import Attempt, CronEntry, CronTick, FinishedJob, LogLine

from . import world
from .test_job import page, push_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from .world import World


def listed(client: Client, query: str = "") -> Any:
    response = client.get(f"/faktory/finished/{query}")
    assert response.status_code == 200
    return response


def outcomes(client: Client, query: str = "") -> list[str]:
    return [row.outcome for row, _name, _kind in listed(client, query).context["ended"]]


def test_the_latest_comes_first_and_pages_hold_all(chief: Client, busy: World) -> None:
    first = listed(chief)
    ended = [row.at for row, *_ in first.context["ended"]]
    second = listed(chief, first.context["pages"].next)
    back = listed(chief, second.context["pages"].previous)

    assert busy.finished in first.content.decode()
    assert ended == sorted(ended, reverse=True)
    assert (len(ended), len(second.context["ended"])) == (50, 10)
    assert [row.jid for row, *_ in back.context["ended"]] == [
        row.jid for row, *_ in first.context["ended"]
    ]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("outcome:done", 50),
        ("outcome:dead", 2),
        ("-outcome:done", 10),
        ("type:FetchURL", 12),
        ("queue:mail -outcome:done", 0),
        ("error:declined", 3),
        (f"jid:{world.jid('finished', 7)}", 1),
        (world.jid("finished", 7), 1),
        ("outcome:nothing", 0),
    ],
)
@pytest.mark.usefixtures("busy")
def test_it_is_searched_as_the_other_lists_are(chief: Client, query: str, number: int) -> None:
    found = listed(chief, f"?{world_query(query)}").context["ended"]

    assert len(found) == number


def world_query(search: str) -> str:
    from urllib.parse import urlencode

    return urlencode({"q": search})


@pytest.mark.usefixtures("busy")
def test_other_lists_hold_nothing_that_has_ended(chief: Client) -> None:
    for name in ("retries", "scheduled", "dead", "queues/default"):
        response = chief.get(f"/faktory/{name}/?{world_query('outcome:done')}")

        assert response.status_code == 200
        assert list(response.context["rows"]) == []


@pytest.mark.usefixtures("busy")
def test_links_narrow_a_search_to_one_outcome(chief: Client) -> None:
    choices = listed(chief, f"?{world_query('type:FetchURL outcome:dead')}").context["choices"]

    assert [choice.query for choice in choices if choice.current] == [
        world_query("type:FetchURL outcome:dead")
    ]
    assert choices[0].query == world_query("type:FetchURL outcome:done")


def test_an_empty_history_says_how_to_fill_it(chief: Client) -> None:
    assert "set HISTORY_DAYS" in listed(chief).content.decode()


@pytest.mark.usefixtures("busy")
def test_arguments_are_for_those_who_may_see_them(chief: Client, viewer: Client) -> None:
    assert "ada@example.org" in listed(chief).content.decode()
    assert "ada@example.org" not in listed(viewer).content.decode()


@pytest.mark.usefixtures("busy")
def test_a_queue_that_is_closed_to_somebody_is_not_listed(
    viewer: Client, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    assert {row.queue for row, *_ in listed(viewer).context["ended"]} == {"mail"}


@pytest.mark.usefixtures("busy")
def test_a_page_reads_a_fixed_number_of_times(
    chief: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    listed(chief)
    with django_assert_max_num_queries(9):
        listed(chief)


def test_the_page_of_a_job_that_has_ended_tells_its_life(chief: Client, busy: World) -> None:
    text = page(chief, busy.finished)

    assert "succeeded" in text
    for said in ("pushed", "entered its queue", "started", "run 1 failed", "run 2 failed"):
        assert said in text
    assert "gateway.charge(card, amount)" in text
    assert "py-web-1-4711" in text
    assert "&quot;rows&quot;: 310" in text
    assert "page 310 of 500" in text


def test_secrets_are_hidden_in_results_and_lines(chief: Client, busy: World) -> None:
    text = page(chief, busy.finished)

    assert "tok_live_4242" not in text
    assert "hunter2" not in text
    assert "Hidden by rule: token" in text


def test_results_and_lines_need_the_permission_for_arguments(viewer: Client, busy: World) -> None:
    text = page(viewer, busy.finished)

    assert "succeeded" in text
    assert "rows" not in text.partition("How it ended")[2].partition("Failed runs")[0]
    assert "page 310 of 500" not in text
    assert text.count("Hidden: the permission to see the arguments of jobs is needed.") == 2


def test_a_job_of_a_closed_queue_is_not_there(
    viewer: Client, busy: World, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    page(viewer, busy.finished, status=404)


def test_a_living_job_shows_its_failed_runs(chief: Client, busy: World) -> None:
    about = {"bucket": 20991231, "jid": busy.retry, "jobtype": "FetchURL", "queue": "node"}
    row = FinishedJob.objects.get(jid=busy.finished)
    Attempt.objects.create(
        **about, at=row.finished_at, number=1, fate="crash", errtype="CrashedWorker", message="x"
    )

    text = page(chief, busy.retry)

    assert "CrashedWorker: x" in text
    assert "its process died, the job went back" in text


def test_what_a_job_said_and_failed_of_is_there_without_a_row_of_its_end(
    chief: Client, busy: World
) -> None:
    FinishedJob.objects.filter(jid=busy.finished).delete()

    text = page(chief, busy.finished)

    assert "run 1 failed" in text
    assert "No job has the jid" in text


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"result": '["gAAAA"]', "mark": '{"encrypted":"fernet"}'}, ">encrypted<"),
        ({"result": "not JSON"}, ">•••<"),
        ({"result": None, "remark": "not JSON: a set"}, "for it is not JSON: a set"),
        ({"result": None, "remark": "too large: 9 bytes"}, "for it is too large: 9 bytes"),
        ({"outcome": "failed", "failure": '{"errtype":"E","message":"m"}'}, "E: m"),
    ],
)
def test_what_was_kept_of_a_result_is_said(
    chief: Client, busy: World, columns: dict[str, Any], said: str
) -> None:
    FinishedJob.objects.filter(jid=busy.finished).update(**columns)

    assert said in page(chief, busy.finished)


def test_all_of_a_type_is_hidden_where_the_rule_says_all(
    chief: Client, busy: World, override_faktory: Callable[..., None]
) -> None:
    override_faktory(REDACT_KEYS=["shop.jobs.charge_card:*"])

    text = page(chief, busy.finished)

    assert "310" not in text


def test_more_lines_than_a_page_shows_are_cut(chief: Client, busy: World) -> None:
    row = LogLine.objects.filter(jid=busy.finished)[0]
    LogLine.objects.bulk_create(
        LogLine(
            bucket=row.bucket,
            jid=row.jid,
            jobtype=row.jobtype,
            queue=row.queue,
            at=row.at,
            number=9,
            text=f"line {n}",
        )
        for n in range(1_001)
    )

    text = page(chief, busy.finished)

    assert "line 999" in text
    assert "line 1000" not in text
    assert "There are more lines than are shown here." in text


def test_the_page_of_a_type_leads_to_its_history(chief: Client, busy: World) -> None:
    del busy
    text = chief.get(reverse("faktory:type", args=["FetchURL"])).content.decode()

    assert "/faktory/finished/?q=type%3AFetchURL" in text


def test_runs_of_cron_tell_success_from_a_discard(chief: Client, busy: World) -> None:
    entry = CronEntry.objects.get(name=world.PERIODIC[0][0])
    ticks = list(CronTick.objects.filter(entry=entry).order_by("-tick_at"))
    row = FinishedJob.objects.get(jid=busy.finished)
    for tick, outcome in zip(ticks[2:5], ("done", "discarded", "failed"), strict=True):
        row.pk, row.jid, row.outcome = None, tick.jid, outcome
        row.save(force_insert=True)

    from faktory_django.dashboard.cron_runs import last_runs

    found = {run.jid: run for run in last_runs([entry.pk])[entry.pk]}

    assert [found[tick.jid].outcome for tick in ticks[2:6]] == [
        "done",
        "discarded",
        "failed",
        "ended",
    ]
    assert [found[tick.jid].there for tick in ticks[2:6]] == [True, True, True, False]
    assert page(chief, ticks[2].jid)


def test_the_page_of_storage_counts_partitions_with_their_table(chief: Client) -> None:
    from django.db import connection

    execute(
        connection,
        "CREATE TABLE faktory_django_finishedjob_20991230"
        " PARTITION OF faktory_django_finishedjob FOR VALUES IN (20991230)",
    )
    execute(
        connection,
        "INSERT INTO faktory_django_finishedjob"
        " (bucket, jid, jobtype, queue, outcome, finished_at, attempts)"
        " SELECT 20991230, n::text, 't', 'q', 'done', now(), 1 FROM generate_series(1, 2000) AS n",
    )

    tables = {t.name: t for t in chief.get("/faktory/storage/").context["tables"]}

    assert tables["faktory_django_finishedjob"].table_bytes > 100_000
    assert "faktory_django_finishedjob_20991230" not in tables


def test_jobs_that_share_a_jid_with_one_that_has_ended_show_both(
    chief: Client, busy: World
) -> None:
    push_one(busy.finished)

    text = page(chief, busy.finished)

    assert "waiting" in text
    assert "How it ended" in text
