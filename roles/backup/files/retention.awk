# Which backups may go. Input: one name (YYYYmmddTHHMMSSZ…) a line, "name verified" when verified, "name safety" for one that
# holds what a restore replaced: it may hold the damage, so it stays for its age alone (daily days) and displaces no other.
# Variables: daily, weekly, monthly (how many distinct days, weeks, months keep their newest backup), recent (hours in
# which every backup stays), now (epoch seconds). Output: names to delete. The newest and the newest verified (of those that are
# no safety backups) never go.
function days(y, m, d,    a) { # days since 1970-01-01, proleptic Gregorian
    if (m <= 2) { y--; m += 12 }
    a = int(y / 100)
    return int(365.25 * y) - a + int(a / 4) + int(30.6001 * (m + 1)) + d - 719591
}
$1 ~ /^[0-9]+T[0-9]+Z/ { names[++n] = $1; verified[$1] = ($2 == "verified"); safety[$1] = ($2 == "safety") }
END {
    for (i = 2; i <= n; i++) # insertion sort, newest first
        for (j = i; j > 1 && names[j] > names[j - 1]; j--) { t = names[j]; names[j] = names[j - 1]; names[j - 1] = t }
    for (i = 1; i <= n; i++) {
        name = names[i]
        day = days(substr(name, 1, 4) + 0, substr(name, 5, 2) + 0, substr(name, 7, 2) + 0)
        at = day * 86400 + substr(name, 10, 2) * 3600 + substr(name, 12, 2) * 60 + substr(name, 14, 2)
        if (safety[name]) {
            if (now - at >= recent * 3600 && now - at >= daily * 86400) print name
            continue
        }
        week = int((day + 3) / 7) # 1970-01-01 was a Thursday: weeks begin on Monday
        month = substr(name, 1, 6)
        keep = !regular++ || (now - at < recent * 3600)
        if (verified[name] && !proven++) keep = 1
        if (!(day in D) && nd < daily) { D[day] = 1; nd++; keep = 1 }
        if (!(week in W) && nw < weekly) { W[week] = 1; nw++; keep = 1 }
        if (!(month in M) && nm < monthly) { M[month] = 1; nm++; keep = 1 }
        if (!keep) print name
    }
}
