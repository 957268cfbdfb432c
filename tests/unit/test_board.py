"""The board: a parent reads what its child does, whatever the child does."""

from __future__ import annotations

import os

from faktory_django.worker.board import Board, Phase, Slot


def test_a_new_board_is_empty() -> None:
    board = Board(3)

    assert board.head() == (0.0, Phase.STARTING, 0)
    assert board.busy() == []


def test_the_board_shows_the_latest_tick_and_the_busy_slots() -> None:
    board = Board(3)

    board.tick(12.5, Phase.RUNNING, 7)
    board.enter(0, 2**62, 1.0, 2.0)
    board.enter(2, 42, 3.0, 4.5)
    board.leave(0)

    assert board.head() == (12.5, Phase.RUNNING, 7)
    assert board.busy() == [Slot(42, 3.0, 4.5)]


def test_a_run_that_asked_for_more_time_has_its_limit_on_the_board() -> None:
    board = Board(1)
    board.enter(0, 9, 10.0, 70.0)

    board.extend(0, 9, 10.0, 300.0)
    assert board.busy() == [Slot(9, 10.0, 310.0, 300.0)]

    board.enter(0, 10, 400.0, 460.0)
    assert board.busy() == [Slot(10, 400.0, 460.0)]


def test_a_parent_reads_what_a_child_wrote_before_it_died() -> None:
    board = Board(1)

    child = os.fork()
    if child == 0:
        board.tick(1.0, Phase.DRAINING, 3)
        board.enter(0, 9, 1.0, 2.0)
        os._exit(0)
    os.waitpid(child, 0)

    assert board.head() == (1.0, Phase.DRAINING, 3)
    assert board.busy() == [Slot(9, 1.0, 2.0)]
