"""Horizon: who keeps vacuum from removing dead rows, and what to do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from . import figures

# Claims read over dead rows: from here on it is worth a look.
LONG_SECONDS: Final = 60
GRAVE_SECONDS: Final = 300
GRAVE_XIDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Holder:
    """A session, a prepared transaction, a standby or a replication slot.

    name is its pid, or its own name; who is an application or an owner; xids is how many
    transactions old its snapshot is, seconds None when nobody knows.
    """

    kind: str
    name: str
    who: str
    state: str
    seconds: float | None
    xids: int

    @property
    def grave(self) -> bool:
        """Whether it has lasted so long that somebody should act."""
        return (self.seconds or 0) >= GRAVE_SECONDS or self.xids >= GRAVE_XIDS

    @property
    def text(self) -> str:
        """What holds vacuum back, and for how long."""
        said = {
            "name": self.name,
            "who": self.who,
            "duration": figures.duration(self.seconds or 0),
            "count": figures.exact(self.xids),
        }
        texts = {
            "session": _("Pid %(name)s (%(who)s) has held back vacuum for %(duration)s."),
            "standby": _("The standby %(who)s (pid %(name)s) holds back vacuum with its queries."),
            "prepared": _(
                "The prepared transaction %(name)s of %(who)s has held back vacuum for "
                "%(duration)s."
            ),
            "slot": _(
                "The replication slot %(name)s (%(who)s) holds back vacuum by %(count)s "
                "transactions."
            ),
        }
        return texts[self.kind] % said

    @property
    def advice(self) -> str:
        """What to do."""
        said = {"name": self.name}
        if self.kind == "prepared":
            return _("Nobody has ended it: COMMIT PREPARED or ROLLBACK PREPARED with its name.")
        if self.kind == "standby":
            return _(
                "Turn hot_standby_feedback off, or set max_standby_streaming_delay, on the standby."
            )
        if self.kind == "slot":
            if self.state == "active":
                return _("Its reader lags: see what keeps it.")
            return _("Nobody reads it. If nobody will: SELECT pg_drop_replication_slot with it.")
        if self.state.startswith("idle in transaction"):
            text = _(
                "It has begun a transaction and does nothing. End it: SELECT "
                "pg_terminate_backend(%(name)s). The setting "
                "idle_in_transaction_session_timeout of PostgreSQL does so by itself."
            )
            return text % said
        text = _(
            "A long statement or transaction runs, such as a dump or a report. Let it end, or: "
            "SELECT pg_cancel_backend(%(name)s)."
        )
        return text % said
