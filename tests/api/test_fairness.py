"""Fairness, from Python: whose turn a push is, in its custom and in its traits."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from faktory_django import InvalidOption, crontab, current_job, job, keyed, periodic
from faktory_django.api.named import push_named
from faktory_django.lifecycle.cron import store
from faktory_django.maintenance import Maintenance
from faktory_django.models import CronEntry, Ready, ScheduledJob
from faktory_django.models import Job as Row
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faktory_django.api.requests import PushRequest

pytestmark = pytest.mark.django_db


def keys() -> list[str | None]:
    """Return the keys of what waits, in the order of the pushes."""
    return list(Ready.objects.order_by("job_id").values_list("fair_key", flat=True))


def traits() -> list[Any]:
    """Return the traits of what waits, in the order of the pushes."""
    return list(Row.objects.order_by("id").values_list("traits", flat=True))


@pytest.mark.parametrize(
    ("option", "kept"),
    [
        ("tenant_id", "7"),
        (lambda tenant_id, shop="default": f"{shop}-{tenant_id}", "default-7"),
        ("shop", "acme"),
    ],
)
def test_an_argument_or_a_callable_says_whose_turn_it_is(option: Any, kept: str) -> None:
    @job(fairness_key=option)
    def work(tenant_id: int, shop: str = "acme") -> None: ...

    work.perform_async(7)
    work.perform_async(tenant_id=7)
    work.perform_bulk([[7], [7]])
    work.perform_in(60, 7)

    assert keys() == [kept] * 4
    assert traits() == [{"fair": {"key": kept}}] * 4
    assert ScheduledJob.objects.get().traits == {"fair": {"key": kept}}


def test_a_bulk_push_has_a_key_for_each_job() -> None:
    @job(fairness_key="tenant")
    def work(tenant: Any, when: date = date(2026, 1, 1)) -> None: ...

    work.perform_bulk([["a"], ["b"], [None], [UUID(int=5)]])

    assert keys() == ["a", "b", None, str(UUID(int=5))]
    assert traits()[2] is None


@pytest.mark.parametrize(("weight", "kept"), [(3, 3), (lambda tenant: tenant / 2, 3.5), (None, 1)])
def test_a_weight_is_a_number_or_a_callable(weight: Any, kept: float) -> None:
    @job(fairness_key="tenant", fairness_weight=weight)
    def work(tenant: int) -> None: ...

    work.perform_async(7)

    [found] = traits()
    assert found["fair"].get("weight", 1) == kept


def test_a_weight_without_a_key_is_of_no_account() -> None:
    @job(fairness_weight=3)
    def work() -> None: ...

    work.perform_async()

    assert traits() == [None]


def test_a_push_may_have_another_key_or_none() -> None:
    @job(fairness_key="tenant")
    def work(tenant: str, user: str) -> None: ...

    work.set(fairness_key="user").perform_async("a", "b")
    work.set(fairness_key=None).perform_async("a", "b")
    work.set(custom={"fairness_key": "mine"}).perform_async("a", "b")

    assert keys() == ["b", None, "mine"]


def test_what_custom_says_needs_no_option() -> None:
    @job(custom={"fairness_key": 7, "fairness_weight": 2})
    def work() -> None: ...

    work.perform_async()
    work.perform_bulk([[], []])

    assert traits() == [{"fair": {"key": "7", "weight": 2.0}}] * 3


def test_a_job_knows_its_key_and_jobs_take_turns() -> None:
    told = []

    @job(fairness_key="tenant")
    def work(tenant: str) -> None:
        told.append((tenant, current_job().custom["fairness_key"]))

    work.perform_bulk([["a"]] * 3)
    work.perform_bulk([["b"]] * 2)
    drain()

    assert "".join(tenant for tenant, _ in told) == "ababa"
    assert all(tenant == key for tenant, key in told)


def test_a_push_by_name_takes_turns_too() -> None:
    @job(fairness_key="tenant")
    def work(tenant: str) -> None: ...

    push_named(work.jobtype, ["a"], {}, options={"fairness_key": "tenant"})
    push_named("of.another.language", ["a"], {}, options={"custom": {"fairness_key": "b"}})
    with pytest.raises(InvalidOption, match=r"no job .of\.another\.language. is known here"):
        push_named("of.another.language", ["a"], {}, options={"fairness_key": "tenant"})

    assert keys() == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fairness_key": ""}, "fairness_key must be the name of an argument, a callable or None"),
        ({"fairness_key": 7}, "a callable or None, got 7"),
        ({"fairness_key": ["tenant"]}, "a callable or None, got \\['tenant'\\]"),
        ({"fairness_key": "nobody"}, "'nobody' names no argument of .*; it has tenant$"),
        ({"fairness_weight": 0}, "fairness_weight must be a number from 0.01 to 100, got 0"),
        ({"fairness_weight": "3"}, "fairness_weight must be a number from 0.01 to 100, got '3'"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_written(
    options: dict[str, Any], message: str
) -> None:
    def work(tenant: str) -> None: ...

    with pytest.raises(InvalidOption, match=message):
        job(**options)(work)
    with pytest.raises(InvalidOption, match=message):
        job(work).set(**options)


@pytest.mark.parametrize("value", ["", "x" * 256, 1.5, True, ["a"], "a\0"])
def test_a_value_that_is_no_key_is_refused_and_nothing_is_pushed(value: Any) -> None:
    @job(fairness_key="tenant")
    def work(tenant: Any) -> None: ...

    with pytest.raises(InvalidOption, match="fairness_key must be a str of 1 to 255 printable"):
        work.perform_bulk([["a"], [value]])

    assert not Row.objects.exists()


def test_a_weight_that_a_callable_returns_is_checked() -> None:
    @job(fairness_key="tenant", fairness_weight=lambda _: 1_000)
    def work(tenant: str) -> None: ...

    with pytest.raises(InvalidOption, match=r"0\.01 to 100, got 1000"):
        work.perform_async("a")


@pytest.mark.parametrize("options", [{"encrypt": True}, {"redact": ["tenant"]}, {"redact": ["*"]}])
def test_a_key_that_nobody_may_read_is_hashed(
    options: dict[str, Any], override_faktory: Callable[..., None]
) -> None:
    override_faktory(ENCRYPTION_KEYS=[Fernet.generate_key().decode()])

    @job(fairness_key="tenant", **options)
    def work(tenant: str) -> None: ...

    work.perform_bulk([["acme"], ["other"], ["acme"]])

    one, other, again = keys()
    assert one == again == keyed.digest("fairness", "acme")
    assert one != other
    hidden = "acme" not in Row.objects.order_by("id")[0].body
    assert hidden is ("encrypt" in options)


def test_a_middleware_that_changes_the_arguments_changes_the_key(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(PUSH_MIDDLEWARE=["tests.api.test_fairness.anonymous"])

    @job(fairness_key="tenant")
    def work(tenant: str) -> None: ...

    work.perform_async("acme")

    assert keys() == ["nobody"]


def anonymous(push: Callable[[PushRequest], Any]) -> Callable[[PushRequest], Any]:
    """Push all jobs for one tenant."""

    def middleware(request: PushRequest) -> Any:
        request.args = ["nobody"]
        return push(request)

    return middleware


@pytest.fixture
def crontab_of_its_own() -> Iterator[None]:
    """Forget the entries of a test."""
    before = dict(crontab._in_code)
    crontab._in_code.clear()
    yield
    crontab._in_code.clear()
    crontab._in_code.update(before)


@pytest.mark.usefixtures("crontab_of_its_own")
def test_a_periodic_job_has_the_key_of_its_arguments() -> None:
    @periodic("@daily", args=["acme"], name="fair")
    @job(fairness_key="tenant", fairness_weight=2)
    def work(tenant: str) -> None: ...

    Maintenance().declare_cron(connection)

    store(connection, CronEntry.objects.get(name="fair"), ["cron-jid-0001"])

    assert traits() == [{"fair": {"key": "acme", "weight": 2.0}}]
