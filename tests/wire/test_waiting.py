"""FETCHes that wait at one front end: served in the order in which they came, while they live."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .running import Server
    from .talking import Wire

ROUNDS = 100


def test_of_two_that_wait_for_a_queue_the_first_is_served_first(server: Server) -> None:
    with server.connect() as producer, server.connect() as first, server.connect() as second:
        for wire in (producer, first, second):
            wire.greet()
        for n in range(ROUNDS):
            begin_to_fetch(first, f"queue-{n}", seen_by=producer)
            begin_to_fetch(second, f"queue-{n}", seen_by=producer)

            producer.push(f"earlier-{n:04}", queue=f"queue-{n}")
            producer.push(f"later-{n:04}", queue=f"queue-{n}")

            served = first.read().json["jid"], second.read().json["jid"]
            assert served == (f"earlier-{n:04}", f"later-{n:04}")


def test_one_whose_client_has_gone_takes_no_job(server: Server) -> None:
    with server.connect() as producer, server.connect() as second:
        producer.greet()
        second.greet()
        with server.connect() as first:
            first.greet()
            begin_to_fetch(first, "default", seen_by=producer)
        begin_to_fetch(second, "default", seen_by=producer)

        producer.push("for-second-1")

        assert second.read().json["jid"] == "for-second-1"


def test_jobs_come_in_the_order_of_their_pushes(server: Server) -> None:
    jids = [f"in-order-{n:03}" for n in range(ROUNDS)]
    with server.connect() as producer, server.connect() as consumer:
        producer.greet()
        consumer.greet()
        for jid in jids:
            producer.push(jid)

        assert [consumer.fetch("default")["jid"] for _ in jids] == jids


def begin_to_fetch(wire: Wire, queues: str, *, seen_by: Wire) -> None:
    """Send a FETCH; when another connection was answered, the server has read it."""
    wire.send(f"FETCH {queues}\r\n")
    assert seen_by.call("NOTHING").shape == "error"
