#!/bin/sh
# First half of a restore: load a backup into <db>__restore_<stamp> beside the live database and prove that it is the same.
# The live database is only read. Environment as for backup.sh, and: DATABASE; BACKUP (a backup's name); STAMP (of this
# restore, chosen by the caller: the same one goes on where an earlier try was killed); SOURCE (whose backup, default
# DATABASE); SAFETY (require|skip); ALLOW_EMPTY (1: a backup without rows is fine).
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=roles/backup/files/restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"

LOADER='' MADE='' WORK=''

# shellcheck disable=SC2317,SC2329
cleanup() {
    rc=$?
    trap - EXIT
    [ -z "$LOADER" ] || kill "$LOADER" 2>/dev/null
    [ "$rc" = 0 ] || [ -z "$MADE" ] || drop "$MADE" >/dev/null 2>&1
    [ -z "$WORK" ] || rm -rf "$WORK"
    exit "$rc"
}
trap cleanup EXIT
trap 'fail 1 "stopped by a signal"' TERM INT HUP

refuse_unfit() {
    refuse_damaged
    rows=$(manifest_text "$FROM/manifest.json" rows)
    [ "$rows" != 0 ] || [ "${ALLOW_EMPTY:-}" = 1 ] ||
        fail 65 "backup $BACKUP has no rows at all, so restoring it would empty the database: choose an older one, or say that you mean it with allow_empty"
    [ "$DATABASE" != "$MAINTENANCE_DB" ] || fail 65 "$DATABASE is the maintenance database, which cannot be renamed: set maintenance_db to another one"
    have=$(sql "$MAINTENANCE_DB" -c "SELECT current_setting('server_version_num')::int / 10000")
    was=$(major "$FROM/facts")
    [ "$have" -ge "${was:-0}" ] || fail 65 "the backup is of PostgreSQL $was and this server is $have: a restore never goes back a major version"
    tool=$(pg_restore --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    wrote=$(manifest_text "$FROM/manifest.json" pg_dump_version | sed 's/\..*//')
    [ "$tool" -ge "${wrote:-0}" ] || fail 65 "the backup was written by pg_dump $wrote and this image has pg_restore $tool: use a newer image"
    lack=$({ json_table "$FROM/facts/extensions.jsonl"
        echo "SELECT string_agg(j->>'extension', ', ') FROM wanted WHERE j->>'extension' NOT IN (SELECT name FROM pg_available_extensions);"
    } | sql "$MAINTENANCE_DB") || fail 1 "cannot ask the server for its extensions"
    [ -z "$lack" ] || fail 65 "the server cannot provide the extensions $lack: install them in its image"
    held=$(sql "$MAINTENANCE_DB" -v "name=$DATABASE" <<'SQL'
SELECT concat_ws('; ', (SELECT 'replication slots ' || string_agg(slot_name, ', ') FROM pg_replication_slots WHERE database = :'name'),
    (SELECT 'prepared transactions ' || string_agg(gid, ', ') FROM pg_prepared_xacts WHERE database = :'name'));
SQL
    )
    [ -z "$held" ] || fail 65 "the live database is held by $held: drop them first, they would not survive the swap"
    may=$(sql "$MAINTENANCE_DB" -c "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user")
    [ "$may" = t ] || fail 65 "user ${PGUSER:-} may not create databases: use a superuser or grant CREATEDB"
    if [ -s "$FROM/facts/foreign_tables.jsonl" ]; then
        say warning message "foreign tables come back as definitions; their rows live on the foreign server" tables "$(wc -l <"$FROM/facts/foreign_tables.jsonl" | tr -d ' ')"
    fi
}

if [ -z "${DATABASE:-}" ] || [ -z "${BACKUP:-}" ] || [ -z "${STAMP:-}" ]; then fail 64 "DATABASE, BACKUP and STAMP are needed"; fi
FROM="$BACKUPS/$(safe_name "${SOURCE:-$DATABASE}")/$BACKUP"
TARGET=$(side_name "$DATABASE" restore "$STAMP")
WORK=$(mktemp -d)
began=$(seconds)

step preflight database "$DATABASE" backup "$BACKUP" target "$TARGET"
lock_restore
need_server
refuse_unfit
# The names are ours, so what is left of an earlier try with this stamp can go; a proven one is kept.
if exists "$TARGET"; then
    case $(comment_of "$TARGET") in
    *"\"backup\":\"$BACKUP\""*'"step":"verified"'*)
        STEP='done'
        say result database "$DATABASE" target "$TARGET" backup "$BACKUP" already true seconds 0
        exit 0 ;;
    '{"holdfast":"restore"'*) drop "$TARGET" >/dev/null || fail 1 "cannot drop what an earlier try left: $TARGET" ;;
    *) fail 65 "a database named $TARGET exists and is not ours: drop or rename it" ;;
    esac
fi

safety=''
if [ "${SAFETY:-require}" = require ] && exists "$DATABASE"; then
    step safety
    DATABASES=$DATABASE NAME=$STAMP REASON=safety sh "$SCRIPTS/backup.sh" 7>&- 8>&- ||
        fail $? "the safety backup of the live database failed; when it is beyond saving, restore with safety skip (it is kept beside the restored one anyway)"
    safety=$STAMP
fi

step create target "$TARGET"
message=$(make_roles "$FROM") || fail 1 "cannot make the roles that the backup needs: $message"
MADE=$TARGET
message=$(make_database "$FROM" "$TARGET" "$(state loading)") || fail 1 "cannot create $TARGET: $message"
step load tables_done 0 total "$(manifest_text "$FROM/manifest.json" tables_count)"
load "$FROM" "$TARGET" "$WORK/load.log" || fail 1 "pg_restore failed, the live database is untouched: $(load_error "$WORK/load.log")"
step verify
hash=0
[ "$(manifest_text "$FROM/manifest.json" hashed)" != true ] || hash=1
facts "$TARGET" "$WORK/facts" "$hash" || fail 1 "cannot count the rows of $TARGET"
wrong=$(compare "$FROM/facts" "$WORK/facts")
[ -z "$wrong" ] || fail 65 "the restored database is not what was backed up, the live one is untouched: $(printf '%s' "$wrong" | head -n 4 | tr '\n' ' ')"
step analyze
PGDATABASE=$TARGET psql -X -q -c 'ANALYZE' >/dev/null 2>&1 || say warning message "ANALYZE failed; the first queries may be slow"
set_comment "$TARGET" "$(state verified)" || fail 1 "cannot mark $TARGET as verified"
MADE=''
STEP='done'
say result database "$DATABASE" target "$TARGET" backup "$BACKUP" rows "$(manifest_text "$FROM/manifest.json" rows)" \
    safety "$safety" hashed "$([ "$hash" = 1 ] && echo true || echo false)" seconds "$(($(seconds) - began))"
