"""What lists and pages show."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.utils import quote
from django.db import connection, transaction

from faktory_django.contents import MAX_SHOWN
from faktory_django.lifecycle import queues, track
from faktory_django.lifecycle.beat import ProcessInfo, register
from faktory_django.lifecycle.presence import WireWorker, arrive
from faktory_django.lifecycle.reservation import release
from faktory_django.lifecycle.track import Report
from faktory_django.models import Job, Process, RetryJob

from .conftest import (
    FAILURE,
    MODELS,
    Worker,
    body,
    dead,
    finished,
    list_url,
    page_url,
    push_job,
    retry,
    scheduled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client


class Elements(HTMLParser):
    """The elements of a page, with the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element, and of what a strict policy would refuse."""
        names = tuple(name for name, _ in attrs)
        self.found.append((tag, names))
        refused = [n for n in names if n == "style" or n.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in names) or refused:
            self.inline.append(f"{tag} {names}")


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return str(response.content.decode())


def cells(client: Client, column: str, query: str = "", *, model: str = "job") -> list[str]:
    """Return the texts of a column of a list."""
    page = text_of(client, list_url(model, query))
    parts = page.split(f'class="field-{column}')[1:]
    return [Text(part.partition(">")[2].partition("</t")[0]).text for part in parts]


class Text(HTMLParser):
    """The text of a fragment."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(fragment)

    def handle_data(self, data: str) -> None:
        """Add it up."""
        self.text += data


def test_a_job_that_no_lease_names_waits_since_it_entered_its_queue(operator: Client) -> None:
    push_job("a")

    assert cells(operator, "state") == ["waiting"]
    assert cells(operator, "process") == ["-"]


def test_a_claimed_job_is_shown_with_its_process_and_running_once_it_has_started(
    operator: Client, worker: Worker
) -> None:
    for jid in "abc":
        push_job(jid)
    first, _second = worker.claim(2)
    worker.run(first)

    assert cells(operator, "state") == ["running", "claimed", "waiting"]
    assert cells(operator, "process") == ["box:4711", "box:4711", "-"]
    assert cells(operator, "since")[0].startswith("Nov. 14, 2023")


def test_how_far_a_job_says_it_is_is_a_bar_and_its_words(operator: Client) -> None:
    first = push_job("first-00")
    for jid in ("second-0", "third-00", "fourth-0"):
        push_job(jid)
    reports = [Report("first-00", 62, "<b>page</b> 3"), Report("second-0", 5)]
    track.report(connection, [*reports, Report("third-00", None, "only words")])

    shown = [text.strip() for text in cells(operator, "progress")]

    assert shown == ["62 % 62 % <b>page</b> 3", "5 % 5 %", "only words", "-"]
    page = text_of(operator, page_url("job", first.pk))
    assert '<progress max="100" value="62" aria-label="progress">62 %</progress>' in page
    assert "&lt;b&gt;page&lt;/b&gt; 3" in page


def test_a_job_that_came_back_waits_again(operator: Client, worker: Worker) -> None:
    push_job("a")
    worker.claim()
    release(connection, worker.wid)

    assert cells(operator, "state") == ["waiting"]


def test_a_reservation_of_the_wire_runs_until_it_expires(operator: Client) -> None:
    job = push_job("a")
    Worker(wid="node-1").claim(each=True)

    page = text_of(operator, page_url("job", job.pk))

    assert cells(operator, "state") == ["running"]
    assert cells(operator, "process") == ["node-1"]
    assert "Reserved until" in page


@pytest.mark.parametrize("running", ["", "{}", "[1]", '[["x", 1]]', "[[1, 1e300]]", "nonsense"])
def test_what_a_process_says_badly_does_not_hide_its_jobs(
    operator: Client, worker: Worker, running: str
) -> None:
    push_job("a")
    worker.claim()
    Process.objects.update(running=running)

    assert cells(operator, "state") == ["claimed"]
    assert text_of(operator, page_url("process", worker.wid))


def test_the_filter_by_queue_finds_what_waits_and_what_is_in_work_of_every_priority(
    operator: Client, worker: Worker
) -> None:
    queues.declare(["default", "other"])
    for jid, priority in (("a", 0), ("b", 7), ("c", -7)):
        push_job(jid, priority=priority)
    push_job("elsewhere", queue="other")
    worker.claim()

    assert cells(operator, "queue", "?queue=default") == ["default"] * 3
    assert cells(operator, "queue", "?queue=other") == ["other"]
    assert cells(operator, "queue", "?queue=none") == []


def test_the_filter_by_state_tells_waiting_jobs_from_those_in_work(
    operator: Client, worker: Worker
) -> None:
    for jid in "abc":
        push_job(jid)
    worker.claim()

    assert len(cells(operator, "state", "?state=in-work")) == 1
    assert cells(operator, "state", "?state=waiting") == ["waiting"] * 2


@pytest.mark.parametrize(("model", "store"), [("scheduledjob", scheduled), ("deadjob", dead)])
def test_a_set_is_filtered_by_queue_and_jobtype_and_searched_by_the_whole_jid(
    operator: Client, model: str, store: Callable[..., Any]
) -> None:
    queues.declare(["default", "other"])
    store("one", queue="other", jobtype="mail")
    store("two")

    def found(query: str) -> list[str]:
        return [j.jid for j in operator.get(list_url(model, query)).context["cl"].result_list]

    assert found("?queue=other") == ["one"]
    assert found("?jobtype=fetch") == ["two"]
    assert found("?jobtype=fetch&queue=other") == []
    assert found("?q=one") == ["one"]
    assert found("?q=on") == []
    assert ">mail</a>" in text_of(operator, list_url(model))


def test_a_retry_shows_its_error_short_in_the_list_and_whole_on_its_page(operator: Client) -> None:
    failure = FAILURE | {"message": "first line\n" + "x" * 300}
    entry = retry("a", failure=json.dumps(failure))

    listed = text_of(operator, list_url("retryjob"))
    page = text_of(operator, page_url("retryjob", entry.pk))

    assert "socket.gaierror" in listed
    assert "first line xxx" in listed
    assert "x" * 100 not in listed
    assert "x" * 300 in page
    assert "File jobs.py, line 3\nin fetch</pre>" in page


def test_arguments_and_custom_are_pretty_printed_for_who_may_see_them(operator: Client) -> None:
    job = push_job("a", args='[{"to":"ü@example.com"}]', custom='{"trace":"t1"}')

    page = text_of(operator, page_url("job", job.pk))

    assert "{\n    &quot;to&quot;: &quot;ü@example.com&quot;\n  }" in page
    assert "&quot;trace&quot;: &quot;t1&quot;" in page


@pytest.mark.parametrize("model", ["job", "scheduledjob", "retryjob", "deadjob"])
def test_arguments_are_hidden_from_who_may_not_see_them(
    person: Callable[..., Client], model: str
) -> None:
    secret = body("a", args='["s3cret"]', custom='{"token":"s3cret"}')
    stores = {"scheduledjob": scheduled, "retryjob": retry, "deadjob": dead}
    store = stores.get(model)
    row = store("a", body=secret) if store else push_job("a", args='["s3cret"]')
    client = person("view_all", "act_on_job")

    pages = [list_url(model), page_url(model, row.pk)]
    found = [text_of(client, url) for url in pages]

    assert not any("s3cret" in page for page in found)
    assert "the permission to see the arguments of jobs is needed" in found[1]


@pytest.mark.parametrize("model", ["job", "scheduledjob", "retryjob", "deadjob"])
def test_secrets_are_hidden_from_who_may_see_arguments(operator: Client, model: str) -> None:
    secret = body("a", args='["user",{"apiKey":"s3cret"}]', custom='{"token":"s3cret"}')
    stores = {"scheduledjob": scheduled, "retryjob": retry, "deadjob": dead}
    store = stores.get(model)
    args = {"args": '["user",{"apiKey":"s3cret"}]', "custom": '{"token":"s3cret"}'}
    row = store("a", body=secret) if store else push_job("a", **args)

    page = text_of(operator, page_url(model, row.pk))

    assert "s3cret" not in page
    assert "&quot;apiKey&quot;: &quot;•••&quot;" in page


def test_long_arguments_are_folded_and_short_ones_are_not(operator: Client) -> None:
    short, long = push_job("a"), push_job("b", args=json.dumps(list(range(100))))

    assert "<details>" not in text_of(operator, page_url("job", short.pk))
    assert "<details>" in text_of(operator, page_url("job", long.pk))


@pytest.mark.parametrize(
    "text",
    [
        '["\\ud800"]',
        '["\\u0000"]',
        "[1e400, 123456789012345678901234567890]",
        "[" * 5000 + "]" * 5000,
        "[" + "9" * 5000 + "]",
    ],
)
def test_arguments_that_python_cannot_lay_out_do_not_break_the_page(
    operator: Client, text: str
) -> None:
    entry = retry("a", body=body("a", args=text))

    assert text_of(operator, page_url("retryjob", entry.pk))


@pytest.mark.parametrize(
    "columns",
    [
        {"body": "no json"},
        {"body": "[]"},
        {"body": '{"args":1,"custom":2,"retry":"x","created_at":"2026-99-99T00:00:00Z"}'},
        {"failure": "no json"},
        {"failure": "[]"},
        {"failure": '{"backtrace":"x","retry_count":"x","message":null,"failed_at":1}'},
        {"failure": '{"message":"\\ud800","errtype":["x"],"backtrace":["\\ud800"]}'},
    ],
)
def test_what_somebody_stored_badly_is_shown_all_the_same(
    operator: Client, columns: dict[str, str]
) -> None:
    entry = retry("a", **columns)

    assert text_of(operator, list_url("retryjob"))
    assert text_of(operator, page_url("retryjob", entry.pk))


def test_arguments_of_a_megabyte_are_cut_and_the_page_says_so(operator: Client) -> None:
    entry = retry("a", body=body("a", args=f'["{"x" * 10**6}"]'))

    page = text_of(operator, page_url("retryjob", entry.pk))

    assert len(page) < 2 * MAX_SHOWN
    assert "more characters" in page or "characters more" in page


def test_a_list_does_not_read_the_bodies(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    retry("a")

    with django_assert_max_num_queries(20) as queries:
        operator.get(list_url("retryjob"))

    assert not any('"body"' in query["sql"] for query in queries)


def test_a_queue_shows_how_much_waits_and_for_how_long(operator: Client) -> None:
    queues.declare(["default", "idle"])
    queues.pause("idle")
    push_job("a")
    Job.objects.update(enqueued_at="2020-01-01T00:00:00Z")

    page = text_of(operator, list_url("queue"))
    found = text_of(operator, list_url("queue", "?q=id"))

    assert '?queue=default">1</a>' in page
    assert "days" in page
    assert 'alt="False"' in page
    assert ">idle</a>" in found
    assert ">default</a>" not in found


def test_a_process_shows_what_it_runs_with_links(operator: Client, worker: Worker) -> None:
    job = push_job("a")
    worker.claim()
    worker.run(job.pk)

    listed = text_of(operator, list_url("process"))
    page = text_of(operator, page_url("process", worker.wid))

    assert "1 / 5" in listed
    assert "2.0\xa0MB" in listed
    assert f'href="{page_url("job", job.pk)}">{job.pk}</a>' in page


def test_workers_and_servers_of_the_wire_are_shown_for_what_they_are(operator: Client) -> None:
    for _ in range(2):
        push_job("a")
    arrive(connection, WireWorker("node-1", "box", 4712, ("node",)))
    Worker(wid="node-1").claim(2, each=True)
    register(connection, ProcessInfo("s", "box", 4713, "1", 0, (), ("127.0.0.1:7419",), "server"))

    assert cells(operator, "kind", model="process") == ["worker on the wire", "wire server"]
    assert cells(operator, "busy", model="process") == ["2", "-"]
    assert cells(operator, "label_names", model="process") == ["node", "127.0.0.1:7419"]
    assert "connections" in text_of(operator, page_url("process", "node-1")).lower()


def test_a_counter_shows_its_histogram_in_words(
    operator: Client, everywhere: dict[str, Any]
) -> None:
    page = text_of(operator, page_url("counter", everywhere["counter"]))

    assert "<div>0.001 - 0.003: 3</div>" in page


def hostile_rows(text: str) -> dict[str, Any]:
    worker = Worker(wid=text or "wid", hostname=text).start(
        labels=(text,), queues=(text,), version=text
    )
    job = push_job("x" + text, jobtype="x" + text, args=json.dumps([text]))
    Worker(wid=worker.wid).claim()
    columns = {
        "jobtype": "x" + text,
        "queue": "x" + text,
        "body": body("x" + text, args=json.dumps([text]), custom=json.dumps({"x" + text: text})),
        "failure": json.dumps(
            FAILURE | {"message": "x" + text, "errtype": "x" + text, "backtrace": ["x" + text]}
        ),
    }
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO faktory_django_queue (name) VALUES (%s)", ["x" + text])
        cursor.execute(
            "INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype)"
            " VALUES (60, now(), %(x)s, %(x)s) RETURNING id",
            {"x": "x" + text},
        )
        counter = cursor.fetchone()[0]
    ended = finished("x" + text, **{k: columns[k] for k in ("jobtype", "queue", "failure")})
    return {
        "job": job.pk,
        "scheduledjob": scheduled("x" + text, **columns).pk,
        "retryjob": retry("x" + text, **columns).pk,
        "deadjob": dead("x" + text, **columns).pk,
        "finishedjob": ended.pk,
        "queue": "x" + text,
        "process": worker.wid,
        "counter": counter,
    }


def hostile_pages(client: Client, text: str) -> list[str]:
    keys = hostile_rows(text)
    urls = [list_url(model) for model in MODELS]
    urls += [page_url(model, quote(keys[model])) for model in MODELS]
    pages = [text_of(client, url) for url in urls]
    asked = {"action": "discard", "_selected_action": keys["retryjob"], "index": "0"}
    pages.append(client.post(list_url("retryjob"), asked).content.decode())
    RetryJob.objects.all().delete()
    return pages


HOSTILE = (
    "<script>alert(1)</script>"
    '"><img src=x onerror=alert(1)>'
    "'><svg onload=alert(1)>"
    "</pre></textarea></title><iframe src=javascript:alert(1)>"
    "{{ 7|add:7 }}{% debug %}&lt;b&gt;"
    "javascript:alert(1)//\u202e"
)


def test_hostile_text_anywhere_adds_no_element_and_no_attribute(chief: Client) -> None:
    with transaction.atomic():
        plain = [sorted(Elements(p).found) for p in hostile_pages(chief, "plain and harmless")]
        transaction.set_rollback(True)

    pages = hostile_pages(chief, HOSTILE)

    assert [sorted(Elements(page).found) for page in pages] == plain


def test_no_page_needs_inline_scripts_or_styles(chief: Client) -> None:
    for page in hostile_pages(chief, "plain"):
        assert Elements(page).inline == []


@pytest.mark.parametrize("language", ["en", "ja"])
def test_pages_are_shown_in_other_languages(
    operator: Client, everywhere: dict[str, Any], language: str
) -> None:
    for model, key in everywhere.items():
        for url in (list_url(model), page_url(model, key)):
            response = operator.get(url, headers={"accept-language": language})
            assert response.status_code == 200
