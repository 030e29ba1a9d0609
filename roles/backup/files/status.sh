#!/bin/sh
# Say how well a database is backed up: status.json for machines, metrics.prom for node_exporter's textfile collector.
# Usage: status.sh DIRECTORY DATABASE. Exit 0 when the newest verified backup is younger than RPO_HOURS (26), else 1.
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"

home=$1 database=$2
STEP=status

# epoch NAME: seconds since 1970 of a backup's name, which is its time in UTC.
epoch() {
    stamp=$(printf '%s' "$1" | sed 's/^\(....\)\(..\)\(..\)T\(..\)\(..\)\(..\).*/\1-\2-\3 \4:\5:\6/')
    date -u -d "$stamp" +%s 2>/dev/null || echo 0
}

newest=$(regular_backups "$home" | head -n 1)
verified=$(newest_verified "$home")
count=$(list_backups "$home" | wc -l | tr -d ' ')
newest_at=0 verified_at=0 rows=0
[ -z "$newest" ] || newest_at=$(epoch "$newest")
[ -z "$verified" ] || verified_at=$(epoch "$verified")
[ -z "$newest" ] || rows=$(manifest_text "$home/$newest/manifest.json" rows)
# Why the newest backup did not restore on trial, as JSON text already; empty when nothing speaks against it.
unproven=''
[ -z "$newest" ] || [ ! -f "$home/$newest/UNPROVEN.json" ] ||
    unproven=$(sed -n 's/.*"why":"\(.*\)","rows":.*/\1/p' "$home/$newest/UNPROVEN.json")

# Which backup was carried to another place last, if that is done at all.
offsite='' offsite_at=0
[ ! -f "$home/offsite.json" ] || offsite=$(sed -n 's/.*"backup":"\([0-9TZ]*\)".*/\1/p' "$home/offsite.json")
[ -z "$offsite" ] || offsite_at=$(epoch "$offsite")

printf '{"database":"%s","newest":"%s","newest_at":%s,"verified":"%s","verified_at":%s,"backups":%s,"rows":%s,"unproven":"%s","offsite":"%s","offsite_at":%s,"rpo_hours":%s,"written_at":%s,"free_kb":%s}\n' \
    "$(json "$database")" "$newest" "$newest_at" "$verified" "$verified_at" "$count" "${rows:-0}" "$unproven" "$offsite" "$offsite_at" \
    "${RPO_HOURS:-26}" "$(seconds)" "$(free_kb "$home")" | write_atomic "$home/status.json"
label="database=\"$(json "$database")\""
write_atomic "$home/metrics.prom" <<PROM
# HELP holdfast_backup_newest_timestamp_seconds When the newest backup was taken.
# TYPE holdfast_backup_newest_timestamp_seconds gauge
holdfast_backup_newest_timestamp_seconds{$label} $newest_at
# HELP holdfast_backup_verified_timestamp_seconds When the newest backup that a trial restore proved was taken.
# TYPE holdfast_backup_verified_timestamp_seconds gauge
holdfast_backup_verified_timestamp_seconds{$label} $verified_at
# HELP holdfast_backup_offsite_timestamp_seconds When the newest backup that lies in another place too was taken; 0 for none.
# TYPE holdfast_backup_offsite_timestamp_seconds gauge
holdfast_backup_offsite_timestamp_seconds{$label} $offsite_at
# HELP holdfast_backup_rpo_seconds The age that the newest verified backup may have.
# TYPE holdfast_backup_rpo_seconds gauge
holdfast_backup_rpo_seconds{$label} $((${RPO_HOURS:-26} * 3600))
# HELP holdfast_backup_unproven Whether the newest backup failed its trial restore.
# TYPE holdfast_backup_unproven gauge
holdfast_backup_unproven{$label} $([ -z "$unproven" ] && echo 0 || echo 1)
# HELP holdfast_backup_count Backups kept.
# TYPE holdfast_backup_count gauge
holdfast_backup_count{$label} $count
PROM
chmod 644 "$home/status.json" "$home/metrics.prom"
[ "$(($(seconds) - verified_at))" -le "$((${RPO_HOURS:-26} * 3600))" ]
