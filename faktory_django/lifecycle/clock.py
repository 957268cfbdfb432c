"""Clock: times are the database's, and are written as the protocol has them."""

from __future__ import annotations

from typing import Final

# RFC 3339, UTC.
RFC3339: Final = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
