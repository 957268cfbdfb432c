"""What pages hide of what jobs carry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django import job, registry
from faktory_django.contents import MAX_SHOWN, Contents
from faktory_django.errors import InvalidOption
from faktory_django.redaction import HIDDEN, redact_args, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def own_jobs() -> Iterator[None]:
    """Forget the jobs that a test declares."""
    known = dict(registry._definitions)
    yield
    registry._definitions.clear()
    registry._definitions.update(known)


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "newPassword2",
        "api_key",
        "apiKey",
        "X-API-Key",
        "refresh token",
        "set-cookie",
        "Authorization",
        "credit_card_number",
    ],
)
def test_a_key_with_a_word_of_the_default_is_hidden(key: str) -> None:
    found = redact_args("Any", [{key: "s3cret"}, {"deep": [{key: {"more": "s3cret"}}]}])

    assert "s3cret" not in json.dumps(found.value)
    assert found.value[0] == {key: HIDDEN}
    assert len(found.rules) == 1


@pytest.mark.parametrize("key", ["user", "pass", "key", "card", "id", "", "通知", "apis_keyed"])
def test_other_keys_are_shown(key: str) -> None:
    args = [{key: "seen"}, 1, None, [key]]

    found = redact_args("Any", args)

    assert found.value == args
    assert found.rules == ()


@pytest.mark.parametrize(
    ("rules", "shown", "used"),
    [
        (["Mail:0"], [HIDDEN, {"dest": "b", "token": "c"}], ("0",)),
        (["Mail:*"], HIDDEN, ("*",)),
        (["*"], HIDDEN, ("*",)),
        (["Mail:dest", "token"], ["a", {"dest": HIDDEN, "token": HIDDEN}], ("dest", "token")),
        (["Other:dest"], ["a", {"dest": "b", "token": "c"}], ()),
        (["shop:Mail:dest"], ["a", {"dest": "b", "token": "c"}], ()),
        (["Mail:1"], ["a", HIDDEN], ("1",)),
        ([], ["a", {"dest": "b", "token": "c"}], ()),
    ],
)
def test_a_rule_may_be_for_one_type_and_for_a_place(
    override_faktory: Callable[..., None], rules: list[str], shown: Any, used: tuple[str, ...]
) -> None:
    override_faktory(REDACT_KEYS=rules)

    found = redact_args("Mail", ["a", {"dest": "b", "token": "c"}])

    assert found.value == shown
    assert found.rules == used


def test_a_job_says_what_pages_hide_by_the_names_of_its_parameters(own_jobs: None) -> None:
    del own_jobs

    @job(name="clinic.send", redact=["patient", "notes"])
    def send(patient: str, template: str, notes: str = "") -> None:
        raise AssertionError((patient, template, notes))

    found = redact_args(send.jobtype, ["Ada", "letter", {"notes": "ill", "x": 1}])

    assert found.value == [HIDDEN, "letter", HIDDEN]
    assert redact_args(send.jobtype, ["Ada", "letter"]).rules == ("patient",)


def test_a_parameter_named_like_a_word_of_the_setting_is_hidden(own_jobs: None) -> None:
    del own_jobs

    @job(name="clinic.Login")
    class Login:
        def perform(self, user: str, password: str) -> None:
            raise AssertionError((user, password))

    assert redact_args("clinic.Login", ["ada", "s3cret"]).value == ["ada", HIDDEN]


@pytest.mark.parametrize("wrong", ["password", ["-"], [""], [1], [None], {"a": 1}])
def test_a_job_with_a_rule_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="redact must be a list of words"):
        job(redact=wrong)


@pytest.mark.parametrize("wrong", ["-", "", "Mail:", "Mail:--"])
def test_a_setting_with_a_rule_that_is_none_is_refused(
    override_faktory: Callable[..., None], wrong: str
) -> None:
    override_faktory(REDACT_KEYS=[wrong])

    with pytest.raises(InvalidOption, match="REDACT_KEYS"):
        rules_of("Any")


@pytest.mark.parametrize(
    "body",
    [
        '{"args":[{"password":"s3cret"}],"custom":{"token":"s3cret"}}',
        '{"args":[' + '[{"password":"s3cret"},' * 3_000 + "1" + "]" * 3_001 + "}",
        '{"args":[' + "[" * 200_000 + '{"password":"s3cret"}',
        '{"password":"s3cret"',
        '["password","s3cret"]',
    ],
)
def test_a_secret_is_not_shown_however_badly_it_was_stored(body: str) -> None:
    contents = Contents.read("Any", body, None)

    assert "s3cret" not in contents.args + contents.custom
    assert HIDDEN in contents.args
    assert contents.rules


@pytest.mark.parametrize(
    ("body", "shown"),
    [("no json", "no json"), ("[]", "[]"), ('{"jid":1}', '{"jid":1}'), ('{"args":1}', "1")],
)
def test_what_is_no_job_is_shown_as_it_is(body: str, shown: str) -> None:
    assert Contents.read("Any", body, None).args == shown


def test_a_job_that_hides_all_hides_what_cannot_be_read_too(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(REDACT_KEYS=["Any:*"])

    assert Contents.read("Any", "no json", None).args == HIDDEN


def test_long_arguments_are_cut() -> None:
    contents = Contents.read("Any", json.dumps({"args": ["x" * 10**6]}), None)

    assert MAX_SHOWN < len(contents.args) < MAX_SHOWN + 100
