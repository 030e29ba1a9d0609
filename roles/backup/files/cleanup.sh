#!/bin/sh
# Drop databases and schemas that restores have kept long enough, and open a live database that a killed swap has left fenced.
# cleanup.sh               every database of the server that carries our comment, and every schema of those in $DATABASES
# cleanup.sh reopen NAME   only open NAME again, if it is fenced by us (its lock is the caller's)
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=roles/backup/files/restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"
STEP=cleanup

reopen() {
    sql "$MAINTENANCE_DB" -v "name=$1" >/dev/null <<'SQL'
BEGIN;
CREATE TEMP TABLE fenced ON COMMIT DROP AS SELECT datname, shobj_description(oid, 'pg_database') c FROM pg_database
WHERE datname = :'name' AND shobj_description(oid, 'pg_database') LIKE '{"holdfast":"fenced"%';
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM fenced
\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', datname, c::jsonb->>'comment') FROM fenced
\gexec
COMMIT;
SQL
}

if [ "${1:-}" = reopen ]; then
    reopen "$2"
    exit
fi
need_server
list=$(mktemp)
sql "$MAINTENANCE_DB" -v "now=$(seconds)" >"$list" <<'SQL'
SELECT CASE WHEN c LIKE '{"holdfast":"fenced"%' THEN 'reopen' ELSE 'drop' END, datname,
    CASE WHEN c LIKE '{"holdfast":"fenced"%' THEN datname ELSE c::jsonb->>'of' END
FROM pg_database d, LATERAL shobj_description(d.oid, 'pg_database') c
WHERE c LIKE '{"holdfast":"fenced"%' OR (c LIKE '{"holdfast":"restore"%' AND (c::jsonb->>'since')::bigint < :now - 86400)
   OR ((c LIKE '{"holdfast":"before"%' OR c LIKE '{"holdfast":"undone"%') AND (c::jsonb->>'keep_until')::bigint < :now);
SQL
done=0
while IFS='|' read -r what name of <&5; do
    [ -d "$BACKUPS/$(safe_name "$of")" ] || continue
    exec 8>"$BACKUPS/$(safe_name "$of")/.restore.lock"
    flock -n 8 || continue # a restore is at work on it
    if [ "$what" = reopen ]; then reopen "$name"; else drop "$name" >/dev/null; fi
    say progress action "$what" database "$name"
    done=$((done + 1))
    exec 8>&-
done 5<"$list"
# What restores of single tables have left in the live databases.
printf '%s\n' "${DATABASES:-}" >"$list.live"
while IFS= read -r database <&5; do
    [ -n "$database" ] || continue
    sql "$database" -v "now=$(seconds)" >"$list" 2>/dev/null <<'SQL' || continue
SELECT nspname FROM pg_namespace n, LATERAL obj_description(n.oid, 'pg_namespace') c
WHERE c LIKE '{"holdfast":"table"%' AND (c::jsonb->>'keep_until')::bigint < :now;
SQL
    while IFS= read -r schema <&6; do
        drop_schema "$database" "$schema" >/dev/null 2>&1 || continue
        say progress action drop database "$database" schema "$schema"
        done=$((done + 1))
    done 6<"$list"
done 5<"$list.live"
rm -f "$list" "$list.live"
say result changed "$done"
