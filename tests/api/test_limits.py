"""limit=: what a job waits for is told from its arguments, at each door of the API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from faktory_django import InvalidOption, Limit, Rate, crontab, job, periodic, registry
from faktory_django.api.named import push_named
from faktory_django.models import Job as StoredJob
from faktory_django.models import LimitedJob, LimitSlot
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def _discovered() -> None:
    """Look for the jobs of all apps before a test forgets what was registered in it."""
    registry.discovered("nobody")


def keys() -> list[str]:
    """Return the keys that jobs wait for, in the order of the jobs."""
    return list(LimitedJob.objects.order_by("job_id").values_list("key", flat=True))


def test_the_key_is_told_from_an_argument_however_it_is_given() -> None:
    @job(name="bill", limit=Limit(3, key="account"))
    def bill(account: int = 7, *, note: str = "") -> None: ...

    bill.perform_async(42)
    bill.perform_async(account=43, note="x")
    bill.perform_async()
    bill.perform_bulk([[44], [45]])

    assert keys() == [f"bill account={n}" for n in (42, 43, 7, 44, 45)]
    assert json.loads(StoredJob.objects.earliest("id").body)["custom"]["limit"] == [
        {"key": "bill account=42", "concurrency": 3}
    ]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit(1), ["bill"]),
        (Limit(1, name="bank"), ["bank"]),
        (Limit(1, key="account", name="bank"), ["bank account=42"]),
        (Limit(1, key=lambda account, note: f"{account}-{note}"), ["bill 42-x"]),
        (Limit(1, key=lambda *_: None), []),
        (Rate(5, per=60, key="note"), ["bill note=x per 60 s"]),
        (Rate(5, per=timedelta(minutes=2)), ["bill per 120 s"]),
        ([Limit(1), Rate(5, per=1)], ["bill per 1 s"]),
        ((), []),
    ],
)
def test_what_a_limit_is_called(limit: Any, expected: list[str]) -> None:
    @job(name="bill", limit=limit)
    def bill(account: int, note: str) -> None: ...

    bill.perform_async(42, "x")

    assert keys() == expected


@pytest.mark.parametrize("value", ["x" * 200, "line\nbreak", ""])
def test_a_value_that_is_long_or_strange_stands_as_its_hash(value: str) -> None:
    @job(name="bill", limit=Limit(1, key="note"))
    def bill(note: str) -> None: ...

    bill.perform_async(value)

    [key] = keys()
    assert key.startswith("bill note=#")
    assert len(key) == len("bill note=#") + 32


@pytest.mark.parametrize("redact", [["account"], ["*"]])
def test_a_value_that_pages_hide_stands_as_its_hash(redact: list[str]) -> None:
    @job(name="bill", redact=redact, limit=Limit(1, key="account"))
    def bill(account: int) -> None: ...

    bill.perform_async(42)

    assert keys()[0].startswith("bill account=#")


def test_a_variant_may_have_other_limits() -> None:
    @job(name="bill", limit=Limit(1))
    def bill(account: int) -> None: ...

    bill.set(limit=Limit(2, key="account")).perform_in(60, 42)

    body = json.loads(StoredJob.objects.raw("SELECT * FROM faktory_django_scheduledjob")[0].body)
    assert body["custom"]["limit"] == [{"key": "bill account=42", "concurrency": 2}]


def test_a_limit_in_custom_is_taken_as_it_is() -> None:
    @job(custom={"limit": {"key": "mine", "concurrency": 2}})
    def bill() -> None: ...

    bill.perform_async()

    assert keys() == ["mine"]


def test_a_push_by_name_may_have_limits() -> None:
    push_named("elsewhere", [1], {}, options={"limit": Limit(2, key=lambda n: n)})

    assert keys() == ["elsewhere 1"]


def test_of_an_unknown_job_no_argument_has_a_name() -> None:
    with pytest.raises(InvalidOption, match="no job 'elsewhere' is known here"):
        push_named("elsewhere", [1], {}, options={"limit": Limit(2, key="account")})


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (3, "limit must be a Limit, a Rate or a list of them, got 3"),
        ([Limit(1), 5], "limit must be a Limit, a Rate or a list of them"),
        (Limit(1, key="acount"), "has key='acount', and there is no such parameter"),
    ],
)
def test_a_wrong_limit_is_refused_at_the_decorator(limit: Any, message: str) -> None:
    with pytest.raises(InvalidOption) as caught:

        @job(limit=limit)
        def bill(account: int) -> None: ...

    assert message in str(caught.value)


def test_a_wrong_limit_is_refused_at_a_variant() -> None:
    @job
    def bill(account: int) -> None: ...

    with pytest.raises(InvalidOption, match="no such parameter; there are account"):
        bill.set(limit=Limit(1, key="acount"))


def test_the_same_key_twice_is_refused_at_the_push() -> None:
    @job(name="bill", limit=[Limit(1), Limit(2)])
    def bill() -> None: ...

    with pytest.raises(InvalidOption, match=r"custom\.limit names 'bill' twice"):
        bill.perform_async()


def test_no_value_of_encrypted_arguments_stands_in_a_key(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(ENCRYPTION_KEYS=[Fernet.generate_key().decode()])

    @job(name="bill", encrypt=True, limit=Limit(1, key="account"))
    def bill(account: str) -> None: ...

    for account in ("secret-1", "secret-1", "secret-2"):
        bill.perform_async(account)

    found = keys()
    assert found[0] == found[1] != found[2]
    assert all(key.startswith("bill account=#") for key in found)
    assert "secret" not in "".join(StoredJob.objects.values_list("body", flat=True))


def test_the_jobs_of_a_cron_entry_have_the_limits_of_the_job() -> None:
    try:

        @periodic("@daily", name="daily bill", args=[42])
        @job(name="bill", limit=Limit(2, key="account"))
        def bill(account: int) -> None: ...

        [entry] = [one for one in crontab.declared() if one.name == "daily bill"]
    finally:
        crontab.forget("daily bill")

    assert json.loads(entry.custom) == {"limit": [{"key": "bill account=42", "concurrency": 2}]}


def test_a_drain_runs_all_jobs_of_a_limit_one_after_the_other() -> None:
    running: list[int] = []

    @job(name="bill", limit=[Limit(1), Limit(2, key="account")])
    def bill(account: int) -> None:  # noqa: ARG001
        running.append(LimitSlot.objects.filter(key="bill").count())

    bill.perform_bulk([[n % 2] for n in range(6)])

    assert len(drain().ran) == 6
    assert running == [1] * 6
    assert not LimitSlot.objects.exists()


def test_a_drain_leaves_what_a_rate_has_no_room_for() -> None:
    @job(name="bill", limit=Rate(2, per=3_600))
    def bill() -> None: ...

    bill.perform_bulk([[], [], []])

    assert len(drain().ran) == 2
    assert LimitedJob.objects.count() == 1
