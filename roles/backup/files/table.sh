#!/bin/sh
# Bring one table of a backup, or some of its rows, beside the live one: into schema holdfast_<stamp> of the live database, with
# a view of what differs and the SQL that would put it right. Only with APPLY=1 that SQL is run, in one transaction.
# Environment as for prepare.sh, and: SCHEMA, TABLE; ROWS (JSON array of {"column": value}: only such rows; empty: all);
# APPLY (1); KEEP_HOURS (72: how long the schema stays).
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=roles/backup/files/restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"

LOADER='' MADE='' SIDE='' WORK=''

# shellcheck disable=SC2317,SC2329
cleanup() {
    rc=$?
    trap - EXIT
    [ -z "$LOADER" ] || kill "$LOADER" 2>/dev/null
    [ -z "$MADE" ] || drop "$MADE" >/dev/null 2>&1
    # Asked of the server, because a signal may come between its commit and our knowing of it.
    [ "$rc" = 0 ] || [ -z "$SIDE" ] || [ "$(applied)" != f ] || drop_schema "$DATABASE" "$SIDE" >/dev/null 2>&1
    [ -z "$WORK" ] || rm -rf "$WORK"
    exit "$rc"
}
trap cleanup EXIT
trap 'fail 1 "stopped by a signal"' TERM INT HUP

# Whether the upsert was committed (t or f): then the schema holds the replaced rows, the only way back.
applied() { sql "$DATABASE" -c "SELECT to_regclass('$SIDE_NAME.replaced') IS NOT NULL" 2>/dev/null; }

report() {
    STEP='done'
    in_table "$DATABASE" -v "at=$(now)" -v "seconds=$(($(seconds) - began))" -v "applied=${APPLY:-0}" <"$SCRIPTS/table-report.sql" ||
        fail 1 "the comparison cannot be read back; what was compared, and rows that were replaced, are in schema $SIDE_NAME"
}

# in_table DATABASE [psql options]: SQL from stdin that knows which table it is about.
in_table() {
    in_database=$1
    shift
    sql "$in_database" -v "schema=$SCHEMA" -v "table=$TABLE" -v "side=$SIDE_NAME" -v "rows=${ROWS:-}" "$@"
}

# The table's own definition comes with the whole schema of the backup, its rows alone: partitions are tables of their own.
load_table() {
    load "$FROM" "$TARGET" "$WORK/load.log" --section=pre-data || return 1
    in_table "$TARGET" >"$WORK/leaves" 2>"$WORK/load.log" <<'SQL' || return 1
SELECT n.nspname, c.relname FROM pg_partition_tree(to_regclass(format('%I.%I', :'schema', :'table'))) t
JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.isleaf
UNION SELECT :'schema', :'table' WHERE to_regclass(format('%I.%I', :'schema', :'table')) IS NOT NULL;
SQL
    [ -s "$WORK/leaves" ] || fail 65 "backup $BACKUP has no table $SCHEMA.$TABLE: see the tables in its manifest"
    set --
    while IFS='|' read -r leaf_schema leaf_table; do
        set -- "$@" -n "$leaf_schema" -t "$leaf_table"
    done <"$WORK/leaves"
    load "$FROM" "$TARGET" "$WORK/load.log" --section=data "$@"
}

# The rows as a plain table of the live database: no constraint, default or trigger is in their way.
copy_rows() {
    in_table "$TARGET" >"$WORK/define.sql" <"$SCRIPTS/table-define.sql" || return 1
    sql "$DATABASE" -v "side=$SIDE_NAME" -v "state=$(side_state)" >/dev/null <<'SQL' || return 1
BEGIN;
CREATE SCHEMA :"side";
COMMENT ON SCHEMA :"side" IS :'state';
COMMIT;
SQL
    SIDE=$SIDE_NAME
    sql "$DATABASE" >/dev/null <"$WORK/define.sql" || return 1
    in_table "$TARGET" -v "what=rows" <"$SCRIPTS/table-copy.sql" >"$WORK/out.sql" || return 1
    in_table "$TARGET" -v "what=count" <"$SCRIPTS/table-copy.sql" >"$WORK/count.sql" || return 1
    sql "$TARGET" <"$WORK/out.sql" | sql "$DATABASE" -c "COPY $SIDE_NAME.rows FROM STDIN" || return 1
    # A pipe that breaks in the middle looks like an end to its reader.
    [ "$(sql "$TARGET" <"$WORK/count.sql")" = "$(sql "$DATABASE" -c "SELECT count(*) FROM $SIDE_NAME.rows")" ]
}

side_state() { printf '{"holdfast":"table","backup":"%s","keep_until":%s}' "$BACKUP" "$(($(seconds) + ${KEEP_HOURS:-72} * 3600))"; }

if [ -z "${DATABASE:-}" ] || [ -z "${BACKUP:-}" ] || [ -z "${STAMP:-}" ] || [ -z "${TABLE:-}" ]; then
    fail 64 "DATABASE, BACKUP, STAMP and TABLE are needed"
fi
SCHEMA=${SCHEMA:-public}
FROM="$BACKUPS/$(safe_name "${SOURCE:-$DATABASE}")/$BACKUP"
TARGET=$(side_name "$DATABASE" restore "$STAMP")
SIDE_NAME=holdfast_$(printf '%s' "$STAMP" | tr TZ tz)
WORK=$(mktemp -d)
began=$(seconds)

step preflight database "$DATABASE" backup "$BACKUP" schema "$SCHEMA" table "$TABLE"
lock_restore
need_server "$DATABASE"
case $(applied) in
t) report; exit 0 ;; # by an earlier try, which could not say so any more
f) ;;
*) fail 1 "cannot look for what an earlier try left: $SIDE_NAME" ;;
esac
refuse_damaged
message=$(in_table "$DATABASE" 2>&1 <"$SCRIPTS/table-fits.sql") || fail 1 "cannot look at the live table: $message"
[ -z "$message" ] || fail 65 "$message"
if exists "$TARGET"; then
    case $(comment_of "$TARGET") in
    '{"holdfast":"restore"'*) drop "$TARGET" >/dev/null || fail 1 "cannot drop what an earlier try left: $TARGET" ;;
    *) fail 65 "a database named $TARGET exists and is not ours: drop or rename it" ;;
    esac
fi
drop_schema "$DATABASE" "$SIDE_NAME" >/dev/null || fail 1 "cannot drop the schema that an earlier try left: $SIDE_NAME"

step create target "$TARGET"
message=$(make_roles "$FROM") || fail 1 "cannot make the roles that the backup needs: $message"
MADE=$TARGET
message=$(make_database "$FROM" "$TARGET" "$(state loading)") || fail 1 "cannot create $TARGET: $message"
step load
load_table || fail 1 "the table cannot be loaded, the live database is untouched: $(load_error "$WORK/load.log")"
step copy schema "$SIDE_NAME"
copy_rows 2>"$WORK/copy.log" || fail 1 "the rows cannot be copied beside the live table: $(tail -n 2 "$WORK/copy.log" | tr '\n' ' ')"
drop "$TARGET" >/dev/null && MADE=''
step compare
in_table "$DATABASE" 2>"$WORK/compare.log" >/dev/null <"$SCRIPTS/table-diff.sql" ||
    fail 1 "the rows cannot be compared: $(tail -n 2 "$WORK/compare.log" | tr '\n' ' ')"
if [ "${APPLY:-}" = 1 ]; then
    step apply
    in_table "$DATABASE" 2>"$WORK/apply.log" >/dev/null <"$SCRIPTS/table-apply.sql" ||
        fail 1 "nothing was changed, the server refused the rows: $(tail -n 2 "$WORK/apply.log" | tr '\n' ' ')"
fi
SIDE='' # from here on it is what was asked for
report
