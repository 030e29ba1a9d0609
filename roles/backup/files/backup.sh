#!/bin/sh
# Back up the databases named in $DATABASES (one a line): pg_dump in one exported snapshot, facts of that snapshot beside it.
# Environment: PGHOST, PGPORT, PGUSER, PGPASSWORD; DATABASES; BACKUPS (/backups); REASON (scheduled|manual|safety);
# JOBS (2); HASH_MAX_MB (20480: larger databases are counted, not hashed); COMPRESS (6);
# KEEP_DAILY/WEEKLY/MONTHLY (7/4/6); KEEP_RECENT_HOURS (24); NAME (the backup's name, chosen by the caller).
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"

REASON=${REASON:-scheduled}
WORK='' HOLDER='' DUMP=''

# shellcheck disable=SC2317,SC2329
cleanup() {
    rc=$?
    trap - EXIT
    exec 3>&-
    for pid in $DUMP $HOLDER; do kill "$pid" 2>/dev/null; done
    wait
    if [ -n "$WORK" ]; then rm -rf "$WORK"; fi
    exit "$rc"
}
trap cleanup EXIT
trap 'fail 1 "stopped by a signal"' TERM INT HUP

# ask COMMANDS MARKER: hand the holding session commands and wait for its marker.
ask() {
    printf '%s\n\\echo %s\n' "$1" "$2" >&3 2>/dev/null || fail 1 "the session that holds the snapshot ended: $(tail -n 2 "$WORK/holder.log")"
    until grep -qx "$2" "$WORK/holder.out"; do
        kill -0 "$HOLDER" 2>/dev/null || fail 1 "the session that holds the snapshot ended: $(tail -n 2 "$WORK/holder.log")"
        sleep 0.1
    done
}

hold_snapshot() {
    mkfifo "$WORK/holder.in" || fail 1 "cannot write to $WORK"
    : >"$WORK/holder.out"
    sql "$1" -v "dir=$WORK/facts" -v "hash=$2" <"$WORK/holder.in" >"$WORK/holder.out" 2>"$WORK/holder.log" 9>&- &
    HOLDER=$!
    exec 3>"$WORK/holder.in"
    ask "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT 'snapshot ' || pg_export_snapshot();" begun
    SNAPSHOT=$(sed -n 's/^snapshot //p' "$WORK/holder.out")
    [ -n "$SNAPSHOT" ] || fail 1 "the server exported no snapshot"
}

# dump DATABASE TABLES: pg_dump in the held snapshot, with progress.
dump() {
    : >"$WORK/dump.log"
    pg_dump -Fd -v -j "$JOBS" -Z "${COMPRESS:-6}" --snapshot="$SNAPSHOT" -f "$WORK/dump" -d "$(conninfo "$1")" \
        >"$WORK/dump.log" 2>&1 3>&- 9>&- &
    DUMP=$!
    last=0
    while kill -0 "$DUMP" 2>/dev/null; do
        done=$(grep -c 'dumping contents of table' "$WORK/dump.log")
        if [ "$done" -gt "$last" ]; then
            last=$done
            step dump tables_done "$done" total "$2" kb "$(size_kb "$WORK/dump")"
        fi
        sleep 0.2
    done
    wait "$DUMP"
    rc=$?
    DUMP=''
    [ "$rc" = 0 ] || fail 1 "pg_dump failed ($rc): $(grep -iE 'error|fatal' "$WORK/dump.log" | tail -n 3 | tr '\n' ' ')"
}

# array KEY FILE: a JSON array with one object a line.
array() {
    printf ' "%s": [\n' "$1"
    sed '$!s/$/,/' "$2"
    printf ' ],\n'
}

manifest() {
    database_kb=$(sed -n 's/.*"bytes" : \([0-9]*\).*/\1/p' "$WORK/facts/database.json")
    printf '{\n "format": 1,\n "name": "%s",\n "database": "%s",\n "reason": "%s",\n' "$1" "$(json "$2")" "$REASON"
    printf ' "started": "%s",\n "finished": "%s",\n "seconds": %s,\n "dump_seconds": %s,\n' "$3" "$(now)" "$4" "$5"
    printf ' "hashed": %s,\n "rows": %s,\n "tables_count": %s,\n' "$6" "$7" "$8"
    printf ' "dump_bytes": %s,\n "database_bytes": %s,\n' "$(($(size_kb "$WORK/dump") * 1024))" "${database_kb:-0}"
    printf ' "pg_dump_version": "%s",\n' "$(pg_dump --version | sed 's/^pg_dump (PostgreSQL) //')"
    printf ' "schema_sha256": "%s",\n' "$(sha256sum <"$WORK/facts/schema.jsonl" | cut -d' ' -f1)"
    printf ' "database_info": %s,\n' "$(cat "$WORK/facts/database.json")"
    array tables "$WORK/facts/tables.jsonl"
    array sequences "$WORK/facts/sequences.jsonl"
    array extensions "$WORK/facts/extension_versions.jsonl"
    array roles "$WORK/facts/roles.jsonl"
    array foreign_tables_without_data "$WORK/facts/foreign_tables.jsonl"
    printf ' "large_objects": %s,\n' "$(cat "$WORK/facts/large_objects.jsonl")"
    printf ' "files": [\n'
    awk 'NR == FNR { if (NF == 2 && $2 != "total") bytes[$2] = $1; next }
        { printf "%s{\"path\":\"%s\",\"bytes\":%s,\"sha256\":\"%s\"}", (FNR > 1 ? ",\n" : ""), $2, bytes[$2], $1 }
        END { print "" }' "$WORK/sizes" "$WORK/SHA256SUMS"
    printf ' ]\n}\n'
}

backup() {
    database=$1
    began=$(seconds) started=$(now)
    STEP=preflight
    need_server "$database"
    home="$BACKUPS/$(safe_name "$database")"
    mkdir -p "$home" 2>/dev/null || fail 65 "cannot write to $BACKUPS: check the volume's permissions"
    lock "database $database" "$home"
    rm -rf "$home"/.tmp-* "$home"/.old-* # what a killed run left; nobody else works here while we hold the lock
    kb=$(sql "$database" -c 'SELECT pg_database_size(current_database()) / 1024')
    last=$(list_backups "$home" | head -n 1)
    if [ -n "$last" ]; then want=$(($(size_kb "$home/$last") * 11 / 10)); else want=$((kb / 10)); fi
    free=$(free_kb "$home")
    [ "$free" -gt "$((want + 1024))" ] || fail 65 "no space: $free KiB free on the backup volume, about $want KiB needed: enlarge it or lower the retention"
    name=${NAME:-$(date -u +%Y%m%dT%H%M%SZ)}
    while [ -e "$home/$name" ]; do
        [ -z "${NAME:-}" ] || { say result database "$database" backup "$name" already true; return 0; }
        sleep 1
        name=$(date -u +%Y%m%dT%H%M%SZ)
    done
    WORK="$home/.tmp-$name"
    mkdir -p "$WORK/facts" || fail 1 "cannot write to $home"
    chmod 700 "$WORK"
    hash=1 hashed=true
    [ "$((kb / 1024))" -le "${HASH_MAX_MB:-20480}" ] || { hash=0; hashed=false; }
    step snapshot database "$database" kb "$kb" free_kb "$free"
    hold_snapshot "$database" "$hash"
    ask "\\i '$SCRIPTS/facts-quick.sql'" quick
    tables=$(grep -c '^\["relation",.*' "$WORK/facts/schema.jsonl")
    # Counting goes on in the holding session while pg_dump runs.
    printf "\\\\i '%s/facts-tables.sql'\n" "$SCRIPTS" >&3
    dumped=$(seconds)
    step dump tables_done 0 total "$tables"
    dump "$database" "$tables"
    dump_seconds=$(($(seconds) - dumped))
    step count tables "$tables"
    ask 'COMMIT;' counted
    exec 3>&-
    wait "$HOLDER" || fail 1 "counting rows failed: $(tail -n 2 "$WORK/holder.log")"
    HOLDER=''
    rm -f "$WORK"/holder.* "$WORK/dump.log"
    step check
    pg_restore --list "$WORK/dump" >/dev/null || fail 1 "pg_restore cannot read what pg_dump wrote"
    rows=$(awk -F'[:,]' '$2 != "null" { s += $2 } END { printf "%.0f", s }' "$WORK/facts/tables.jsonl")
    count=$(wc -l <"$WORK/facts/tables.jsonl" | tr -d ' ')
    # Every file name here is pg_dump's or ours: no blanks.
    (cd "$WORK" && find dump facts -type f | LC_ALL=C sort | xargs sha256sum >SHA256SUMS &&
        find dump facts -type f -exec wc -c {} + >sizes) || fail 1 "cannot write the checksums: no space on the backup volume"
    manifest "$name" "$database" "$started" "$(($(seconds) - began))" "$dump_seconds" "$hashed" "$rows" "$count" \
        >"$WORK/manifest.json" || fail 1 "cannot write the manifest: no space on the backup volume"
    tail -n 1 "$WORK/manifest.json" | grep -qx '}' || fail 1 "cannot write the manifest: no space on the backup volume"
    rm -f "$WORK/sizes"
    (cd "$WORK" && sha256sum manifest.json >>SHA256SUMS) || fail 1 "cannot write the checksums: no space on the backup volume"
    step sync
    find "$WORK" -type f -exec chmod 600 {} +
    durable "$WORK/SHA256SUMS"
    bad=$(check_files "$WORK") || fail 1 "the backup does not read back: $bad"
    step rename
    mv "$WORK" "$home/$name" || fail 1 "cannot rename the finished backup"
    WORK=''
    durable "$home/$name"
    step retention
    # What a restore replaces must not push out what it restores.
    [ "$REASON" = safety ] || retain "$home"
    sh "$SCRIPTS/status.sh" "$home" "$database"
    [ "$rows" != 0 ] || say warning message "the database has no rows: this backup will not count as verified"
    STEP='done'
    say result database "$database" backup "$name" rows "$rows" tables "$count" kb "$(size_kb "$home/$name")" \
        seconds "$(($(seconds) - began))" schema_sha256 "$(manifest_text "$home/$name/manifest.json" schema_sha256)"
    exec 9>&-
}

[ -n "${DATABASES:-}" ] || fail 64 "DATABASES names no database"
mkdir -p "$BACKUPS" 2>/dev/null
if several; then
    each
    [ "$WORST" = 0 ] || fail "$WORST" "$FAILED"
else
    backup "$(printf '%s\n' "$DATABASES" | grep .)"
fi
