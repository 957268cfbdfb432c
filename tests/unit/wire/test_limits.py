"""What --strict makes tight, and how often a password may be tried."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from faktory_django.settings import FaktorySettings
from faktory_django.wire import logins
from faktory_django.wire.handshake import ITERATIONS
from faktory_django.wire.logins import WINDOW_SECONDS, Logins
from faktory_django.wire.options import ServerOptions, server_options
from faktory_django.wire.session import Permissions

MEBIBYTE = 1_048_576


@pytest.fixture
def options() -> ServerOptions:
    bind = ("127.0.0.1", 7_419)
    return server_options(FaktorySettings(), database="default", bind=bind, password=b"p")


def test_the_settings_become_options(options: ServerOptions) -> None:
    ours = FaktorySettings()

    for name, value in asdict(options).items():
        if name not in {"database", "host", "port", "password"}:
            assert value == getattr(ours, f"server_{name}"), name
    assert (options.host, options.port, options.password) == ("127.0.0.1", 7_419, b"p")
    assert options.permissions == Permissions(old_clients=True, mutations=True, password=b"p")


def test_by_default_real_clients_meet_no_limit(options: ServerOptions) -> None:
    limits = options.request_limits

    assert (limits.jobs.job_bytes, limits.jobs.job_depth) == (32 * MEBIBYTE, 1_000)
    assert (limits.bulk_jobs, limits.fetch_queues) == (1_000_000, 1_000)
    assert (options.hello_bytes, options.hello_seconds, options.idle_seconds) == (4_096, 2, 0)


def test_strict_makes_limits_tight_and_forbids(options: ServerOptions) -> None:
    strict = options.strict()

    assert strict.line_bytes == 4 * MEBIBYTE
    assert strict.line_seconds == 15
    assert strict.idle_seconds == 900
    assert strict.request_limits.jobs.job_bytes == MEBIBYTE
    assert strict.request_limits.jobs.job_depth == 100
    assert strict.request_limits.bulk_jobs == 1_000
    assert strict.request_limits.fetch_queues == 100
    assert strict.permissions == Permissions(old_clients=False, mutations=False, password=b"p")


def test_strict_never_widens_what_a_setting_has_made_tighter(options: ServerOptions) -> None:
    tight = replace(
        options,
        line_bytes=2_048,
        line_seconds=1.0,
        job_bytes=1_024,
        job_depth=5,
        bulk_jobs=7,
        fetch_queues=3,
        idle_seconds=10.0,
        old_clients=False,
        mutations=False,
    )

    assert tight.strict() == tight


def test_a_challenge_is_fresh_and_within_what_clients_expect() -> None:
    found = [Logins(10).challenge() for _ in range(100)]

    assert len({challenge.salt for challenge in found}) == 100
    assert all(challenge.iterations in ITERATIONS for challenge in found)
    assert all(len(challenge.salt) == 32 for challenge in found)


def test_an_address_may_fail_so_often_and_others_do_not_care() -> None:
    tries = Logins(3)

    for _ in range(3):
        assert tries.may_try("1.1.1.1")
        tries.failed("1.1.1.1")

    assert not tries.may_try("1.1.1.1")
    assert tries.may_try("2.2.2.2")


def test_a_failure_counts_for_a_minute() -> None:
    tries = Logins(2)
    tries.failed("1.1.1.1")
    tries.failed("1.1.1.1")
    failures = tries._failures["1.1.1.1"]

    failures[0] -= WINDOW_SECONDS + 1
    assert tries.may_try("1.1.1.1")
    assert len(failures) == 1

    failures[0] -= WINDOW_SECONDS + 1
    assert tries.may_try("1.1.1.1")
    assert not tries._failures


def test_the_oldest_address_is_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logins, "MAX_ADDRESSES", 2)
    tries = Logins(1)

    for address in ("1.1.1.1", "2.2.2.2", "2.2.2.2", "3.3.3.3"):
        tries.failed(address)

    assert tries.may_try("1.1.1.1")
    assert not tries.may_try("2.2.2.2")
    assert not tries.may_try("3.3.3.3")
