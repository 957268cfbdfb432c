"""The only reader of settings.FAKTORY: one frozen dataclass with units in the names."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.views.decorators.debug import sensitive_variables

from faktory_django import throttling
from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY: Final = re.compile(r"[a-zA-Z0-9_-]{43}=", re.ASCII)
QUEUE_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,100}", re.ASCII)


def _setting(
    default: Any, low: float | None = None, high: float | None = None, *, secret: bool = False
) -> Any:
    return field(default=default, repr=not secret, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class FaktorySettings:
    """What settings.FAKTORY says; each key is a field's name in upper case."""

    # where jobs live, and what a push may hold
    database: str = "default"
    default_queue: str = "default"
    max_payload_bytes: int = _setting(1_048_576, 1_024, 268_435_456)
    max_argument_depth: int = _setting(100, 1, 500)
    max_delay_days: int = _setting(3_650, 1, 36_500)
    max_bulk_rows: int = _setting(1_000, 1, 10_000)
    unique_wait_seconds: float = _setting(5.0, 0.001, 3_600)
    default_retry: int = _setting(25, -1, 1_000)
    default_reserve_for: int = _setting(1_800, 60, 86_400)
    push_middleware: tuple[str, ...] = ()
    perform_middleware: tuple[str, ...] = ()
    transaction_pooler: bool = False
    fast_acks: bool = False
    max_cursor_bytes: int = _setting(4_096, 64, 65_536)
    encryption_keys: tuple[str, ...] = _setting((), secret=True)

    # the worker
    queues: tuple[str, ...] = ("default",)
    concurrency: int = _setting(10, 1, 1_000)
    async_concurrency: int = _setting(100, 1, 10_000)
    processes: int = _setting(1, 1, 256)
    grace_seconds: float = _setting(25.0, 0, 86_400)
    poll_seconds: float = _setting(1.0, 0.01, 60)
    max_claim: int = _setting(500, 1, 5_000)
    max_crashes: int = _setting(3, 1, 100)
    checkpoint_seconds: float = _setting(5.0, 0.1, 3_600)
    silent_child_seconds: float = _setting(60.0, 5, 86_400)

    # the wire server
    server_bind: str = "127.0.0.1:7419"
    server_processes: int = _setting(1, 1, 256)
    server_password: str = ""
    server_tls_cert: str = ""
    server_tls_key: str = ""
    server_grace_seconds: float = _setting(10.0, 0, 3_600)
    server_connections: int = _setting(2_000, 1, 100_000)
    server_hello_bytes: int = _setting(4_096, 256, 65_536)
    server_hello_seconds: float = _setting(2.0, 0.1, 60)
    server_logins_per_minute: int = _setting(10, 1, 100_000)
    server_line_bytes: int = _setting(33_554_432, 1_024, 1_073_741_824)
    server_line_seconds: float = _setting(120.0, 1, 86_400)
    server_job_bytes: int = _setting(33_554_432, 1_024, 268_435_456)
    server_job_depth: int = _setting(1_000, 1, 5_000)
    server_bulk_jobs: int = _setting(1_000_000, 1, 1_000_000)
    server_fetch_queues: int = _setting(1_000, 1, 100_000)
    server_idle_seconds: float = _setting(0.0, 0, 604_800)
    server_write_seconds: float = _setting(30.0, 1, 86_400)
    server_buffer_bytes: int = _setting(268_435_456, 65_536, 68_719_476_736)
    server_command_seconds: float = _setting(5.0, 0.1, 3_600)
    server_old_clients: bool = True
    server_mutations: bool = True
    server_description: str = "Faktory Enterprise"
    silent_wire_seconds: float = _setting(60.0, 1, 86_400)
    rescue_silent_wire: bool = False

    # the dashboard
    dashboard_queue_access: str = ""
    redact_keys: tuple[str, ...] = (
        *("password", "passwd", "passphrase", "pwd", "secret", "token", "api_key"),
        *("access_key", "private_key", "authorization", "cookie", "credential", "card_number"),
        *("cvv", "cvc", "iban", "ssn"),
    )

    # upkeep
    beat_seconds: float = _setting(5.0, 0.1, 60)
    silent_process_seconds: float = _setting(30.0, 1, 3_600)
    due_batch: int = _setting(4_000, 1, 10_000)
    dead_max_days: int = _setting(180, 1, 36_500)
    dead_max_jobs: int = _setting(100_000, 0, 100_000_000)
    minute_counters_days: int = _setting(3, 1, 365)
    hour_counters_days: int = _setting(35, 1, 3_650)
    day_counters_days: int = _setting(400, 1, 36_500)
    audit_days: int = _setting(400, 1, 36_500)
    track_minutes: int = _setting(30, 1, 525_600)
    batch_open_minutes: int = _setting(30, 1, 525_600)
    batch_days: int = _setting(30, 1, 36_500)

    # what is kept of jobs that have ended
    history_days: int = _setting(0, 0, 366)
    history_args: bool = False
    history_off_queues: tuple[str, ...] = ()
    result_bytes: int = _setting(65_536, 2, 16_777_216)
    attempt_days: int = _setting(30, 0, 366)
    log_days: int = _setting(7, 0, 366)
    log_lines: int = _setting(1_000, 1, 100_000)

    # how many jobs of a queue may be in work at a time, by queue
    throttles: dict[str, throttling.Limits] = field(default_factory=dict)

    # periodic jobs, by their names
    cron: dict[str, dict[str, Any]] = field(default_factory=dict)


def default_of(option: Any) -> Any:
    """Return the default of a field of FaktorySettings."""
    made = option.default_factory
    return option.default if made is MISSING else made()


def check_queue_name(name: object) -> str | None:
    """Return what is wrong with a queue's name, or None."""
    if isinstance(name, str) and QUEUE_NAME.fullmatch(name):
        return None
    return f"a queue name is 1 to 100 characters of a-z, A-Z, 0-9, '.', '_' and '-', got {name!r}"


def check_description(text: str) -> str | None:
    """Return what is wrong with what the server calls itself, or None."""
    if 1 <= len(text) <= 100 and text.isprintable():
        return None
    return f"what the server calls itself is 1 to 100 printable characters, got {text!r:.120}"


def check_redact_word(word: object) -> str | None:
    """Return what is wrong with a word that hides values, or None."""
    if isinstance(word, str) and (word == "*" or any(c.isalnum() for c in word)):
        return None
    return f"a word to redact needs a letter or a digit, or is '*', got {word!r}"


@cache
def get() -> FaktorySettings:
    """Return the settings, checked once.

    Raises InvalidOption, which names the key, the value and the limit.
    """
    given = getattr(django_settings, "FAKTORY", {})
    if not isinstance(given, dict):
        raise InvalidOption(f"settings.FAKTORY must be a dict, got {given!r}")
    known = {f.name.upper(): f for f in fields(FaktorySettings)}
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        names = ", ".join(sorted(known))
        raise InvalidOption(f"settings.FAKTORY has no key {unknown[0]!r}; it knows {names}")
    return FaktorySettings(
        **{known[k].name: _checked(f"FAKTORY[{k!r}]", v, known[k]) for k, v in given.items()}
    )


def project(name: str) -> Any:
    """Return a setting of Django's own, such as LOGIN_URL."""
    return getattr(django_settings, name)


def check_value(name: str, value: Any, *, name_shown: str) -> Any:
    """Check a value that overrides a setting. Raises InvalidOption, which shows name_shown."""
    option = {f.name: f for f in fields(FaktorySettings)}[name]
    return _checked(name_shown, value, option)


def _checked(key: str, value: Any, option: Any) -> Any:
    default, low, high = default_of(option), option.metadata.get("low"), option.metadata.get("high")
    if option.name == "throttles":
        return _checked_throttles(key, value)
    if isinstance(default, tuple):
        return _checked_list(key, value, option.name)
    if isinstance(default, bool) or isinstance(value, bool):
        right = isinstance(default, bool) and isinstance(value, bool)
    else:
        right = isinstance(value, (int, float) if isinstance(default, float) else type(default))
    if not right:
        kind = type(default).__name__
        raise InvalidOption(f"{key} must be {kind}, got {value!r}")
    if low is not None and not low <= value <= high:
        raise InvalidOption(f"{key} must be {low} to {high}, got {value!r}")
    if check := _OWN_CHECKS.get(option.name):
        check(key, value)
    return value


def _checked_list(key: str, value: Any, name: str) -> tuple[str, ...]:
    if name == "encryption_keys":
        return _checked_keys(key, value)
    names = _checked_names(key, value)
    if name == "queues":
        _check_queues(key, names)
    if name == "redact_keys":
        _check_redact_keys(key, names)
    if name == "history_off_queues":
        _check_queue_names(key, names)
    return names


def _checked_names(key: str, value: Any) -> tuple[str, ...]:
    listed = isinstance(value, (list, tuple))
    if not listed or not all(isinstance(name, str) for name in value):
        raise InvalidOption(f"{key} must be a list of str, got {value!r}")
    return tuple(value)


@sensitive_variables()
def _checked_keys(key: str, value: Any) -> tuple[str, ...]:
    """Return keys of Fernet, newest first; a message never shows one."""
    if not isinstance(value, (list, tuple)):
        raise InvalidOption(f"{key} must be a list of keys, got a {type(value).__name__}")
    for number, one in enumerate(value, 1):
        if not _is_key(one):
            raise InvalidOption(
                f"{key}: key {number} is not 32 bytes in url-safe base64, as "
                "cryptography.fernet.Fernet.generate_key() makes them"
            )
    return tuple(value)


@sensitive_variables()
def _is_key(one: Any) -> bool:
    if not isinstance(one, str):
        return False
    try:
        return _KEY.fullmatch(one) is not None and len(urlsafe_b64decode(one)) == 32
    except ValueError:
        return False


def _refuse(key: str, wrong: str | None) -> None:
    if wrong is not None:
        raise InvalidOption(f"{key}: {wrong}")


def _check_queues(key: str, specs: tuple[str, ...]) -> None:
    """Refuse what the worker would refuse at its start: the weights are looked at there."""
    names = [part.strip().partition("=")[0] for spec in specs for part in spec.split(",")]
    if not names:
        raise InvalidOption(f"{key} must name at least one queue, got {specs!r}")
    for name in names:
        _refuse(key, check_queue_name(name))


def _check_queue_names(key: str, names: tuple[str, ...]) -> None:
    for name in names:
        _refuse(key, check_queue_name(name))


def _check_redact_keys(key: str, rules: tuple[str, ...]) -> None:
    for rule in rules:
        _refuse(key, check_redact_word(rule.rpartition(":")[2]))


def _check_cron(key: str, entries: dict[Any, Any]) -> None:
    """Look at the shape; what the entries say is looked at where jobs are known."""
    for name, entry in entries.items():
        if not isinstance(name, str) or not isinstance(entry, dict):
            raise InvalidOption(f"{key} must be dicts by name, got {name!r}: {entry!r}")


def _checked_throttles(key: str, value: Any) -> dict[str, throttling.Limits]:
    if not isinstance(value, dict):
        raise InvalidOption(f"{key} must be dicts by queue, got {value!r:.200}")
    for name in value:
        _refuse(key, check_queue_name(name))
    return {name: throttling.check(f"{key}[{name!r}]", said) for name, said in value.items()}


_OWN_CHECKS: Final[dict[str, Callable[[str, Any], None]]] = {
    "default_queue": lambda key, value: _refuse(key, check_queue_name(value)),
    "server_description": lambda key, value: _refuse(key, check_description(value)),
    "cron": _check_cron,
}


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "FAKTORY":
        get.cache_clear()


setting_changed.connect(_forget)
