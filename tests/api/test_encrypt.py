"""@job(encrypt=True): what is stored is a token, and the function gets what was pushed."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.fernet import Fernet
from django.db import connection

from faktory_django import PayloadTooLarge, current_job, job, payload, registry
from faktory_django.api import cron
from faktory_django.api.named import push_named
from faktory_django.errors import EncryptionNotReady, UnreadableArguments
from faktory_django.lifecycle import cron_entries, mutate
from faktory_django.lifecycle.push import Push, push
from faktory_django.models import CronEntry, CronTick, DeadJob, Job, RetryJob, ScheduledJob
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.api.requests import PushRequest

pytestmark = pytest.mark.django_db

KEY, OTHER = (Fernet.generate_key().decode() for _ in range(2))
SECRET = "4111-1111"
TABLES = ("job", "scheduledjob", "retryjob", "deadjob")
seen: list[Any] = []


@pytest.fixture(autouse=True)
def give(override_faktory: Any) -> Callable[..., None]:
    """Return a function that sets the keys; one is set."""
    seen.clear()

    def keys(*given: str) -> None:
        override_faktory(ENCRYPTION_KEYS=list(given))

    keys(KEY)
    return keys


def charger(**options: Any) -> Any:
    @job(name="shop.charge", encrypt=True, **options)
    def charge(card: Any, amount: Any = None, *, due: Any = None) -> None:
        seen.append((card, amount, due))
        if amount == "fail":
            raise ValueError("no")

    return charge


def stored() -> list[str]:
    """Return all that the tables hold of jobs, as text."""
    found = []
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT t::text FROM faktory_django_{table} t")  # noqa: S608
            found += [row[0] for row in cursor.fetchall()]
    return found


def token_of(body: str) -> str:
    found = payload.parse(body)
    assert (found.custom or {})[payload.MARK] == {"encrypted": "fernet"}
    [token] = found.args
    return str(token)


def test_a_job_gets_what_was_pushed_and_the_store_has_a_token() -> None:
    charger().perform_async(SECRET, Decimal("9.90"), due=date(2026, 1, 2))

    [row] = stored()
    assert SECRET not in row
    assert "9.90" not in row
    assert "kinds" not in row
    token = token_of(Job.objects.get().body)
    assert json.loads(Fernet(KEY).decrypt(token))["args"][0] == SECRET
    drain()
    assert seen == [(SECRET, Decimal("9.90"), date(2026, 1, 2))]


def test_async_jobs_classes_and_one_without_arguments_run() -> None:
    @job(encrypt=True)
    async def later(what: str) -> None:
        seen.append((what, current_job().args))

    class Shout:
        def perform(self) -> None:
            seen.append("!")

    later.perform_async(SECRET)
    job(encrypt=True)(Shout).perform_async()

    drain()

    assert seen == [(SECRET, [SECRET]), "!"]


def test_a_scheduled_job_and_a_job_of_atomic_are_tokens() -> None:
    charger(atomic=True).perform_in(60, SECRET)

    assert SECRET not in str(stored())
    assert token_of(ScheduledJob.objects.get().body)


@pytest.mark.parametrize("delay", [None, 60])
@pytest.mark.parametrize("value", [1, Decimal("1.5")])
def test_each_job_of_a_bulk_push_has_a_token_of_its_own(delay: int | None, value: Any) -> None:
    charger().perform_bulk([(SECRET, value)] * 5, delay=delay)

    bodies = [one.body for one in (ScheduledJob if delay else Job).objects.all()]
    assert len({token_of(body) for body in bodies}) == 5
    assert SECRET not in str(stored())


def test_a_bulk_push_is_one_statement_also_with_kinds(
    django_assert_num_queries: Any,
) -> None:
    with django_assert_num_queries(1):
        charger().perform_bulk([(SECRET, Decimal(n)) for n in range(50)])

    drain()
    assert seen == [(SECRET, Decimal(n), None) for n in range(50)]


def test_a_job_that_failed_or_died_is_a_token_still() -> None:
    charge = charger()
    charge.perform_async(SECRET, "fail")
    charge.set(retry=-1).perform_async(SECRET, "fail")

    drain(raise_errors=False)

    assert token_of(RetryJob.objects.get().body)
    assert token_of(DeadJob.objects.get().body)
    assert SECRET not in str(stored())


@pytest.mark.parametrize("push", ["perform_async", "perform_bulk", "perform_in"])
def test_the_limit_counts_the_token(override_faktory: Any, push: str) -> None:
    override_faktory(ENCRYPTION_KEYS=[KEY], MAX_PAYLOAD_BYTES=2_048)
    args: Any = {"perform_bulk": ([("x" * 1_600,)],), "perform_in": (5, "x" * 1_600)}
    given = args.get(push, ("x" * 1_600,))
    plain: Any = job(name="shop.plain")(lambda card: card)

    getattr(plain, push)(*given)
    with pytest.raises(PayloadTooLarge, match=r"job shop\.charge is 2"):
        getattr(charger(), push)(*given)


@pytest.mark.parametrize("push", ["perform_async", "perform_bulk", "perform_in"])
def test_without_a_key_nothing_is_stored(give: Callable[..., None], push: str) -> None:
    give()
    args: Any = {"perform_bulk": ([(SECRET,)],), "perform_in": (5, SECRET)}

    with pytest.raises(EncryptionNotReady, match=r"job shop\.charge cannot"):
        getattr(charger(), push)(*args.get(push, (SECRET,)))

    assert stored() == []


def switch_off(next_push: Any) -> Any:
    """Try to get a plain job out of an encrypted one."""

    def push(request: PushRequest) -> Any:
        seen.append((list(request.args), request.encrypt))
        request.encrypt = False
        return next_push(request)

    return push


def switch_on(next_push: Any) -> Any:
    """Let all jobs be encrypted."""

    def push(request: PushRequest) -> Any:
        request.encrypt = True
        return next_push(request)

    return push


def rename(next_push: Any) -> Any:
    """Let all jobs be shop.charge."""

    def push(request: PushRequest) -> Any:
        request.jobtype = "shop.charge"
        return next_push(request)

    return push


def test_a_middleware_sees_the_arguments_and_cannot_take_the_encryption_off(
    override_faktory: Any,
) -> None:
    override_faktory(ENCRYPTION_KEYS=[KEY], PUSH_MIDDLEWARE=[f"{__name__}.switch_off"])

    charger().perform_async(SECRET)

    assert seen == [([SECRET], True)]
    assert SECRET not in str(stored())


@pytest.mark.parametrize("middleware", ["switch_on", "rename"])
def test_a_middleware_can_let_others_be_encrypted(override_faktory: Any, middleware: str) -> None:
    charger()
    override_faktory(ENCRYPTION_KEYS=[KEY], PUSH_MIDDLEWARE=[f"{__name__}.{middleware}"])

    job(name="shop.plain")(lambda card: seen.append(card)).perform_async(SECRET)

    assert SECRET not in str(stored())
    drain()
    assert str(seen).count(SECRET) == 1


@pytest.mark.parametrize("middleware", [(), ("switch_off",)])
def test_a_push_by_name_is_encrypted_when_the_job_says_so(
    override_faktory: Any, middleware: tuple[str, ...]
) -> None:
    names = [f"{__name__}.{name}" for name in middleware]
    override_faktory(ENCRYPTION_KEYS=[KEY], PUSH_MIDDLEWARE=names)
    charger()
    job(name="shop.plain")(lambda card: card)

    push_named("shop.charge", [SECRET], {}, options={})
    push_named("shop.plain", [SECRET], {}, options={})

    assert [SECRET in row for row in stored()] == [False, True]


def test_a_job_whose_key_is_gone_is_retried_and_runs_when_it_is_back(
    give: Callable[..., None],
) -> None:
    handle = charger().perform_async(SECRET)
    give(OTHER)

    with pytest.raises(UnreadableArguments, match=f"job shop.charge {handle.jid} is encrypted"):
        drain()

    assert seen == []
    failure = RetryJob.objects.get().failure_hash
    assert failure["errtype"] == "faktory_django.errors.UnreadableArguments"
    assert "gAAA" not in json.dumps(failure)
    give(OTHER, KEY)
    mutate.requeue("retries", [RetryJob.objects.get().pk])
    drain()
    assert seen == [(SECRET, None, None)]


@pytest.mark.parametrize(
    ("options", "retry", "kept"),
    [
        ({"discard_on": [Exception]}, 3, RetryJob),
        ({"retry_on": [KeyError]}, 3, RetryJob),
        ({}, 0, DeadJob),
        ({}, -1, DeadJob),
    ],
)
def test_no_option_lets_an_unreadable_job_be_lost(
    give: Callable[..., None], options: dict[str, Any], retry: int, kept: Any
) -> None:
    charger(**options).set(retry=retry).perform_async(SECRET)
    give(OTHER)

    drain(raise_errors=False)

    assert kept.objects.count() == 1
    assert len(stored()) == 1


def test_a_kind_that_does_not_fit_fails_as_ever() -> None:
    charger()
    token = Fernet(KEY).encrypt(b'{"args":["x"],"kinds":{"/0":"date"}}').decode()
    custom = {payload.MARK: {"encrypted": "fernet"}}
    head, middle, tail = payload.template("shop.charge", queue="default", retry=3, custom=custom)
    jid = "jid-of-another"
    push([Push("default", jid, "shop.charge", f'{head}{jid}{middle}["{token}"]{tail}')])

    drained = drain(raise_errors=False)

    assert "the argument at /0 is not a date" in drained.errors[0]


def note_dead(dead: dict[str, Any]) -> None:
    seen.append((dead["args"], dead["custom"]))


@pytest.mark.parametrize("key", [KEY, OTHER], ids=["a key kept", "a key gone"])
def test_an_on_dead_hook_is_told_in_the_clear_what_the_store_has_as_a_token(
    give: Callable[..., None], key: str
) -> None:
    charger(on_dead=note_dead).perform_async(SECRET, "fail")
    mutate.kill("waiting", [Job.objects.get().pk])
    on_dead = Job.objects.get(jobtype=registry.ON_DEAD)
    assert "gAAA" in on_dead.body
    assert SECRET not in str(stored())
    give(key)

    drain()

    [(args, custom)] = seen
    if key == KEY:
        assert (args, custom) == ([SECRET, "fail"], {})
    else:
        assert str(args).startswith("['gAAA")
        assert custom == {payload.MARK: {"encrypted": "fernet"}}


def test_what_a_cron_entry_pushes_is_a_token_too() -> None:
    charge = charger(custom={"track": 1})
    declared = cron.entry(
        "nightly",
        charge.jobtype,
        "@yearly",
        args=[SECRET],
        kwargs={"due": date(2026, 1, 2)},
        custom={"track": 1},
    )
    entry = CronEntry(**msgspec.structs.asdict(declared))
    cron_entries.save(entry)

    jid = cron_entries.run_now(entry.pk)

    [body] = Job.objects.values_list("body", flat=True)
    assert token_of(body)
    assert not any(SECRET in row for row in stored())
    drain()
    assert seen == [(SECRET, None, date(2026, 1, 2))]
    assert jid is not None
    assert charge.status(jid).state == "done"


def test_a_cron_entry_without_a_key_pushes_nothing_and_says_why(give: Callable[..., None]) -> None:
    give()
    entry = CronEntry(name="nightly", jobtype=charger().jobtype, schedule="@yearly", zone="UTC")
    entry.args = json.dumps([SECRET])
    cron_entries.save(entry)

    assert cron_entries.run_now(entry.pk) is None

    assert stored() == []
    assert "cannot be encrypted" in CronTick.objects.get().problem
