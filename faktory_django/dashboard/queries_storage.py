"""Queries about the tables themselves, from the statistics of PostgreSQL."""

from __future__ import annotations

from typing import Final

# A table with its partitions.
TABLES: Final = """
SELECT c.relname, t.rows, t.live, t.dead, t.table_bytes, t.index_bytes, t.vacuumed_at, t.analysed_at
FROM unnest(%(names)b::text[]) AS n(name)
JOIN pg_class c ON c.oid = to_regclass(n.name)
CROSS JOIN LATERAL (
    SELECT sum(greatest(p.reltuples, 0))::bigint AS rows,
        coalesce(sum(s.n_live_tup), 0)::bigint AS live,
        coalesce(sum(s.n_dead_tup), 0)::bigint AS dead,
        sum(pg_table_size(p.oid))::bigint AS table_bytes,
        sum(pg_indexes_size(p.oid))::bigint AS index_bytes,
        max(greatest(s.last_vacuum, s.last_autovacuum)) AS vacuumed_at,
        max(greatest(s.last_analyze, s.last_autoanalyze)) AS analysed_at
    FROM (
        SELECT c.oid
        UNION ALL
        SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = c.oid
    ) AS part
    JOIN pg_class p ON p.oid = part.oid
    LEFT JOIN pg_stat_user_tables s ON s.relid = p.oid
) AS t
ORDER BY t.table_bytes + t.index_bytes DESC, c.relname
"""
# Who keeps vacuum from removing dead rows: the oldest snapshots, whatever holds them. Autovacuum's
# own do not count. Replication slots and standbys hold those of the whole cluster.
HOLDERS: Final = """
SELECT h.kind, h.name, h.who, h.state, h.seconds, h.xids
FROM (
    SELECT CASE WHEN a.backend_type = 'walsender' THEN 'standby' ELSE 'session' END AS kind,
        a.pid::text AS name, coalesce(nullif(a.application_name, ''), a.usename, '') AS who,
        coalesce(a.state, '') AS state,
        extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8
            AS seconds,
        age(a.backend_xmin) AS xids
    FROM pg_stat_activity a
    WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid()
    AND a.backend_type <> 'autovacuum worker'
    AND (a.datname = current_database() OR a.backend_type = 'walsender')
    UNION ALL
    SELECT 'prepared', p.gid, p.owner::text, '',
        extract(epoch FROM clock_timestamp() - p.prepared)::float8, age(p.transaction)
    FROM pg_prepared_xacts p
    WHERE p.database = current_database()
    UNION ALL
    SELECT 'slot', r.slot_name::text, coalesce(r.plugin::text, r.slot_type),
        CASE WHEN r.active THEN 'active' ELSE 'inactive' END, NULL,
        greatest(age(r.xmin), age(r.catalog_xmin))
    FROM pg_replication_slots r
    WHERE r.xmin IS NOT NULL OR r.catalog_xmin IS NOT NULL
) AS h
WHERE h.seconds IS NULL OR h.seconds >= %(seconds)s
ORDER BY h.xids DESC, h.kind, h.name
LIMIT %(limit)s
"""
# The ends of what is kept, from the ends of indexes.
KEPT: Final = """
SELECT (
        SELECT d.died_at FROM faktory_django_deadjob d ORDER BY d.died_at, d.id LIMIT 1
    ), (
        SELECT c.starts_at FROM faktory_django_counter c
        WHERE c.resolution = 60 ORDER BY c.starts_at LIMIT 1
    ), (
        SELECT c.starts_at FROM faktory_django_counter c
        WHERE c.resolution = 3600 ORDER BY c.starts_at LIMIT 1
    ), (
        SELECT c.starts_at FROM faktory_django_counter c
        WHERE c.resolution = 86400 ORDER BY c.starts_at LIMIT 1
    ), (
        SELECT f.finished_at FROM faktory_django_finishedjob f
        ORDER BY f.finished_at, f.id LIMIT 1
    ), current_setting('server_version')
"""
