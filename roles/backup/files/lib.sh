#!/bin/sh
# What the backup, verify and restore scripts share. POSIX sh with the tools of the official postgres images.
# Output is JSON lines on stdout: {"at","event":"progress|result|error|warning","step",…}.
# Exit codes: 0 fine, 1 failed (worth a retry), 64 wrong call, 65 refused (a retry changes nothing), 75 another run holds the lock.
# shellcheck disable=SC2034

BACKUPS=${BACKUPS:-/backups}
SCRIPTS=${SCRIPTS:-$(cd "$(dirname "$0")" && pwd)}
MAINTENANCE_DB=${MAINTENANCE_DB:-postgres}
JOBS=${JOBS:-2}
export PGCONNECT_TIMEOUT="${PGCONNECT_TIMEOUT:-10}" PGCLIENTENCODING=UTF8 LC_ALL=C
STEP=start

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
seconds() { date +%s; }

# The body of a JSON string: control characters become spaces.
json() { printf '%s' "$1" | tr '\000-\037' ' ' | sed 's/\\/\\\\/g; s/"/\\"/g'; }

# say EVENT [KEY VALUE]…   numbers, true, false and null stay bare, all else is quoted.
say() {
    line="{\"at\":\"$(now)\",\"event\":\"$1\",\"step\":\"$STEP\""
    shift
    while [ $# -gt 1 ]; do
        case $2 in
        true | false | null) value=$2 ;;
        '' | *[!0-9]* | 0[0-9]*) value="\"$(json "$2")\"" ;;
        *) value=$2 ;;
        esac
        line="$line,\"$1\":$value"
        shift 2
    done
    printf '%s}\n' "$line"
}

step() {
    STEP=$1
    shift
    say progress "$@"
}

# fail CODE MESSAGE: the last words go to the log, and to where a Job shows them after its pod is gone.
fail() {
    code=$1
    say error message "$2" code "$code"
    # Opened in a subshell: an unwritable path must not end the script with another code.
    (printf '%s' "$2" >/dev/termination-log) 2>/dev/null || true
    [ -z "${LAST_WORDS:-}" ] || printf '%s' "$2" >"$LAST_WORDS"
    exit "$code"
}

several() { [ "$(printf '%s\n' "$DATABASES" | grep -c .)" -gt 1 ]; }

# each: this script again for each of $DATABASES, so that one that fails does not stop the others. Afterwards
# WORST is 0 or the code to end with (one that a retry may mend comes first), and FAILED says why.
each() {
    FAILED='' CHILD='' codes=' 0'
    words=$(mktemp) || fail 1 "cannot write to ${TMPDIR:-/tmp}"
    # In the background, because a shell hears a signal only when what it waits for in the foreground has ended.
    trap '[ -z "$CHILD" ] || { kill "$CHILD"; wait "$CHILD"; } 2>/dev/null; rm -f "$words" "$words.list"; fail 1 "stopped by a signal"' TERM INT HUP
    printf '%s\n' "$DATABASES" | grep . >"$words.list"
    while IFS= read -r one <&5; do
        : >"$words"
        DATABASES=$one LAST_WORDS=$words sh "$0" 5<&- &
        CHILD=$!
        wait "$CHILD"
        rc=$?
        CHILD=''
        [ "$rc" != 0 ] || continue
        [ -s "$words" ] || printf 'ended without a word (%s)' "$rc" >"$words"
        FAILED="${FAILED:+$FAILED; }$one: $(cat "$words")"
        case $rc in 64 | 65 | 75) ;; *) rc=1 ;; esac
        codes="$codes $rc"
    done 5<"$words.list"
    rm -f "$words" "$words.list"
    for WORST in 1 75 65 64 0; do
        case "$codes " in *" $WORST "*) break ;; esac
    done
}

# A database's directory: bytes other than letters, digits, dot, dash and underscore are written %XX.
safe_name() {
    printf '%s' "$1" | od -An -v -tx1 | tr -s ' ' '\n' | awk '
        BEGIN { for (i = 32; i < 127; i++) { c = sprintf("%c", i); if (c ~ /[A-Za-z0-9_-]/ || (i == 46)) plain[sprintf("%02x", i)] = c } }
        length($1) == 2 { out = out (($1 in plain) ? plain[$1] : "%" toupper($1)) }
        END { if (out ~ /^\./) out = "%2E" substr(out, 2); print out }'
}

# side_name DATABASE KIND STAMP: "<db>__restore_<stamp>" in at most 63 bytes, never cut inside a UTF-8 character.
side_name() {
    tail="__$2_$3"
    head=$1
    while [ "$(printf '%s%s' "$head" "$tail" | wc -c)" -gt 63 ]; do
        head=$(printf '%s' "$head" | LC_ALL=C.UTF-8 sed 's/.$//')
    done
    printf '%s%s' "$head" "$tail"
}

# A name as libpq wants it in -d, where "=" and quotes would otherwise be read as a connection string.
conninfo() { printf "dbname='%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }

# sql DATABASE [psql options]: reads SQL from stdin; the name travels in the environment, so no character in it matters.
sql() {
    sql_database=$1
    shift
    PGDATABASE=$sql_database psql -X -q -At -v ON_ERROR_STOP=1 "$@"
}

need_server() {
    message=$(sql "${1:-$MAINTENANCE_DB}" -c 'SELECT 1' 2>&1 >/dev/null) && return 0
    case $message in
    *'password authentication failed'* | *'no password supplied'*)
        fail 65 "the server refused the password of user ${PGUSER:-}: check the Secret that the backup uses" ;;
    *'does not exist'*) fail 65 "unknown database ${1:-$MAINTENANCE_DB}: the server has no such database" ;;
    esac
    # A NetworkPolicy reaches a new pod some seconds late, and a server may be starting.
    tries=${3:-${CONNECT_TRIES:-20}}
    [ "$tries" -gt 1 ] || fail 1 "cannot reach the server ${PGHOST:-} port ${PGPORT:-5432}: $message"
    sleep 2
    need_server "${1:-}" again "$((tries - 1))"
}

# lock NAME DIRECTORY: held until this process and its children are gone, whatever ends them.
lock() {
    exec 9>"$2/.lock"
    if ! flock -n 9; then
        fail 75 "another run holds the lock of $1: wait for it to end"
    fi
}

durable() { sync -f "$1" 2>/dev/null || sync; }

# write_atomic FILE: stdin becomes FILE, or FILE stays as it was.
write_atomic() {
    cat >"$1.tmp" && durable "$1.tmp" && mv "$1.tmp" "$1"
}

free_kb() { df -Pk "$1" | awk 'NR == 2 { print $4 }'; }
size_kb() { du -sk "$1" 2>/dev/null | awk '{ print $1 }'; }

# Backups of a database, newest first: only finished ones have a name without a leading dot and a manifest.
list_backups() {
    for manifest in "$1"/[0-9]*/manifest.json; do
        [ -f "$manifest" ] && basename "$(dirname "$manifest")"
    done | sort -r
}

# Those of a schedule or of a person, newest first: a safety backup holds what a restore replaced, which may be the damage.
regular_backups() {
    list_backups "$1" | while read -r listed; do
        [ "$(manifest_text "$1/$listed/manifest.json" reason)" = safety ] || echo "$listed"
    done
}

newest_verified() {
    for name in $(regular_backups "$1"); do
        if [ -f "$1/$name/VERIFIED.json" ]; then
            printf '%s' "$name"
            return 0
        fi
    done
}

# retain DIRECTORY: drop what the retention does not keep; nothing while a restore reads from there.
retain() {
    {
        flock -n 7 || { step retention skipped 'a restore is at work'; return 0; }
        list_backups "$1" | while read -r kept; do
            if [ "$(manifest_text "$1/$kept/manifest.json" reason)" = safety ]; then echo "$kept safety"
            elif [ -f "$1/$kept/VERIFIED.json" ]; then echo "$kept verified"; else echo "$kept"; fi
        done | awk -v daily="${KEEP_DAILY:-7}" -v weekly="${KEEP_WEEKLY:-4}" -v monthly="${KEEP_MONTHLY:-6}" \
            -v recent="${KEEP_RECENT_HOURS:-24}" -v now="$(seconds)" -f "$SCRIPTS/retention.awk" |
            while read -r kept; do
                # Renamed first: a removal that is cut short must not leave half a backup under a good name.
                mv "$1/$kept" "$1/.old-$kept" && step retention removed "$kept"
            done
    } 7>>"$1/.restore.lock"
    rm -rf "$1"/.old-* # the slow part, which no restore has to wait for
}

# check_files DIRECTORY: every file that the manifest vouches for is there, unchanged, and nothing is missing.
check_files() {
    [ -s "$1/manifest.json" ] || { printf 'manifest.json is missing or empty'; return 1; }
    [ -s "$1/SHA256SUMS" ] || { printf 'SHA256SUMS is missing or empty'; return 1; }
    grep -q ' manifest.json$' "$1/SHA256SUMS" || { printf 'SHA256SUMS does not cover the manifest'; return 1; }
    [ -s "$1/dump/toc.dat" ] || { printf 'dump/toc.dat is missing: not a directory-format dump'; return 1; }
    bad=$(cd "$1" && sha256sum -c SHA256SUMS 2>/dev/null | grep -v ': OK$' | head -n 3 | tr '\n' ' ')
    [ -z "$bad" ] || { printf 'changed or truncated since the backup: %s' "$bad"; return 1; }
    pg_restore --list "$1/dump" >/dev/null 2>&1 || { printf 'pg_restore cannot read the table of contents'; return 1; }
}

# manifest_text FILE KEY: a top-level string or number of a manifest (one key a line, as backup.sh writes it).
manifest_text() { sed -n "s/^ \"$2\": \"\{0,1\}\(.*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" "$1" | head -n 1; }

# facts DATABASE DIRECTORY HASH: writes the facts of a database as it is now (quick ones and row counts).
facts() {
    mkdir -p "$2"
    sql "$1" -v "dir=$2" -v "hash=$3" -v "lo=1" >/dev/null <<SQL
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
\i '$SCRIPTS/facts-quick.sql'
\i '$SCRIPTS/facts-tables.sql'
COMMIT;
SQL
}

# major FACTS: the major version of the server that they come from.
major() { sed -n 's/.*"server_version_num" : \([0-9]*\)[0-9]\{4\}[,}].*/\1/p' "$1/database.json"; }

# sorting FACTS OTHERS: how the database sorts; empty for a backup that does not say. Another major version may write the same
# ICU locale another way (16 made en-US of en_US), so then only the provider counts.
sorting() {
    said=$(sed -n 's/.*"locale" : \({[^}]*}\).*/\1/p' "$1/database.json")
    if [ "$(major "$1")" = "$(major "$2")" ]; then printf '%s' "$said"; else printf '%s' "${said%%, \"name\"*}"; fi
}

# compare EXPECTED ACTUAL: prints how two directories of facts differ; nothing when they agree.
# A sequence may only have moved on: pg_dump reads it a moment after the manifest does.
compare() {
    for kind in tables schema extensions large_objects; do
        cmp -s "$1/$kind.jsonl" "$2/$kind.jsonl" && continue
        diff "$1/$kind.jsonl" "$2/$kind.jsonl" | grep '^[<>]' | sed "s/^</$kind: expected/; s/^>/$kind: found/" | head -n 6
    done
    expected=$(sorting "$1" "$2") found=$(sorting "$2" "$1")
    [ -z "$expected" ] || [ "$expected" = "$found" ] || printf 'locale: expected %s, found %s\n' "$expected" "$found"
    awk -F'"' '
        function later(a, b) {
            if (a == b) return 1
            if (a ~ /^-/ && b !~ /^-/) return 0
            if (a !~ /^-/ && b ~ /^-/) return 1
            if (a ~ /^-/) return later(substr(b, 2), substr(a, 2))
            return length(a) != length(b) ? length(a) > length(b) : ("x" a) > ("x" b)
        }
        { key = substr($0, index($0, "\"schema\"")); up = ($0 ~ /^[^,]*,"up":true/) }
        NR == FNR { expected[key] = $4; rising[key] = up; next }
        { seen[key] = 1
          if (!(key in expected)) print "sequences: found one too many: " key
          else if (!(rising[key] ? later($4, expected[key]) : later(expected[key], $4))) print "sequences: " key " is at " $4 ", expected " expected[key] }
        END { for (key in expected) if (!(key in seen)) print "sequences: missing: " key }
    ' "$1/sequences.jsonl" "$2/sequences.jsonl" | head -n 6
}
