#!/bin/sh
# Second half of a restore: fence the live database, exchange names in one transaction, open again. Seconds, whatever its size.
# Environment: DATABASE, STAMP, MODE (swap: <db>__restore_<stamp> becomes <db>; undo: the database that a swap set aside comes
# back), KEEP_HOURS (72: how long the database that was live is kept), BEFORE (undo: which kept database; default the newest).
# What has happened is read from the names and comments of the databases, so that a killed run can simply be run again.
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=roles/backup/files/restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"

FENCED=''
# shellcheck disable=SC2317,SC2329
cleanup() {
    rc=$?
    trap - EXIT
    [ "$rc" = 0 ] || [ -z "$FENCED" ] || sh "$SCRIPTS/cleanup.sh" reopen "$FENCED" 8>&-
    exit "$rc"
}
trap cleanup EXIT
trap 'fail 1 "stopped by a signal"' TERM INT HUP

# exchange INCOMING KEPT KIND: INCOMING becomes DATABASE; what was DATABASE (if there is one) becomes KEPT.
exchange() {
    sql "$MAINTENANCE_DB" -v "live=$DATABASE" -v "incoming=$1" -v "kept=$2" -v "kind=$3" -v "stamp=$STAMP" \
        -v "until=$(($(seconds) + ${KEEP_HOURS:-72} * 3600))" <<'SQL'
SET lock_timeout = '20s';
SELECT clock_timestamp() AS began \gset
SELECT count(*) > 0 AS has_live FROM pg_database WHERE datname = :'live' \gset
-- An earlier try may have fenced it already: then its own comment is inside ours.
SELECT coalesce((SELECT CASE WHEN d LIKE '{"holdfast":"fenced"%' THEN d::jsonb->>'comment' ELSE d END
    FROM (SELECT shobj_description(oid, 'pg_database') d FROM pg_database WHERE datname = :'live') x), '') AS own_comment \gset
SELECT coalesce((SELECT CASE WHEN d LIKE '{"holdfast":%' THEN d::jsonb->>'comment' ELSE d END
    FROM (SELECT shobj_description(oid, 'pg_database') d FROM pg_database WHERE datname = :'incoming') x), '') AS incoming_comment \gset
\if :has_live
BEGIN;
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS false', :'live')
\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', :'live', '{"holdfast":"fenced","since":' || extract(epoch FROM now())::bigint || ',"comment":' || coalesce(to_json(nullif(:'own_comment', ''))::text, 'null') || '}')
\gexec
COMMIT;
\echo fenced
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity WHERE datname = :'live' AND pid <> pg_backend_pid() \gset
\echo ended :ended
\endif
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', :'live', :'kept') WHERE :'has_live' = 't'
\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', :'kept', '{"holdfast":"' || :'kind' || '","of":' || to_json(:'live'::text) || ',"stamp":"' || :'stamp' || '","keep_until":' || :'until' || ',"comment":' || coalesce(to_json(nullif(:'own_comment', ''))::text, 'null') || '}') WHERE :'has_live' = 't'
\gexec
SELECT format('ALTER DATABASE %I RENAME TO %I', :'incoming', :'live')
\gexec
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', :'live')
\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', :'live', nullif(CASE WHEN :'kind' = 'before' AND :'has_live' = 't' THEN :'own_comment' ELSE :'incoming_comment' END, ''))
\gexec
COMMIT;
SELECT 'downtime_ms ' || (extract(epoch FROM clock_timestamp() - :'began'::timestamptz) * 1000)::int;
SQL
}

# The database that a swap of DATABASE kept, newest first.
kept_before() {
    sql "$MAINTENANCE_DB" -v "live=$DATABASE" <<'SQL'
SELECT datname FROM pg_database d, LATERAL shobj_description(d.oid, 'pg_database') c
WHERE c LIKE '{"holdfast":"before"%' AND c::jsonb->>'of' = :'live' ORDER BY c::jsonb->>'stamp' DESC LIMIT 1;
SQL
}

if [ -z "${DATABASE:-}" ] || [ -z "${STAMP:-}" ]; then fail 64 "DATABASE and STAMP are needed"; fi
MODE=${MODE:-swap}
step preflight database "$DATABASE" mode "$MODE"
exec 8>"$BACKUPS/$(safe_name "$DATABASE")/.restore.lock" || fail 65 "no backup directory of $DATABASE on the volume"
flock -n 8 || fail 75 "another restore of $DATABASE is running: wait for it to end"
need_server
if [ "$MODE" = swap ]; then
    incoming=$(side_name "$DATABASE" restore "$STAMP") kept=$(side_name "$DATABASE" before "$STAMP") kind=before
else
    incoming=${BEFORE:-$(kept_before)} kept=$(side_name "$DATABASE" undone "$STAMP") kind=undone
fi
if ! exists "${incoming:-}"; then
    # Already exchanged by a try that was killed before it could say so?
    if exists "$kept" && exists "$DATABASE"; then
        STEP='done'
        say result database "$DATABASE" kept "$kept" already true downtime_ms 0
        exit 0
    fi
    if [ "$MODE" = swap ]; then fail 65 "nothing to swap in: there is no database $incoming"; fi
    fail 65 "nothing to undo: no database kept from a restore of $DATABASE"
fi
if [ "$MODE" = swap ]; then
    case $(comment_of "$incoming") in
    *'"step":"verified"'*) : ;;
    *) fail 65 "$incoming has not been verified: prepare it again" ;;
    esac
fi
step swap incoming "$incoming" kept "$kept"
FENCED=$DATABASE
out=$(exchange "$incoming" "$kept" "$kind" 2>&1) || fail 1 "the swap did not happen: $(printf '%s' "$out" | grep -iE 'error|fatal' | tail -n 2 | tr '\n' ' ')"
FENCED=''
exists "$kept" || kept=''
STEP='done'
say result database "$DATABASE" kept "$kept" downtime_ms "$(printf '%s\n' "$out" | sed -n 's/^downtime_ms //p')" \
    sessions_ended "$(printf '%s\n' "$out" | sed -n 's/^ended //p')"
