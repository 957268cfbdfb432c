"""Tokens: what is sealed comes back, and nothing that goes wrong tells what is in them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.views.debug import get_default_exception_reporter_filter

from faktory_django import checks, encryption, job, payload, registry, settings
from faktory_django.errors import EncryptionNotReady, InvalidOption, UnreadableArguments

if TYPE_CHECKING:
    from collections.abc import Callable

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
SECRET = "4111 1111 1111 1111"


@pytest.fixture
def keys(override_faktory: Any) -> Callable[..., None]:
    """Return a function that sets the keys, newest first."""

    def give(*given: str) -> None:
        override_faktory(ENCRYPTION_KEYS=list(given))

    give(NEW)
    return give


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the package away, as far as an import can tell."""
    encryption._ring.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)


def sealed(args: str, kinds: dict[str, str] | None = None, *, named: bool = False) -> list[Any]:
    found: list[Any] = json.loads(encryption.seal("shop.charge", args, kinds or {}, named=named))
    return found


def body(args: list[Any], jobtype: str = "shop.charge", **mark: Any) -> str:
    mark = mark or encryption.MARK
    job = {"jid": "j", "jobtype": jobtype, "args": args, "custom": {payload.MARK: mark}}
    return json.dumps(job, separators=(",", ":"))


@pytest.mark.parametrize(
    ("args", "kinds", "named"),
    [
        ("[]", {}, False),
        ('["4111",1]', {}, False),
        ('["\\u0000 é 通",{"a":[1.5,null]}]', {}, False),
        ('["1.50",{"Ada":"2026-01-01"}]', {"/0": "decimal", "/1/Ada": "date"}, True),
        ("[" + "9" * 4_000 + "]", {}, False),
        ('["\\ud800"]', {}, False),
    ],
)
@pytest.mark.usefixtures("keys")
def test_what_is_sealed_comes_back(args: str, kinds: dict[str, str], named: bool) -> None:
    token = sealed(args, kinds, named=named)

    found = encryption.unseal("job T j", token, encryption.FERNET)

    assert found == encryption.Unsealed(json.loads(args), kinds, named)


@pytest.mark.usefixtures("keys")
def test_a_token_tells_nothing_and_is_another_each_time() -> None:
    first, second = (sealed(f'["{SECRET}"]', {"/0/Ada": "date"}) for _ in range(2))

    assert first != second
    for hidden in ("4111", "Ada", "date", "kinds"):
        assert hidden not in str(first)
    assert json.loads(Fernet(NEW).decrypt(first[0])) == {
        "args": [SECRET],
        "kinds": {"/0/Ada": "date"},
    }


def test_an_old_key_reads_and_the_newest_writes(keys: Callable[..., None]) -> None:
    keys(OLD)
    old = sealed("[1]")
    keys(NEW, OLD)

    assert encryption.unseal("job T j", old, "fernet").args == [1]
    assert Fernet(NEW).decrypt(sealed("[2]")[0]) == b'{"args":[2]}'


def test_without_a_key_a_push_names_the_job(keys: Callable[..., None]) -> None:
    keys()

    with pytest.raises(EncryptionNotReady) as raised:
        sealed(f'["{SECRET}"]')

    assert str(raised.value) == (
        "job shop.charge cannot be encrypted: settings.FAKTORY['ENCRYPTION_KEYS'] has no key"
    )


@pytest.mark.usefixtures("keys", "no_extra")
def test_without_the_extra_a_push_names_the_job_and_the_extra() -> None:
    with pytest.raises(EncryptionNotReady, match=r"job shop.charge .* 'faktory-django\[encryption"):
        sealed("[]")


@pytest.mark.usefixtures("keys", "no_extra")
def test_without_the_extra_a_job_is_refused_at_import() -> None:
    def charge() -> None: ...

    with pytest.raises(InvalidOption, match=r"shop.pay has encrypt=True: cryptography is not inst"):
        job(name="shop.pay", encrypt=True)(charge)

    assert registry.find("shop.pay") is None
    assert job(name="shop.plain")(charge).jobtype == "shop.plain"


@pytest.mark.usefixtures("keys")
def test_the_package_is_not_imported_by_those_who_do_not_encrypt() -> None:
    program = "import django; django.setup(); import faktory_django.worker.runner, sys; "
    program += "assert not [m for m in sys.modules if m.startswith('cryptography')]"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("make", "way", "words"),
    [
        (lambda: sealed("[1]"), "aes", "is encrypted in a way that is not known here"),
        (lambda: sealed("[1]"), ["fernet"], "is encrypted in a way that is not known here"),
        (list, "fernet", "is encrypted, and its args are not one token"),
        (lambda: [1], "fernet", "is encrypted, and its args are not one token"),
        (lambda: sealed("[1]") * 2, "fernet", "is encrypted, and its args are not one token"),
        (lambda: None, "fernet", "is encrypted, and its args are not one token"),
        (lambda: ["gAAA"], "fernet", "with a key that is not in settings.FAKTORY['ENCRYPTION_KEYS"),
        (lambda: [""], "fernet", "or was damaged"),
        (lambda: ["é\ud800"], "fernet", "or was damaged"),
        (lambda: [sealed("[1]")[0][:-4]], "fernet", "or was damaged"),
        (lambda: [Fernet(OTHER).encrypt(b'{"args":[]}').decode()], "fernet", "or was damaged"),
        (lambda: [Fernet(NEW).encrypt(b"[1]").decode()], "fernet", "and what it holds is no job's"),
        (lambda: [Fernet(NEW).encrypt(b"\xff").decode()], "fernet", "what it holds is no job's"),
        (lambda: [Fernet(NEW).encrypt(b"{}").decode()], "fernet", "what it holds is no job's"),
        (
            lambda: [Fernet(NEW).encrypt(b'{"args":' + b"[" * 10**5).decode()],
            "fernet",
            "what it holds is no job's",
        ),
    ],
)
@pytest.mark.usefixtures("keys")
def test_what_cannot_be_read_is_told_without_the_token(
    make: Callable[[], Any], way: Any, words: str
) -> None:
    args = make()

    with pytest.raises(UnreadableArguments) as raised:
        encryption.unseal("job shop.charge b4f1", args, way)

    said = str(raised.value)
    assert said.startswith("job shop.charge b4f1 is encrypted")
    assert words in said
    assert "gAAA" not in said
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_worker_without_a_key_says_so(keys: Callable[..., None]) -> None:
    token = sealed("[1]")
    keys()

    with pytest.raises(UnreadableArguments, match="job T j is encrypted, and settings"):
        encryption.unseal("job T j", token, "fernet")


@pytest.mark.usefixtures("keys")
def test_a_job_hash_is_opened_with_its_notes() -> None:
    token = sealed('["1.5",{"a":1}]', {"/0": "decimal"}, named=True)
    closed = {"jid": "j", "args": token, "custom": {payload.MARK: encryption.MARK, "locale": "ja"}}

    found = encryption.opened(closed)

    notes = {"kinds": {"/0": "decimal"}, "kwargs": True}
    assert found == {
        "jid": "j",
        "args": ["1.5", {"a": 1}],
        "custom": {"locale": "ja", payload.MARK: notes},
    }
    assert closed["args"] == token


@pytest.mark.usefixtures("keys")
def test_a_job_hash_without_notes_is_opened_without_a_mark() -> None:
    closed = {"args": sealed("[1]"), "custom": {payload.MARK: encryption.MARK}}

    assert encryption.opened(closed) == {"args": [1], "custom": {}}


def test_a_job_hash_that_cannot_be_read_stays_as_it_is(keys: Callable[..., None]) -> None:
    closed = {"args": sealed("[1]"), "custom": {payload.MARK: encryption.MARK}}
    plain = {"args": [1], "custom": {payload.MARK: {"kwargs": True}}}
    keys(OTHER)

    assert encryption.opened(closed) is closed
    assert encryption.opened(plain) is plain


def test_a_body_is_renewed_and_nothing_else_of_it_changes(keys: Callable[..., None]) -> None:
    keys(OLD)
    before = body(sealed("[1]")).replace('"jid"', ' "ünknown" : 1.50e3,\n"jid"')
    [token] = payload.parse(before).args
    keys(NEW, OLD)

    found = encryption.renewed(before)

    assert found is not None
    assert found.changed
    [again] = payload.parse(found.body).args
    assert found.body == before.replace(token, again)
    assert Fernet(NEW).decrypt(again) == b'{"args":[1]}'
    newest = Fernet(NEW).extract_timestamp(again)
    assert newest == Fernet(OLD).extract_timestamp(token)
    assert encryption.renewed(found.body) == encryption.Renewed(found.body, changed=False)


def test_the_dead_job_that_an_on_dead_job_carries_is_renewed(keys: Callable[..., None]) -> None:
    keys(OLD)
    before = body(["shop.charge", json.loads(body(sealed("[1]")))], registry.ON_DEAD, kwargs=True)
    keys(NEW, OLD)

    found = encryption.renewed(before)

    assert found is not None
    [token] = payload.parse(found.body).args[1]["args"]
    assert Fernet(NEW).decrypt(token) == b'{"args":[1]}'


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"args":[1]}',
        body([1], kwargs=True),
        body([], kinds={"/0": "date"}),
        body(["T", {"args": ["gAAA"]}], registry.ON_DEAD, kwargs=True),
        body(["T"], registry.ON_DEAD, kwargs=True),
        body(["T", {"custom": encryption.MARK, "args": ["gAAA"]}], kwargs=True),
    ],
)
@pytest.mark.usefixtures("keys")
def test_a_body_without_a_token_is_not_renewed(text: str) -> None:
    assert encryption.renewed(text) is None


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "make",
    [
        lambda: body(["gAAAA"]),
        lambda: body([Fernet(OTHER).encrypt(b"{}").decode()]),
    ],
)
def test_a_body_that_cannot_be_read_is_not_renewed(make: Callable[[], str]) -> None:
    with pytest.raises(UnreadableArguments, match="its key is not there, or it was damaged"):
        encryption.renewed(make())


def test_a_token_that_was_written_in_another_way_is_not_renewed(keys: Callable[..., None]) -> None:
    keys(OLD)
    before = body(sealed("[1]")).replace("gAAA", "\\u0067AAA")
    keys(NEW, OLD)

    with pytest.raises(UnreadableArguments):
        encryption.renewed(before)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("s3cret", "must be a list of keys, got a str"),
        (None, "must be a list of keys, got a NoneType"),
        ({"k": 1}, "must be a list of keys, got a dict"),
        ([NEW, SECRET], "key 2 is not 32 bytes in url-safe base64"),
        ([NEW, NEW.encode()], "key 2 is not 32 bytes in url-safe base64"),
        ([NEW[:-1]], "key 1 is not"),
        ([NEW.replace(NEW[3], "é")], "key 1 is not"),
        ([" " + NEW], "key 1 is not"),
        ([NEW[:20]], "key 1 is not"),
        ([""], "key 1 is not"),
    ],
)
def test_a_wrong_key_is_refused_and_not_shown(
    override_faktory: Any, wrong: Any, words: str
) -> None:
    override_faktory(ENCRYPTION_KEYS=wrong)

    with pytest.raises(InvalidOption) as raised:
        settings.get()

    assert words in str(raised.value)
    for shown in (SECRET, NEW[:10], "s3cret"):
        assert shown not in str(raised.value)


@pytest.mark.usefixtures("keys")
def test_the_settings_do_not_print_their_keys(settings: Any) -> None:
    from faktory_django import settings as ours

    assert ours.get().encryption_keys == (NEW,)
    assert NEW not in repr(ours.get())
    shown = get_default_exception_reporter_filter().get_safe_settings()["FAKTORY"]
    assert NEW not in str(shown)
    assert settings.FAKTORY["ENCRYPTION_KEYS"] == [NEW]


def found() -> list[str]:
    return [m.msg for m in run_checks() if m.id == "faktory_django.E009"]


def test_the_checks_name_the_jobs_that_lack_a_key(keys: Callable[..., None]) -> None:
    job(name="shop.pay", encrypt=True)(lambda: None)
    assert found() == []
    keys()

    assert found() == ["shop.pay has encrypt=True: settings.FAKTORY['ENCRYPTION_KEYS'] has no key"]


@pytest.mark.usefixtures("keys")
def test_the_checks_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    job(name="shop.pay", encrypt=True)(lambda: None)
    monkeypatch.setitem(sys.modules, "cryptography", None)

    assert found() == [f"shop.pay has encrypt=True: {encryption.NO_EXTRA}"]


def test_wrong_settings_are_told_once(override_faktory: Any) -> None:
    override_faktory(ENCRYPTION_KEYS=["no key"])
    job(name="shop.pay", encrypt=True)(lambda: None)

    assert checks.check_encryption() == []
    assert [m.id for m in run_checks() if "E00" in str(m.id)] == ["faktory_django.E001"]


def test_who_encrypts_nothing_needs_no_key(keys: Callable[..., None]) -> None:
    keys()

    assert encryption.lack() == encryption.NO_KEY
    assert found() == []
