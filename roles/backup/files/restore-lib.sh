#!/bin/sh
# How a backup becomes a database beside others. Sourced after lib.sh.
# shellcheck disable=SC2034

# json_table FILE: SQL that loads a file of JSON lines into temporary table wanted(j). The quote and delimiter are control
# characters, which JSON escapes: COPY leaves every byte alone.
json_table() {
    printf "CREATE TEMP TABLE wanted (j jsonb);\n\\\\copy wanted FROM '%s' WITH (FORMAT csv, QUOTE e'\\\\x01', DELIMITER e'\\\\x02')\n" "$1"
}

# state STEP: the comment of a database that a restore is filling.
state() { printf '{"holdfast":"restore","of":"%s","backup":"%s","stamp":"%s","step":"%s","since":%s}' \
    "$(json "$DATABASE")" "$BACKUP" "$STAMP" "$1" "$(seconds)"; }

# One restore of a database at a time; held on descriptor 8 until this process and its children are gone. A backup of another
# database is only read, so its lock is shared (descriptor 7): it keeps the retention away.
lock_restore() {
    mkdir -p "$BACKUPS/$(safe_name "$DATABASE")"
    exec 8>"$BACKUPS/$(safe_name "$DATABASE")/.restore.lock"
    flock -n 8 || fail 75 "another restore of $DATABASE is running: wait for it to end"
    [ "${SOURCE:-$DATABASE}" != "$DATABASE" ] && [ -d "$BACKUPS/$(safe_name "$SOURCE")" ] || return 0
    exec 7>"$BACKUPS/$(safe_name "$SOURCE")/.restore.lock"
    flock -n -s 7 || fail 75 "a restore of $SOURCE is running: wait for it to end"
}

# The backup in FROM is there, is whole, and is of the database that was asked for.
refuse_damaged() {
    [ -d "$FROM" ] || fail 65 "there is no backup $BACKUP of ${SOURCE:-$DATABASE} on the volume"
    bad=$(check_files "$FROM") || fail 65 "backup $BACKUP is damaged: $bad: choose another one"
    owner=$(manifest_text "$FROM/manifest.json" database)
    [ "$owner" = "$(json "${SOURCE:-$DATABASE}")" ] ||
        fail 65 "backup $BACKUP is of database $owner, not of ${SOURCE:-$DATABASE}: name its own database, or say that you mean it with source_database"
}

# make_roles BACKUP: the roles that the backup's objects name and this server lacks; without passwords.
make_roles() {
    {
        json_table "$1/facts/roles.jsonl"
        cat <<'SQL'
SELECT format('CREATE ROLE %I %s %s %s %s', j->>'role', CASE WHEN (j->>'login')::bool THEN 'LOGIN' ELSE 'NOLOGIN' END,
    CASE WHEN (j->>'inherit')::bool THEN 'INHERIT' ELSE 'NOINHERIT' END,
    CASE WHEN (j->>'createdb')::bool THEN 'CREATEDB' ELSE '' END, CASE WHEN (j->>'createrole')::bool THEN 'CREATEROLE' ELSE '' END)
FROM wanted WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = j->>'role')
\gexec
SELECT format('GRANT %I TO %I', g, j->>'role') FROM wanted, jsonb_array_elements_text(j->'member_of') g
WHERE g IN (SELECT rolname FROM pg_roles) AND NOT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.roleid
    JOIN pg_roles b ON b.oid = m.member WHERE a.rolname = g AND b.rolname = j->>'role')
\gexec
SQL
    } | sql "$MAINTENANCE_DB" 2>&1
}

# make_database BACKUP NAME STATE: an empty database like the one that was backed up; STATE becomes its comment.
make_database() {
    {
        json_table "$1/facts/database.json"
        cat <<'SQL'
-- Older backups say nothing of the locale's provider, and before 15 there is only one.
SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L OWNER %I',
    :'name', j->>'encoding', j->>'collate', j->>'ctype', coalesce((SELECT rolname::text FROM pg_roles WHERE rolname = j->>'owner'), current_user::text))
    || CASE WHEN current_setting('server_version_num')::int < 150000 THEN ''
        WHEN l->>'provider' = 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', l->>'name') || CASE WHEN l->>'rules' <> '' THEN format(' ICU_RULES %L', l->>'rules') ELSE '' END
        WHEN l->>'provider' = 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', l->>'name')
        WHEN l->>'provider' = 'c' THEN ' LOCALE_PROVIDER libc' ELSE '' END
FROM wanted, LATERAL (SELECT j->'locale') x(l)
\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', :'name', :'state')
\gexec
SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', :'name', j->>'connection_limit') FROM wanted WHERE (j->>'connection_limit')::int > 0
\gexec
SELECT CASE WHEN x->>'role' = '' THEN format('ALTER DATABASE %I SET ', :'name')
            ELSE format('ALTER ROLE %I IN DATABASE %I SET ', x->>'role', :'name') END
    || format('%I TO ', split_part(x->>'setting', '=', 1))
    -- Lists of names are stored quoted already, as pg_dump knows too.
    || CASE WHEN split_part(x->>'setting', '=', 1) IN ('search_path', 'temp_tablespaces', 'local_preload_libraries',
                'session_preload_libraries', 'unix_socket_directories')
            THEN coalesce(nullif(substr(x->>'setting', strpos(x->>'setting', '=') + 1), ''), '''''')
            ELSE quote_literal(substr(x->>'setting', strpos(x->>'setting', '=') + 1)) END
FROM wanted, jsonb_array_elements(j->'settings') x WHERE x->>'role' = '' OR x->>'role' IN (SELECT rolname FROM pg_roles)
\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'name') FROM wanted WHERE (j->>'has_acl')::bool
\gexec
SELECT format('GRANT %s ON DATABASE %I TO %s%s', x->>'privilege', :'name',
    CASE WHEN x->>'role' = '' THEN 'PUBLIC' ELSE quote_ident(x->>'role') END, CASE WHEN (x->>'grantable')::bool THEN ' WITH GRANT OPTION' ELSE '' END)
FROM wanted, jsonb_array_elements(j->'grants') x WHERE x->>'role' = '' OR x->>'role' IN (SELECT rolname FROM pg_roles)
\gexec
SQL
    } | sql "$MAINTENANCE_DB" -v "name=$2" -v "state=$3" 2>&1
}

# load BACKUP DATABASE LOG [pg_restore options]: pg_restore with progress.
load() {
    total=$(manifest_text "$1/manifest.json" tables_count)
    load_from=$1/dump load_into=$(conninfo "$2") load_log=$3
    shift 3
    : >"$load_log"
    pg_restore -v -j "$JOBS" --exit-on-error --no-subscriptions -d "$load_into" "$@" "$load_from" >"$load_log" 2>&1 7>&- 8>&- 9>&- &
    LOADER=$!
    last=0
    while kill -0 "$LOADER" 2>/dev/null; do
        loaded=$(grep -c 'processing data for table' "$load_log")
        if [ "$loaded" -gt "$last" ]; then
            last=$loaded
            step load tables_done "$loaded" total "$total"
        fi
        sleep 0.2
    done
    wait "$LOADER"
    rc=$?
    LOADER=''
    return "$rc"
}

load_error() { grep -iE 'error|fatal|could not' "$1" | tail -n 3 | tr '\n' ' '; }

# exists DATABASE; comment_of DATABASE
exists() { [ "$(sql "$MAINTENANCE_DB" -v "name=$1" <<'SQL'
SELECT count(*) FROM pg_database WHERE datname = :'name';
SQL
)" = 1 ]; }
comment_of() { sql "$MAINTENANCE_DB" -v "name=$1" <<'SQL'
SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :'name';
SQL
}

# set_comment DATABASE TEXT
set_comment() { sql "$MAINTENANCE_DB" -v "name=$1" -v "text=$2" <<'SQL'
SELECT format('COMMENT ON DATABASE %I IS %L', :'name', :'text')
\gexec
SQL
}

# drop DATABASE: whoever is connected goes first. WITH (FORCE) needs 13, so it is done by hand.
drop() { sql "$MAINTENANCE_DB" -v "name=$1" <<'SQL'
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS false', :'name') FROM pg_database WHERE datname = :'name'
\gexec
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :'name' AND pid <> pg_backend_pid();
SELECT format('DROP DATABASE IF EXISTS %I', :'name')
\gexec
SQL
}

# drop_schema DATABASE NAME: of a table's rows beside the live ones.
drop_schema() { sql "$1" -v "name=$2" <<'SQL'
DROP SCHEMA IF EXISTS :"name" CASCADE;
SQL
}
