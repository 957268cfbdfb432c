"""Where the tests' database is, for processes of their own."""

from __future__ import annotations

from urllib.parse import quote

from django.db import connection


def database_url(name: str | None = None) -> str:
    """Return a DATABASE_URL of the tests' server; name is another database there."""
    given = connection.settings_dict
    user = ":".join(quote(part, safe="") for part in (given["USER"], given["PASSWORD"]) if part)
    host, port = str(given["HOST"] or ""), given["PORT"] or 5432
    folder = given["OPTIONS"].get("host") or (host if host.startswith("/") else "")
    place = "" if folder else host
    query = f"?host={folder}" if folder else ""
    return f"postgresql://{user}@{place}:{port}/{name or given['NAME']}{query}"
