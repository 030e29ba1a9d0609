#!/bin/sh
# Prove the newest backup of each database: restore it into a throwaway server on this job's own scratch space, compare with
# the manifest, check the indexes, then damage the copy in three ways and insist on noticing each. Never talks to the live server.
# Environment: DATABASES (one a line); BACKUPS; SCRATCH (/scratch); BACKUP (a name; default the newest).
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=roles/backup/files/restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"

SCRATCH=${SCRATCH:-/scratch}
SERVER=$SCRATCH/server LOADER='' RUNNING=''
unset PGPASSWORD PGHOSTADDR PGPORT
MAINTENANCE_DB=postgres # the throwaway server has no other, whatever the live one has
export PGHOST="$SCRATCH" PGUSER=postgres CONNECT_TRIES=1

# shellcheck disable=SC2317,SC2329
cleanup() {
    rc=$?
    trap - EXIT
    [ -z "$LOADER" ] || kill "$LOADER" 2>/dev/null
    [ -z "$RUNNING" ] || pg_ctl -D "$SERVER" -m immediate stop >/dev/null 2>&1
    rm -rf "$SERVER" "$SCRATCH"/facts* "$SCRATCH"/damaged "$SCRATCH"/*.log
    exit "$rc"
}
trap cleanup EXIT
trap 'fail 1 "stopped by a signal"' TERM INT HUP

start_server() {
    step start_server
    rm -rf "$SERVER"
    initdb -D "$SERVER" -U postgres --auth=trust -E UTF8 --locale=C --no-sync >"$SCRATCH/initdb.log" 2>&1 ||
        fail 1 "cannot make the throwaway server: $(tail -n 2 "$SCRATCH/initdb.log" | tr '\n' ' ')"
    cat >>"$SERVER/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$SCRATCH'
unix_socket_permissions = 0700
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 256MB
autovacuum = off
shared_buffers = 64MB
maintenance_work_mem = 128MB
CONF
    pg_ctl -D "$SERVER" -w -t 60 -l "$SCRATCH/server.log" start >/dev/null 2>&1 8>&- 9>&- ||
        fail 1 "the throwaway server does not start: $(tail -n 2 "$SCRATCH/server.log" | tr '\n' ' ')"
    RUNNING=1
}

# mark BACKUP FILE WHY: VERIFIED.json or UNPROVEN.json, never both.
mark() {
    printf '{"at":"%s","why":"%s","rows":%s,"seconds":%s,"amcheck":"%s","damage_noticed":%s}\n' "$(now)" "$(json "$3")" \
        "${rows:-0}" "$(($(seconds) - began))" "${amcheck:-no}" "${noticed:-0}" | write_atomic "$1/$2"
    [ "$2" = VERIFIED.json ] && rm -f "$1/UNPROVEN.json"
    [ "$2" = UNPROVEN.json ] && rm -f "$1/VERIFIED.json"
    durable "$1/$2"
}

unproven() {
    mark "$from" UNPROVEN.json "$1"
    sh "$SCRIPTS/status.sh" "$home" "$database"
    fail 65 "UNPROVEN: backup $name of $database: $1"
}

# notices SQL: the comparison must fail on a copy damaged by SQL (rolled back afterwards).
notices() {
    rm -rf "$SCRATCH/facts-damaged"
    mkdir -p "$SCRATCH/facts-damaged"
    {
        printf "BEGIN;\nSET LOCAL session_replication_role = replica;\n"
        json_table "$from/facts/tables.jsonl"
        printf "%s\n\\\\i '%s/facts-quick.sql'\n\\\\i '%s/facts-tables.sql'\nROLLBACK;\n" "$1" "$SCRIPTS" "$SCRIPTS"
    } | sql trial -v "dir=$SCRATCH/facts-damaged" -v "hash=$hash" >/dev/null 2>"$SCRATCH/damage.log" ||
        { say warning message "the damage could not be done: $(tail -n 1 "$SCRATCH/damage.log")"; return 1; }
    [ -n "$(compare "$from/facts" "$SCRATCH/facts-damaged")" ] || return 1
    noticed=$((noticed + 1))
}

damage() {
    step prove
    noticed=0
    # shellcheck disable=SC2016
    notices 'DO $$ DECLARE t jsonb; BEGIN
        SELECT j INTO t FROM wanted WHERE (j->>$q$rows$q$)::bigint > 0 ORDER BY (j->>$q$rows$q$)::bigint DESC LIMIT 1;
        EXECUTE format($q$DELETE FROM ONLY %1$I.%2$I WHERE ctid = (SELECT ctid FROM ONLY %1$I.%2$I LIMIT 1)$q$, t->>$q$schema$q$, t->>$q$table$q$);
        END $$;' || unproven "the comparison did not notice a missing row"
    # Two tables of one schema, so that no name is in the way, and two that differ, so that there is something to notice;
    # a table without such a partner only loses its name.
    # shellcheck disable=SC2016
    notices 'DO $$ DECLARE a jsonb; b jsonb; BEGIN
        SELECT j INTO a FROM wanted WHERE j->>$q$kind$q$ = $q$r$q$ ORDER BY (j->>$q$rows$q$)::bigint DESC LIMIT 1;
        SELECT j INTO b FROM wanted WHERE j->>$q$kind$q$ = $q$r$q$ AND j->>$q$schema$q$ = a->>$q$schema$q$
            AND (j->>$q$rows$q$, j->>$q$hash$q$) IS DISTINCT FROM (a->>$q$rows$q$, a->>$q$hash$q$)
            ORDER BY (j->>$q$rows$q$)::bigint LIMIT 1;
        EXECUTE format($q$ALTER TABLE %I.%I RENAME TO holdfast_swapped$q$, a->>$q$schema$q$, a->>$q$table$q$);
        IF b IS NOT NULL THEN
            EXECUTE format($q$ALTER TABLE %1$I.%2$I RENAME TO %3$I$q$, a->>$q$schema$q$, b->>$q$table$q$, a->>$q$table$q$);
            EXECUTE format($q$ALTER TABLE %1$I.holdfast_swapped RENAME TO %2$I$q$, a->>$q$schema$q$, b->>$q$table$q$);
        END IF; END $$;' || unproven "the comparison did not notice two swapped tables"
    rm -rf "$SCRATCH/damaged"
    mkdir -p "$SCRATCH/damaged/dump"
    ln -s "$from/manifest.json" "$from/SHA256SUMS" "$from/facts" "$SCRATCH/damaged/"
    ln -s "$from"/dump/* "$SCRATCH/damaged/dump/"
    victim=$(find "$from/dump" -name '*.dat*' ! -name toc.dat -exec du -k {} + | sort -rn | awk 'NR == 1 { sub(/^[0-9]+[ \t]+/, ""); print }')
    [ -n "$victim" ] || victim=$from/dump/toc.dat
    rm "$SCRATCH/damaged/dump/$(basename "$victim")"
    head -c "$(($(wc -c <"$victim") - 1))" "$victim" >"$SCRATCH/damaged/dump/$(basename "$victim")"
    if check_files "$SCRATCH/damaged" >/dev/null; then unproven "the checksums did not notice a truncated file"; fi
    noticed=$((noticed + 1))
}

indexes() {
    step amcheck
    amcheck=unavailable
    command -v pg_amcheck >/dev/null || return 0
    if message=$(pg_amcheck --install-missing=pg_catalog -j "$JOBS" -d trial 2>&1); then
        amcheck=passed
        return 0
    fi
    case $message in
    *'not available'* | *'could not open extension'* | *'not installed'*) return 0 ;;
    esac
    unproven "amcheck found damage: $(printf '%s' "$message" | head -n 3 | tr '\n' ' ')"
}

verify() {
    database=$1 began=$(seconds) rows=0 noticed=0 amcheck=no
    home="$BACKUPS/$(safe_name "$database")"
    name=${BACKUP:-$(regular_backups "$home" | head -n 1)}
    [ -n "$name" ] || fail 65 "there is no backup of $database to verify"
    from="$home/$name"
    step files database "$database" backup "$name"
    bad=$(check_files "$from") || unproven "$bad"
    rows=$(manifest_text "$from/manifest.json" rows)
    [ "${rows:-0}" != 0 ] || unproven "it has no rows at all"
    want=$(($(manifest_text "$from/manifest.json" database_bytes) * 12 / 10240))
    [ "$(free_kb "$SCRATCH")" -gt "$want" ] || fail 65 "no space for the trial restore: $want KiB needed, $(free_kb "$SCRATCH") KiB free"
    [ -n "$RUNNING" ] || start_server
    sql "$MAINTENANCE_DB" -c 'DROP DATABASE IF EXISTS trial' >/dev/null 2>&1
    message=$(make_roles "$from") || unproven "its roles cannot be made: $message"
    message=$(make_database "$from" trial trial) || unproven "its database cannot be created: $message"
    step load tables_done 0 total "$(manifest_text "$from/manifest.json" tables_count)"
    load "$from" trial "$SCRATCH/load.log" || unproven "pg_restore failed: $(load_error "$SCRATCH/load.log")"
    step compare
    hash=0
    [ "$(manifest_text "$from/manifest.json" hashed)" != true ] || hash=1
    rm -rf "$SCRATCH/facts"
    facts trial "$SCRATCH/facts" "$hash" 2>"$SCRATCH/facts.log" || unproven "its rows cannot be counted: $(tail -n 1 "$SCRATCH/facts.log")"
    wrong=$(compare "$from/facts" "$SCRATCH/facts")
    [ -z "$wrong" ] || unproven "the restored copy differs from the manifest: $(printf '%s' "$wrong" | head -n 4 | tr '\n' ' ')"
    damage
    indexes
    mark "$from" VERIFIED.json "restored, compared, and $noticed kinds of damage noticed"
    sql "$MAINTENANCE_DB" -c 'DROP DATABASE trial' >/dev/null
    sh "$SCRIPTS/status.sh" "$home" "$database"
    STEP='done'
    say result database "$database" backup "$name" verified true rows "$rows" amcheck "$amcheck" damage_noticed "$noticed" \
        hashed "$([ "$hash" = 1 ] && echo true || echo false)" seconds "$(($(seconds) - began))"
}

[ -n "${DATABASES:-}" ] || fail 64 "DATABASES names no database"
if [ -n "${BACKUP:-}" ]; then # not every database has it
    having=$(printf '%s\n' "$DATABASES" | grep . | while IFS= read -r wanted; do
        [ ! -d "$BACKUPS/$(safe_name "$wanted")/$BACKUP" ] || printf '%s\n' "$wanted"
    done)
    [ -n "$having" ] || fail 65 "there is no backup $BACKUP of $(printf '%s' "$DATABASES" | tr '\n' ' ') on the volume"
    DATABASES=$having
fi
if several; then
    each
    [ "$WORST" = 0 ] || fail "$WORST" "$FAILED"
else
    verify "$(printf '%s\n' "$DATABASES" | grep .)"
fi
