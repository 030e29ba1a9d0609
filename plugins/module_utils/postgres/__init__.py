# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL backups that prove themselves, and restores that are transactions.

Where the health of a backup can be read, without asking the cluster:
/var/lib/holdfast/backups/<namespace>.<name>.json on the host, written by role backup:
{"namespace","name","volume" (the backup volume's directory on the host),"databases":[{"database","directory"}],"rpo_hours",
"offsite_hours" (only when backups are carried to another place)}.
<volume>/<directory>/status.json is written by every backup and verify run:
{"database","newest","newest_at","verified","verified_at","backups","rows","unproven","offsite","offsite_at","rpo_hours",
"written_at","free_kb"}; offsite: the newest backup that lies in another place too;
times are epoch seconds (0: never), names are the backups' names, unproven says why the newest backup did not restore on
trial ("" when nothing speaks against it). Healthy: now - verified_at <= rpo_hours * 3600 and not unproven.
<volume>/<directory>/metrics.prom has the same for node_exporter's textfile collector.
"""
