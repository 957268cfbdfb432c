"""Wake-ups: the only place that names a channel.

A NOTIFY is a hint, never needed for correctness; its payload is the wid that is meant: it has
work to claim, or with a word before it, jobs to cancel.
The name holds the schema: two instances may share a database, and channels are per database.
"""

from typing import Final

# SQL that yields the channel's name; at most 63 bytes, whatever the schema is called.
CHANNEL: Final = "'faktory_django_' || md5(current_schema())"

# What stands before the wid of a process that is to look which of its jobs were cancelled.
CANCEL: Final = "cancel "

# A few more than there are jobs: one of the chosen may have died or taken another job.
WAKE_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_wake_v1(wake_queues text[], jobs int)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify({CHANNEL}, w.wid)
    FROM faktory_django_waiter w
    WHERE w.queues && wake_queues
    ORDER BY random()
    LIMIT jobs + 1;
END
$$
"""
