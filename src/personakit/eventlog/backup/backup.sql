-- What a backup asks of a database. The tables are found in the catalogue, so that one that is added to the
-- schema is in the backup by itself, unless `tables.py` leaves it out.

-- :query read_all
-- Where row-level security would hide rows from this role, fail rather than leave them out. Values are written
-- in one way, whatever the server is set to.
SET LOCAL row_security = off;
SET LOCAL datestyle = 'ISO';
SET LOCAL timezone = 'UTC';
SET LOCAL bytea_output = 'hex';
SET LOCAL extra_float_digits = 1

-- :query there
SELECT to_regclass('personakit.log_identity') IS NOT NULL AS there

-- :query tables
-- The tables of the schema with their columns, and which tables their rows refer to.
SELECT c.relname::text AS name,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
       ARRAY(SELECT DISTINCT r.relname::text FROM pg_constraint AS f JOIN pg_class AS r ON r.oid = f.confrelid
             WHERE f.conrelid = c.oid AND f.contype = 'f' AND r.oid <> c.oid ORDER BY 1) AS refers_to
FROM pg_class AS c
WHERE c.relnamespace = 'personakit'::regnamespace AND c.relkind = 'r'
ORDER BY c.relname

-- :query identity
-- Columns that an older release did not have are none.
SELECT epoch, format, encode(master_check, 'hex') AS master_check, to_jsonb(i)->>'restoring' AS restoring,
       (SELECT coalesce(max(position), 0) FROM personakit.events) AS position
FROM personakit.log_identity AS i

-- :query begin_restore
-- From here on the database says that it is not whole.
UPDATE personakit.log_identity SET restoring = %(backup)s

-- :query migration_lock
-- A service that starts waits here, and finds what was restored.
SELECT pg_advisory_xact_lock(7165064742)

-- :query restore_lock
SELECT pg_try_advisory_lock(7165064747) AS mine

-- :query begin_epoch
-- The restored log is another one than that of the backup: what came after the backup is not in it.
UPDATE personakit.log_identity SET epoch = gen_random_uuid(), restoring = %(backup)s, master_check = %(word)s

-- :query end_restore
-- From here on it is whole.
UPDATE personakit.log_identity SET restoring = NULL
RETURNING epoch, (SELECT count(*) FROM personakit.person_keys) AS people,
          (SELECT count(*) FROM personakit.api_keys WHERE revoked_at IS NULL
           AND coalesce(least(expires_at, overlap_until), 'infinity') > clock_timestamp()) AS open_keys

-- :query analyse
-- So that what reads the log next is planned by what is in it.
ANALYZE personakit.events

-- :query revoke_keys
UPDATE personakit.api_keys SET revoked_at = clock_timestamp() WHERE revoked_at IS NULL

-- :query counters
-- Sequences that columns take their numbers from.
SELECT c.relname::text AS name, a.attname::text AS column,
       pg_get_serial_sequence(format('personakit.%I', c.relname), a.attname) AS sequence
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'personakit'::regnamespace AND c.relkind = 'r'
  AND pg_get_serial_sequence(format('personakit.%I', c.relname), a.attname) IS NOT NULL
ORDER BY 1, 2
