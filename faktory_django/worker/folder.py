"""The folder: remembers the batches whose jobs have ended here, and folds them a moment later.

One statement for all that ended meanwhile, a few times a second at most; none while no job of a
batch ends. What it leaves, upkeep folds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from faktory_django.features.batches import bid_of
from faktory_django.lifecycle.batch_fold import fold_each

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Between two folds. Jobs of a large batch end in many turns.
PAUSE_SECONDS: Final = 0.05
# A batch that somebody holds is left to upkeep after so many attempts.
ATTEMPTS: Final = 12


class Folder:
    """Batches to be folded: those whose jobs have ended in statements that have committed."""

    def __init__(self) -> None:
        self._bids: dict[str, int] = {}
        self.next_at = 0.0

    def __bool__(self) -> bool:
        """Whether there is something to fold."""
        return bool(self._bids)

    def note(self, traits: str) -> None:
        """A job with these traits has ended."""
        if (bid := bid_of(traits)) is not None:
            self._bids[bid] = 0

    def is_due(self, now: float) -> bool:
        """Whether to fold now."""
        return bool(self._bids) and now >= self.next_at

    def fold(self, connection: BaseDatabaseWrapper, now: float) -> None:
        """Fold what is noted; what others hold is tried again."""
        self.next_at = now + PAUSE_SECONDS
        busy = fold_each(connection, list(self._bids))
        self._bids = {
            bid: self._bids[bid] + 1 for bid in busy if self._bids.get(bid, ATTEMPTS) < ATTEMPTS
        }
