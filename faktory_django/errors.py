"""Everything that can go wrong, in one tree, named for what happened.

FaktoryError
├── InvalidOption           an option of @job, .set() or a setting has a value it cannot have
├── InvalidPayload          a push was refused; nothing was stored
│   ├── InvalidArguments    an argument is not JSON and not one of the extra types
│   ├── InvalidQueueName
│   ├── InvalidTime         a naive datetime, a negative or absurd delay
│   ├── EncryptionNotReady  no key, or no code to use it
│   ├── BatchClosed         the batch of a job is not there, cancelled, or committed
│   └── PayloadTooLarge
├── NotUnique               on_duplicate="raise": another job holds the unique lock
├── UniqueLockBusy          somebody is pushing the same unique job, for too long
├── CommandRefused          a client of the wire gets an error for what it sent
├── DuplicateJobType        two functions claim one jobtype
├── UnknownJobType          no function is registered for a jobtype
├── InvalidCursor           an iterable job yielded what cannot be kept
├── UnknownBatch            there is no batch of this id
├── UnreadableArguments     a worker cannot read what is encrypted
├── ReservationLost         another process holds the job, or it has ended
├── DatabaseNotReady        not PostgreSQL, or too old
│   └── DatabaseNotMigrated  waiting helps: a worker waits for it
└── JobControl              raised by a job to say what becomes of it
    ├── Retry  Snooze  Discard  Kill
JobTimeout (BaseException)  raised inside a job that ran longer than timeout_seconds
JobCancelled (BaseException)  raised inside a job that somebody has cancelled
JobInterrupted (BaseException)  an iterable job rests at a checkpoint: its worker ends
"""

from __future__ import annotations

from datetime import timedelta


class FaktoryError(Exception):
    """The root of all errors of this package but the last three."""


class InvalidOption(FaktoryError, ValueError):
    """An option has a value that it cannot have."""


class InvalidPayload(FaktoryError, ValueError):
    """A push was refused and nothing was stored."""


class InvalidArguments(InvalidPayload):
    """An argument cannot travel as JSON."""


class InvalidQueueName(InvalidPayload):
    """A queue name is not 1 to 100 characters of a-z, A-Z, 0-9, dot, underscore, hyphen."""


class InvalidTime(InvalidPayload):
    """A time or a delay is naive, negative or too far ahead."""


class EncryptionNotReady(InvalidPayload):
    """The arguments of a job must be encrypted and cannot be: no key, or the extra is missing."""


class PayloadTooLarge(InvalidPayload):
    """A job is larger than MAX_PAYLOAD_BYTES."""


class NotUnique(FaktoryError):
    """A job was not pushed: another one holds its unique lock. existing is the jid of that one.

    None when it has ended in this moment.
    """

    def __init__(self, message: str, *, existing: str | None = None) -> None:
        super().__init__(message)
        self.existing = existing


class UniqueLockBusy(FaktoryError):
    """A transaction that has not ended is pushing the same unique job: try again later."""


class BatchClosed(InvalidPayload):
    """A job cannot join its batch: it is not there, it is cancelled, or committed."""


class CommandRefused(FaktoryError):
    """What a client of the wire sent is refused; the text follows the word ERR of the reply."""


class DuplicateJobType(FaktoryError):
    """Two functions claim the same jobtype."""


class UnknownJobType(FaktoryError):
    """No function is registered under the jobtype of a job."""


class InvalidCursor(FaktoryError, ValueError):
    """What an iterable job yielded is not JSON, or larger than MAX_CURSOR_BYTES."""


class UnknownBatch(FaktoryError, LookupError):
    """There is no batch of this id; it may have been forgotten."""


class UnreadableArguments(FaktoryError):
    """The encrypted arguments of a job cannot be read: a key is missing, or they were damaged."""


class ReservationLost(FaktoryError):
    """The job is no longer held: it was given to another process, or has ended."""


class NoResult(FaktoryError):
    """There is no result of a job: it is not over, did not succeed, or its result is not kept.

    state is what Job.status() says of it.
    """

    def __init__(self, message: str, *, state: str = "unknown") -> None:
        super().__init__(message)
        self.state = state


class DatabaseNotReady(FaktoryError):
    """The database cannot serve this version of the package."""


class DatabaseNotMigrated(DatabaseNotReady):
    """The tables or functions that this version needs are not there yet."""


class JobControl(FaktoryError):
    """Raised by a job to say what becomes of it."""


class Retry(JobControl):
    """Fail now and run again after in_ (seconds or timedelta), or after the usual delay.

    It counts as a failure and uses up one retry.
    """

    def __init__(self, message: str = "", *, in_: float | timedelta | None = None) -> None:
        super().__init__(message or "the job asked to be retried")
        self.delay_seconds = None if in_ is None else _seconds(in_)


class Snooze(JobControl):
    """Run again after in_ (seconds or timedelta); no attempt is used, and nothing failed."""

    def __init__(self, in_: float | timedelta) -> None:
        super().__init__("the job asked to run later")
        self.delay_seconds = _seconds(in_)


class Discard(JobControl):
    """End the job without success: it is thrown away."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the job discarded itself")


class Kill(JobControl):
    """Send the job straight to the dead ones, whatever retries are left."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the job killed itself")


class JobTimeout(BaseException):
    """Raised inside a job that ran longer than its timeout_seconds.

    Not an Exception, so that a job's own `except Exception` does not swallow it.
    """


class JobCancelled(BaseException):
    """Raised inside a job that somebody has cancelled: by check_cancelled(), or by force.

    Not an Exception, so that a job's own `except Exception` does not swallow it.
    """


class JobInterrupted(BaseException):
    """Raised through the middleware of an iterable job that rests at a checkpoint.

    Its worker ends, or takes no more jobs; another one goes on with the job.
    """


def _seconds(value: float | timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 <= seconds < 10**9:
        raise InvalidTime(f"a delay must be 0 to 999999999 seconds, got {value!r}")
    return seconds
