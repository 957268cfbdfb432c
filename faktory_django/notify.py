"""Wake-ups: the only place that names a channel.

A NOTIFY is a hint, never needed for correctness; its payload is the wid that is meant.
The name holds the schema: two instances may share a database, and channels are per database.
"""

from typing import Final

# SQL that yields the channel's name; at most 63 bytes, whatever the schema is called.
CHANNEL: Final = "'faktory_django_' || md5(current_schema())"

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
