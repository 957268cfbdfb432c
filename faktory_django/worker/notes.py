"""Notes: what a worker says of a run to the statement that ends it, for what is kept of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from faktory_django import encryption, payload, settings
from faktory_django.errors import EncryptionNotReady
from faktory_django.features import batches, history

if TYPE_CHECKING:
    from .runner import Prepared


def of_success(prepared: Prepared, waited: float, ran: float) -> str | None:
    """Return the note of a run that has returned; None when nothing is kept of the job."""
    if (traits := prepared.claimed.traits) is None:
        return None
    keep = history.keep_of(traits)
    passes = batches.passes_result(traits)
    if keep is None and not passes:
        return None
    result = _result(prepared) if passes or (keep and keep.get("result")) else {}
    return history.note(**_facts(prepared, waited, ran), **result)


def of_failure(prepared: Prepared, waited: float, ran: float) -> str:
    """Return the note of a run that has not."""
    return history.note(**_facts(prepared, waited, ran))


def _facts(prepared: Prepared, waited: float, ran: float) -> dict[str, Any]:
    return {
        "started": round(prepared.claimed.enqueued_at + waited, 6),
        "ran": round(ran, 6),
        "wid": prepared.wid,
        "attempt": prepared.job.attempt if prepared.job is not None else None,
    }


def _result(prepared: Prepared) -> dict[str, Any]:
    ours = settings.get()
    found = history.result_of(
        prepared.returned, max_bytes=ours.result_bytes, max_depth=ours.max_argument_depth
    )
    if found.text is None:
        return {"remark": found.remark}
    if prepared.job is not None and payload.is_encrypted(prepared.job.custom):
        return _sealed(prepared.jobtype, found)
    mark = json.dumps({"kinds": found.kinds}, ensure_ascii=False) if found.kinds else None
    return {"result": found.text, "mark": mark}


def _sealed(jobtype: str, found: history.Result) -> dict[str, Any]:
    """Return a result as the arguments were stored: as a token."""
    try:
        token = encryption.seal(jobtype, f"[{found.text}]", found.kinds, named=False)
    except EncryptionNotReady as wrong:  # the keys have gone since it was read
        return {"remark": f"not encrypted: {wrong}"}
    return {"result": token, "mark": json.dumps(encryption.MARK)}
