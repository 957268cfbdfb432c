"""Encrypted arguments on the wire: a token and a mark, which other languages can read and write."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from faktory_django import job, payload, registry
from faktory_django.models import Job
from faktory_django.testing import drain
from tests.docs.pages import ROOT, blocks
from tests.npm import found
from tests.waiting import until
from tests.worker.running import no_job_is_left

from .third_party import client_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Begin
    from .running import Server

PAGE = ROOT / "docs" / "how-to" / "encrypt-arguments.md"
KEY, OLD = (Fernet.generate_key().decode() for _ in range(2))
SECRET = "4111 é 通"
MARK = {"faktory_django": {"encrypted": "fernet"}}
seen: list[Any] = []


@pytest.fixture(autouse=True)
def charge(override_faktory: Any) -> Iterator[Any]:
    """Return the job of the how-to; it is forgotten after the test."""
    seen.clear()
    override_faktory(ENCRYPTION_KEYS=[KEY, OLD])

    @job(name="shop.jobs.charge", encrypt=True)
    def charge(card_number: str, amount: str, *, note: str = "") -> None:
        seen.append((card_number, amount, note))

    yield charge
    registry._definitions.pop("shop.jobs.charge")


def test_the_wire_sees_a_token_and_a_mark(server: Server, charge: Any) -> None:
    charge.perform_async(SECRET, "9.90", note="x")

    with server.connect() as wire:
        wire.greet()
        fetched = wire.fetch("default")
        assert wire.call(f'ACK {{"jid":"{fetched["jid"]}"}}').raw == b"+OK\r\n"

    assert fetched["custom"] == MARK
    [token] = fetched["args"]
    assert json.loads(Fernet(KEY).decrypt(token)) == {
        "args": [SECRET, "9.90", {"note": "x"}],
        "kwargs": True,
    }


def test_a_token_from_the_wire_is_stored_as_it_is_and_runs_here(server: Server) -> None:
    token = Fernet(OLD).encrypt(b'{"args": ["4111", "1.00"]}').decode()

    with server.connect() as wire:
        wire.greet()
        wire.push("from-elsewhere", "shop.jobs.charge", token, custom=MARK)

    assert payload.parse(Job.objects.get().body).args == [token]
    drain()
    assert seen == [("4111", "1.00", "")]


def test_a_plain_push_from_the_wire_runs_too(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("from-elsewhere", "shop.jobs.charge", "4111", "1.00")

    drain()

    assert seen == [("4111", "1.00", "")]


def programs(folder: Path) -> Path:
    """Write the programs of the page to files, as it says; return the worker."""
    library, worker = blocks(PAGE, "js")
    (folder / "faktory-encryption.js").write_text(library.text, encoding="utf-8")
    (folder / "worker.js").write_text(worker.text, encoding="utf-8")
    return folder / "worker.js"


def in_node(folder: Path, expression: str, *arguments: str) -> Any:
    """Return what an expression of JavaScript is, with the functions of the page."""
    programs(folder)
    text = "const { seal, unseal } = require('./faktory-encryption.js');"
    text += f"const given = process.argv.slice(1); console.log(JSON.stringify({expression}));"
    done = subprocess.run(
        [found("node"), "-e", text, "--", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.node
@pytest.mark.parametrize("key", [KEY, OLD], ids=["newest key", "older key"])
@pytest.mark.parametrize("size", [0, 1, 13, 14, 15, 16, 1_000])
def test_node_reads_what_python_has_sealed(tmp_path: Path, key: str, size: int) -> None:
    sealed = {"args": [SECRET, "x" * size]}
    token = Fernet(key).encrypt(json.dumps(sealed).encode()).decode()

    assert in_node(tmp_path, "unseal(given[0], given.slice(1))", token, KEY, OLD) == sealed


@pytest.mark.node
@pytest.mark.parametrize("size", [0, 1, 13, 14, 15, 16, 1_000])
def test_python_reads_what_node_has_sealed(tmp_path: Path, size: int) -> None:
    args = [SECRET, "x" * size]

    token = in_node(tmp_path, "seal(JSON.parse(given[0]), given.slice(1))", json.dumps(args), KEY)

    assert json.loads(Fernet(KEY).decrypt(token, ttl=60)) == {"args": args}


@pytest.mark.node
@pytest.mark.parametrize("token", ["", "gAAA", "no token", "other"])
def test_node_refuses_what_is_of_none_of_its_keys(tmp_path: Path, token: str) -> None:
    token = Fernet.generate_key().decode() if token == "other" else token
    refused = (
        "(() => { try { return unseal(given[0], [given[1]]) } catch (e) { return e.message } })()"
    )

    assert "none of these keys" in in_node(tmp_path, refused, token, KEY)


@pytest.mark.node
def test_the_worker_of_the_how_to_runs_the_job_of_the_how_to(
    begin: Begin, server: Server, charge: Any, tmp_path: Path
) -> None:
    variables = client_environment(server, FAKTORY_ENCRYPTION_KEYS=f"{KEY} {OLD}")
    worker = begin([found("node"), str(programs(tmp_path))], variables)

    charge.perform_async("4111 1111", "9.90", note="for Ada")

    worker.wait_for_log("charged 9.90 for Ada")
    until(no_job_is_left, "the job was acked")
