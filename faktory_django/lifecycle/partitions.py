"""Partitions: what is kept of the past is dropped by the day or month, never deleted row by row.

A row is in the partition of the day with which its time is over, so jobs may be kept for times of
their own. What is to be kept for longer than 40 days goes by the month.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .connection import execute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper

FINISHED: Final = "faktory_django_finishedjob"
ATTEMPTS: Final = "faktory_django_attempt"
LOG_LINES: Final = "faktory_django_logline"
TABLES: Final = (FINISHED, ATTEMPTS, LOG_LINES)

# A day as 20270131, a month as 202701: in which nothing is read from it any more. Rows are there
# for as long as was asked for at least, and for a day, or a month, more at most.
BUCKET_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_bucket_v1(days int, at timestamptz)
RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT (date_part('year', at AT TIME ZONE 'UTC' + days * interval '1 day') * 100
    + date_part('month', at AT TIME ZONE 'UTC' + days * interval '1 day'))::int
    * CASE WHEN days <= 40 THEN 100 ELSE 1 END
    + CASE WHEN days <= 40
        THEN date_part('day', at AT TIME ZONE 'UTC' + days * interval '1 day')::int ELSE 0 END
$$
"""

# As the owner of the tables, for a worker's role may own none; it must be one that may delete.
# The installer gives it the schema of the tables as its search path.
#
# What waits for a lock here holds up who comes after it, so it waits a fifth of a second only, and
# the next round tries again. A row whose partition is missing is in the rest, which has no bounds,
# and from where it is deleted: then that partition cannot be made.
PARTITIONS_FUNCTION: Final = f"""
DO $do$
BEGIN
CREATE OR REPLACE FUNCTION faktory_django_partitions_v1(parent text, kept int[], pieces int)
RETURNS TABLE (made int, dropped int, deleted int)
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '200ms' AS $$
#variable_conflict use_variable
DECLARE
    asker CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
    moment CONSTANT timestamptz := clock_timestamp();
    today CONSTANT int := faktory_django_bucket_v1(0, moment);
    bucket int;
    one record;
BEGIN
    made := 0;
    dropped := 0;
    deleted := 0;
    IF parent <> ALL('{{{",".join(TABLES)}}}')
    OR NOT has_table_privilege(asker, parent, 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = format('not allowed for table %%L', parent);
    END IF;
    FOR bucket IN
        SELECT DISTINCT faktory_django_bucket_v1(k.days, moment + ahead * interval '1 day')
        FROM unnest(kept) AS k(days)
        CROSS JOIN generate_series(0, 2) AS ahead
        ORDER BY 1
    LOOP
        CONTINUE WHEN to_regclass(format('%%I', parent || '_' || bucket)) IS NOT NULL;
        BEGIN
            -- by ATTACH, which lets others read meanwhile; who writes waits, or a row that is on
            -- its way to the rest would be refused there
            EXECUTE format(
                'LOCK TABLE ONLY %%2$I IN SHARE ROW EXCLUSIVE MODE;'
                'CREATE TABLE %%1$I (LIKE %%2$I INCLUDING DEFAULTS INCLUDING INDEXES);'
                'ALTER TABLE %%2$I ATTACH PARTITION %%1$I FOR VALUES IN (%%3$s)',
                parent || '_' || bucket, parent, bucket);
            made := made + 1;
        EXCEPTION
            WHEN lock_not_available OR check_violation OR duplicate_table OR unique_violation THEN
                NULL;
        END;
    END LOOP;
    FOR one IN
        SELECT c.relname AS name
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (
            SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM '\\d+')::int
        ) AS b(bucket)
        WHERE i.inhparent = parent::regclass
        AND b.bucket < CASE WHEN b.bucket < 1000000 THEN today / 100 ELSE today END
        ORDER BY b.bucket
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %%I', one.name);
            dropped := dropped + 1;
        EXCEPTION
            WHEN lock_not_available THEN
                EXIT;
        END;
    END LOOP;
    EXECUTE format(
        'WITH gone AS (DELETE FROM %%1$I r WHERE r.ctid = ANY(ARRAY('
        'SELECT o.ctid FROM %%1$I o'
        ' WHERE o.bucket < CASE WHEN o.bucket < 1000000 THEN %%2$s / 100 ELSE %%2$s END'
        ' LIMIT %%3$s)) RETURNING 1) SELECT count(*) FROM gone',
        parent || '_rest', today, pieces)
    INTO deleted;
    RETURN NEXT;
END
$$;
    EXECUTE format(
        'ALTER FUNCTION faktory_django_partitions_v1(text, int[], int)'
        ' SET search_path = %%I, pg_temp',
        current_schema());
END
$do$
"""

KIND: Final = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)"
# Django makes plain tables: it knows no partitions. Names of indexes and columns stay its own.
SPLIT: Final = """
DO $$
DECLARE
    definitions text[];
    definition text;
BEGIN
    ALTER TABLE {table} RENAME TO {table}_plain;
    CREATE TABLE {table} (LIKE {table}_plain INCLUDING DEFAULTS) PARTITION BY LIST (bucket);
    CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT;
    INSERT INTO {table} SELECT * FROM {table}_plain;
    definitions := ARRAY(
        SELECT pg_get_indexdef(i.indexrelid)
        FROM pg_index i
        WHERE i.indrelid = '{table}_plain'::regclass AND NOT i.indisprimary
        ORDER BY i.indexrelid
    );
    DROP TABLE {table}_plain;
    CREATE SEQUENCE {table}_id_seq OWNED BY {table}.id;
    PERFORM setval('{table}_id_seq', coalesce((SELECT max(id) FROM {table}), 1));
    ALTER TABLE {table} ALTER id SET DEFAULT nextval('{table}_id_seq');
    FOREACH definition IN ARRAY definitions LOOP
        EXECUTE replace(definition, '{table}_plain', '{table}');
    END LOOP;
END
$$
"""
UPKEEP: Final = """
SELECT made, dropped, deleted
FROM faktory_django_partitions_v1(%(table)s, %(kept)b::int[], %(pieces)s)
"""


class Kept(NamedTuple):
    """What upkeep has done to a table."""

    made: int
    dropped: int
    deleted: int


def split(connection: BaseDatabaseWrapper) -> None:
    """Make partitioned tables of those that are plain."""
    for table in TABLES:
        if execute(connection, KIND, [table]) == [("r",)]:
            execute(connection, SPLIT.format(table=table))


def upkeep(
    connection: BaseDatabaseWrapper, table: str, kept: Iterable[int], *, pieces: int = 10_000
) -> Kept:
    """Make the partitions of today and the next two days, drop those whose time is over.

    kept are the days for which rows are to be kept; from the rest at most pieces are deleted.
    """
    params = {"table": table, "kept": sorted(set(kept)), "pieces": pieces}
    return Kept(*execute(connection, UPKEEP, params)[0])
