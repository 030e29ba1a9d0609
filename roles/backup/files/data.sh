#!/bin/sh
# Back up what is no PostgreSQL database, in its own image: as crash-safe as backup.sh, and read back before it counts.
# KIND=redis     the server saves in the background and hands the file over (redis-cli --rdb); proven by redis-check-rdb
# KIND=rabbitmq  users, queues, exchanges, bindings, policies through the management API; no messages
# KIND=mongodb   mongodump archive; proven by mongorestore --dryRun
# KIND=volume    the files below /data (mounted read-only) as a tar archive; proven by listing it
# Environment: NAME (its directory); HOST, PORT, USER, PASSWORD; QUIESCE, UNQUIESCE (command lines around the copy; the second
# one runs whatever happens); BACKUPS, DATA (/data), and KEEP_… as for backup.sh.
set -u
# shellcheck source=roles/backup/files/lib.sh
. "$(dirname "$0")/lib.sh"

WORK='' QUIET=''

# shellcheck disable=SC2317,SC2329
cleanup() {
    rc=$?
    trap - EXIT
    [ -z "$QUIET" ] || sh -c "$UNQUIESCE" >/dev/null 2>&1 || say warning message "the command after the copy failed: $UNQUIESCE"
    [ -z "$WORK" ] || rm -rf "$WORK"
    exit "$rc"
}
trap cleanup EXIT
trap 'fail 1 "stopped by a signal"' TERM INT HUP

said() { tail -n 2 "$WORK/said" | tr '\n' ' '; }

# patiently COMMAND…: a NetworkPolicy reaches a new pod some seconds late, and a server may be starting.
patiently() {
    tries=${CONNECT_TRIES:-20}
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 2
    done
}

# Each capture_KIND writes into $WORK/dump and sets COUNT, the number of things in it; each proof_KIND reads it back.
redis_size() {
    redis-cli -h "$HOST" -p "${PORT:-6379}" DBSIZE >"$WORK/said" 2>&1
    COUNT=$(sed -n 's/^\(([a-z]*) \)\{0,1\}\([0-9][0-9]*\)$/\2/p' "$WORK/said")
    [ -n "$COUNT" ]
}
capture_redis() {
    export REDISCLI_AUTH="${PASSWORD:-}"
    [ -n "$REDISCLI_AUTH" ] || unset REDISCLI_AUTH
    patiently redis_size || fail 1 "redis at $HOST does not answer: $(said)"
    redis-cli -h "$HOST" -p "${PORT:-6379}" --rdb "$WORK/dump/dump.rdb" >"$WORK/said" 2>&1 || fail 1 "redis did not hand its data over: $(said)"
}
proof_redis() { redis-check-rdb "$WORK/dump/dump.rdb" >"$WORK/said" 2>&1; }

# Every RabbitMQ image has Erlang, and not every one has an HTTP client.
capture_rabbitmq() {
    export HOST PORT="${PORT:-15672}" USER PASSWORD OUT="$WORK/dump/definitions.json" TRIES="${CONNECT_TRIES:-20}"
    # shellcheck disable=SC2016
    erl -noinput -boot start_clean -eval '
        inets:start(),
        Get = fun(K) -> os:getenv(K) end,
        Login = base64:encode_to_string(Get("USER") ++ ":" ++ Get("PASSWORD")),
        Url = "http://" ++ Get("HOST") ++ ":" ++ Get("PORT") ++ "/api/definitions",
        Ask = fun() -> httpc:request(get, {Url, [{"authorization", "Basic " ++ Login}]}, [{timeout, 60000}], [{body_format, binary}]) end,
        Patiently = fun(Again, Tries) ->
            case Ask() of
                {error, _} when Tries > 1 -> timer:sleep(2000), Again(Again, Tries - 1);
                Answer -> Answer
            end
        end,
        case Patiently(Patiently, list_to_integer(Get("TRIES"))) of
            {ok, {{_, 200, _}, _, Body}} -> ok = file:write_file(Get("OUT"), Body), halt(0);
            {ok, {{_, Code, _}, _, _}} -> io:format("HTTP ~p~n", [Code]), halt(1);
            {error, Why} -> io:format("~p~n", [element(1, Why)]), halt(1)
        end.' >"$WORK/said" 2>&1 || fail 1 "rabbitmq at $HOST did not hand its definitions over: $(said)"
    COUNT=$(tr ',' '\n' <"$WORK/dump/definitions.json" | grep -c '"name"')
}
proof_rabbitmq() { grep -q '"rabbit_version"' "$WORK/dump/definitions.json" && tail -c 2 "$WORK/dump/definitions.json" | grep -q '}'; }

# The password goes into a file that is gone at once: an argument could be read by everybody on the node.
capture_mongodb() {
    (umask 077 && printf 'password: "%s"\n' "$(json "${PASSWORD:-}")" >"$WORK/login")
    set -- --host "$HOST" --port "${PORT:-27017}" --config "$WORK/login"
    [ -z "${USER:-}" ] || set -- "$@" --username "$USER" --authenticationDatabase admin
    mongodump "$@" --gzip --archive="$WORK/dump/dump.archive" >"$WORK/said" 2>&1 || fail 1 "mongodump failed: $(said)"
    COUNT=$(sed -n 's/.*done dumping .*(\([0-9]*\) documents\{0,1\}).*/\1/p' "$WORK/said" | awk '{ s += $1 } END { print s + 0 }')
}
proof_mongodb() { mongorestore --host "$HOST" --port "${PORT:-27017}" --config "$WORK/login" --gzip --archive="$WORK/dump/dump.archive" --dryRun >"$WORK/said" 2>&1; }

capture_volume() {
    COUNT=$(find "${DATA:-/data}" -type f | wc -l | tr -d ' ')
    tar -C "${DATA:-/data}" -cf "$WORK/dump/volume.tar" . 2>"$WORK/said" || fail 1 "the files cannot all be read: $(said)"
}
proof_volume() { [ "$(tar -tvf "$WORK/dump/volume.tar" 2>"$WORK/said" | grep -c '^-')" = "$COUNT" ]; }

manifest() {
    printf '{\n "format": 1,\n "name": "%s",\n "database": "%s",\n "kind": "%s",\n' "$1" "$(json "$NAME")" "${KIND:-}"
    printf ' "started": "%s",\n "finished": "%s",\n "seconds": %s,\n "rows": %s,\n' "$2" "$(now)" "$3" "$COUNT"
    printf ' "dump_bytes": %s\n}\n' "$(($(size_kb "$WORK/dump") * 1024))"
}

case ${KIND:-} in
redis | rabbitmq | mongodb) [ -n "${HOST:-}" ] || fail 64 "HOST is needed" ;;
volume) [ -d "${DATA:-/data}" ] || fail 64 "there is no volume at ${DATA:-/data}" ;;
*) fail 64 "KIND is redis, rabbitmq, mongodb or volume, not ${KIND:-empty}" ;;
esac
[ -n "${NAME:-}" ] || fail 64 "NAME is needed"
UNQUIESCE=${UNQUIESCE:-true}
began=$(seconds) started=$(now)
home="$BACKUPS/$(safe_name "$NAME")"
step preflight name "$NAME" kind "$KIND"
mkdir -p "$home" 2>/dev/null || fail 65 "cannot write to $BACKUPS: check the volume's permissions"
lock "$NAME" "$home"
rm -rf "$home"/.tmp-* "$home"/.old-*
name=$(date -u +%Y%m%dT%H%M%SZ)
while [ -e "$home/$name" ]; do
    sleep 1
    name=$(date -u +%Y%m%dT%H%M%SZ)
done
WORK="$home/.tmp-$name"
mkdir -p "$WORK/dump" || fail 1 "cannot write to $home"
chmod 700 "$WORK"
if [ -n "${QUIESCE:-}" ]; then
    step quiesce
    QUIET=1
    sh -c "$QUIESCE" >"$WORK/said" 2>&1 || fail 1 "the command before the copy failed: $(said)"
fi
step copy
"capture_$KIND"
if [ -n "$QUIET" ]; then
    step unquiesce
    QUIET=''
    sh -c "$UNQUIESCE" >"$WORK/said" 2>&1 || fail 1 "the command after the copy failed, see to it: $(said)"
fi
step check
"proof_$KIND" || fail 1 "what was written cannot be read back: $(said)"
rm -f "$WORK/said" "$WORK/login"
manifest "$name" "$started" "$(($(seconds) - began))" >"$WORK/manifest.json" || fail 1 "cannot write the manifest: no space on the backup volume"
printf '{"at":"%s","why":"read back by its own tool","rows":%s}\n' "$(now)" "$COUNT" >"$WORK/VERIFIED.json" || fail 1 "no space on the backup volume"
(cd "$WORK" && find dump manifest.json -type f | LC_ALL=C sort | xargs sha256sum >SHA256SUMS) || fail 1 "cannot write the checksums: no space on the backup volume"
find "$WORK" -type f -exec chmod 600 {} +
durable "$WORK/SHA256SUMS"
step rename
mv "$WORK" "$home/$name" || fail 1 "cannot rename the finished backup"
WORK=''
durable "$home/$name"
step retention
retain "$home"
sh "$SCRIPTS/status.sh" "$home" "$NAME" || true
STEP='done'
say result name "$NAME" kind "$KIND" backup "$name" count "$COUNT" kb "$(size_kb "$home/$name")" seconds "$(($(seconds) - began))"
