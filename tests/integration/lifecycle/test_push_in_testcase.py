"""Push inside Django's TestCase, whose transaction never commits."""

from __future__ import annotations

from django.db import connection
from django.test import TestCase

from faktory_django.lifecycle.fetch import Consumer

from .stock import claimed_jids, push_one, sql


class PushInTestCase(TestCase):
    """Each test sees its own pushes only."""

    def test_a_push_is_seen_by_the_test_that_pushed(self) -> None:
        assert claimed_jids() == []

        jid = push_one()

        assert claimed_jids() == [jid]

    def test_a_push_is_gone_in_the_next_test(self) -> None:
        assert claimed_jids() == []

        jid = push_one()

        assert claimed_jids() == [jid]

    def test_the_wake_is_among_the_callbacks_that_run_on_commit(self) -> None:
        Consumer("idle", listens=True).turn(connection, ["default"], 1)

        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            push_one()
            push_one()

        assert len(callbacks) == 1
        assert sql("SELECT wid FROM faktory_django_waiter") == [("idle",)]
