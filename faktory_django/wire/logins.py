"""Logins: who may try a password how often, and the slow answer to a wrong one."""

from __future__ import annotations

import secrets
import time
from collections import deque
from typing import Final

from .handshake import ITERATIONS, Challenge

# A wrong password is answered after this.
PENALTY_SECONDS: Final = 1.0
WINDOW_SECONDS: Final = 60.0
MAX_ADDRESSES: Final = 10_000


class Logins:
    """Counts wrong passwords by address."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._failures: dict[str, deque[float]] = {}

    def challenge(self) -> Challenge:
        """Return a fresh salt, and a number of iterations that clients expect."""
        return Challenge(secrets.token_hex(16), secrets.choice(ITERATIONS))

    def may_try(self, address: str) -> bool:
        """Tell whether an address has not failed too often in the last minute."""
        failures = self._failures.get(address)
        if failures is None:
            return True
        while failures and failures[0] < time.monotonic() - WINDOW_SECONDS:
            failures.popleft()
        if not failures:
            del self._failures[address]
            return True
        return len(failures) < self._per_minute

    def failed(self, address: str) -> None:
        """Take note of a wrong password."""
        if address not in self._failures and len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures.setdefault(address, deque(maxlen=self._per_minute)).append(time.monotonic())
