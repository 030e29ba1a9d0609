#!/bin/sh
# Carry backups to another place with restic, or bring one back. Runs in an image that has restic (and ssh for SFTP).
# MODE=send (default): the newest verified backup of each of $DATABASES (one a line), then retention and check over there.
# MODE=fetch: bring BACKUP (default: the newest over there) of $DATABASE back into the volume; the result line names it.
# Environment: RESTIC_REPOSITORY, RESTIC_PASSWORD and what the repository's kind needs; HOST (whose backups: <namespace>.<name>);
# BACKUPS (/backups); KEEP_DAILY/WEEKLY/MONTHLY (14/8/12); CHECK_SUBSET (5%: how much of the data each check reads).
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"

MODE=${MODE:-send} SAID=$(mktemp) WORK=''
SNAPSHOTS=$SAID.snapshots
export RESTIC_CACHE_DIR="${RESTIC_CACHE_DIR:-${TMPDIR:-/tmp}/restic}"

# shellcheck disable=SC2317,SC2329
cleanup() {
    rc=$?
    trap - EXIT
    rm -f "$SAID" "$SAID.json" "$SNAPSHOTS"
    [ -z "$WORK" ] || rm -rf "$WORK"
    exit "$rc"
}
trap cleanup EXIT
trap 'fail 1 "stopped by a signal"' TERM INT HUP

# SFTP wants the key and the known hosts of the Secret.
restic() {
    if [ -n "${SSH_COMMAND:-}" ]; then command restic -o "sftp.command=$SSH_COMMAND" "$@"; else command restic "$@"; fi
}

# What restic said, in one line and without the repository's address, which may hold a user name.
said() { grep -v '^$' "$SAID" | tail -n 2 | tr '\n' ' '; }

# What only reads takes no lock: a run that was killed may have left one, and on the day the host is lost nobody may remove it
# (restic takes the lock of another pod for stale after half an hour). What is read is compared anyway.
# repository: it can be opened; one that is not there yet is made, one with another key is never touched.
open_repository() {
    restic cat config --no-lock >"$SAID" 2>&1 && return 0
    case $(cat "$SAID") in
    *'wrong password'* | *'no key found'*)
        fail 65 "the repository has another key: put the password of the escrow file into the Secret" ;;
    *'does not exist'* | *'no such file'*)
        step init
        restic init >"$SAID" 2>&1 || fail 1 "cannot make the repository: $(said)" ;;
    *) fail 1 "cannot reach the repository: $(said)" ;;
    esac
}

# list DIRECTORY: "<snapshot> <backup's name>" a line into $SNAPSHOTS, oldest first; sent snapshots hold one backup each.
# From 0.17 on restic puts a summary into each, which would cut it in two here.
list() {
    restic snapshots --no-lock --host "$HOST" --tag "$1" --json 2>"$SAID" >"$SAID.json" || fail 1 "cannot list the repository: $(said)"
    sed 's/"summary":{[^}]*},\{0,1\}//g' "$SAID.json" | tr '{' '\n' |
        sed -n 's#.*"time":"\([^"]*\)".*"paths":\["[^"]*/\([0-9TZ]*\)"\].*"short_id":"\([0-9a-f]*\)".*#\1 \3 \2#p' |
        sort | cut -d' ' -f2- >"$SNAPSHOTS"
}

# restic's --time wants 2026-11-20 02:00:00
time_of() { printf '%s' "$1" | sed 's/^\(....\)\(..\)\(..\)T\(..\)\(..\)\(..\)Z$/\1-\2-\3 \4:\5:\6/'; }

send() {
    database=$1
    directory=$(safe_name "$database")
    home="$BACKUPS/$directory"
    began=$(seconds)
    name=$(newest_verified "$home")
    [ -n "$name" ] || fail 65 "no backup of $database has been verified, so there is nothing worth carrying away: run pg_backup_verify"
    step send database "$database" backup "$name" kb "$(size_kb "$home/$name")"
    list "$directory"
    snapshot=$(sed -n "s/ $name\$//p" "$SNAPSHOTS" | tail -n 1)
    already=true
    if [ -z "$snapshot" ]; then
        already=false
        restic backup --quiet --host "$HOST" --tag "$directory" --time "$(time_of "$name")" "$home/$name" >"$SAID" 2>&1 ||
            fail 1 "restic could not send $name of $database: $(said)"
        list "$directory"
        snapshot=$(sed -n "s/ $name\$//p" "$SNAPSHOTS" | tail -n 1)
        [ -n "$snapshot" ] || fail 1 "restic sent $name of $database, and its list does not show it: this restic may be too new, or too old"
    fi
    step compare
    restic dump --no-lock "$snapshot" "$home/$name/SHA256SUMS" 2>"$SAID" | cmp -s - "$home/$name/SHA256SUMS" ||
        fail 1 "what the repository gives back is not what was sent: $(said)"
    printf '{"at":"%s","backup":"%s","snapshot":"%s"}\n' "$(now)" "$name" "$snapshot" | write_atomic "$home/offsite.json"
    chmod 644 "$home/offsite.json"
    sh "$SCRIPTS/status.sh" "$home" "$database" || say warning message "the newest verified backup is older than RPO_HOURS"
    STEP='done'
    say result database "$database" backup "$name" snapshot "$snapshot" already "$already" seconds "$(($(seconds) - began))"
}

keep() {
    step retention
    restic forget --quiet --prune --host "$HOST" --group-by host,tags --keep-daily "${KEEP_DAILY:-14}" \
        --keep-weekly "${KEEP_WEEKLY:-8}" --keep-monthly "${KEEP_MONTHLY:-12}" >"$SAID" 2>&1 || fail 1 "retention failed over there: $(said)"
    step check
    restic check --quiet --read-data-subset "${CHECK_SUBSET:-5%}" >"$SAID" 2>&1 ||
        fail 1 "the repository is damaged: $(said)"
}

# damage DIRECTORY: what its checksums say; nothing when it is whole. (The table of contents is for images that have pg_restore.)
damage() {
    grep -qs ' manifest.json$' "$1/SHA256SUMS" || { printf 'its checksums are missing'; return; }
    (cd "$1" && sha256sum -c SHA256SUMS 2>/dev/null | grep -v ': OK$' | head -n 3 | tr '\n' ' ')
}

fetch() {
    directory=$(safe_name "$DATABASE")
    home="$BACKUPS/$directory"
    began=$(seconds)
    mkdir -p "$home" || fail 65 "cannot write to $BACKUPS: check the volume's permissions"
    list "$directory"
    found=$(sed -n "s/^\\([0-9a-f]*\\) \\(${BACKUP:-.*}\\)\$/\\1 \\2/p" "$SNAPSHOTS" | tail -n 1)
    [ -n "$found" ] || fail 65 "the repository has no backup ${BACKUP:-} of $DATABASE: it has $(cut -d' ' -f2 "$SNAPSHOTS" | tail -n 5 | tr '\n' ' ')"
    snapshot=${found% *} name=${found#* }
    step fetch database "$DATABASE" backup "$name" snapshot "$snapshot"
    if [ -d "$home/$name" ] && [ -z "$(damage "$home/$name")" ]; then
        STEP='done'
        say result database "$DATABASE" backup "$name" snapshot "$snapshot" already true
        return 0
    fi
    lock "database $DATABASE" "$home"
    WORK="$home/.tmp-fetch"
    rm -rf "$WORK"
    # It was sent under the path that it had; whatever that was, it ends in its own name.
    restic restore --no-lock "$snapshot" --target "$WORK" >"$SAID" 2>&1 || fail 1 "restic could not bring $name back: $(said)"
    from=$(find "$WORK" -type d -name "$name" | head -n 1)
    [ -s "$from/SHA256SUMS" ] || fail 65 "snapshot $snapshot holds no backup"
    bad=$(damage "$from")
    [ -z "$bad" ] || fail 65 "the backup came back damaged: $bad"
    durable "$from/SHA256SUMS"
    if [ -e "$home/$name" ]; then # damaged, and perhaps all that is left of something: nothing here deletes it
        aside=$home/.damaged-$name-$(date -u +%Y%m%dT%H%M%SZ)
        mv "$home/$name" "$aside" || fail 1 "cannot move the damaged backup aside"
        say warning message "the backup on the volume was damaged: it is kept as $aside"
    fi
    mv "$from" "$home/$name" || fail 1 "cannot rename the backup"
    sh "$SCRIPTS/status.sh" "$home" "$DATABASE" || true
    STEP='done'
    say result database "$DATABASE" backup "$name" snapshot "$snapshot" kb "$(size_kb "$home/$name")" seconds "$(($(seconds) - began))"
}

if [ -n "${LAST_WORDS:-}" ]; then # started by each: the rest is done there
    send "$DATABASES"
    exit
fi
step preflight mode "$MODE"
if [ -z "${RESTIC_REPOSITORY:-}" ] || [ -z "${RESTIC_PASSWORD:-}" ] || [ -z "${HOST:-}" ]; then
    fail 64 "RESTIC_REPOSITORY, RESTIC_PASSWORD and HOST are needed"
fi
command -v restic >/dev/null || fail 64 "this image has no restic: set backup_offsite_image to one that has"
open_repository
case $MODE in
send)
    [ -n "${DATABASES:-}" ] || fail 64 "DATABASES names no database"
    restic unlock >"$SAID" 2>&1 || say warning message "stale locks cannot be removed: $(said)"
    each
    keep
    [ "$WORST" = 0 ] || fail "$WORST" "$FAILED"
    ;;
fetch)
    [ -n "${DATABASE:-}" ] || fail 64 "DATABASE is needed"
    fetch
    ;;
*) fail 64 "MODE is send or fetch, not $MODE" ;;
esac
