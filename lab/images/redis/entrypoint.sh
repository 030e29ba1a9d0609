#!/bin/sh
# Starts Redis as the official image does: options or a *.conf file mean redis-server; root becomes the user redis;
# no protected mode, since a container's network is its protection. Anything else is run as it is.
set -eu
[ "$#" -gt 0 ] || set -- redis-server
case $1 in -* | *.conf) set -- redis-server "$@" ;; esac
[ "$1" = redis-server ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  chown redis:redis /data
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
case " $* " in *" --protected-mode "*) ;; *) set -- "$@" --protected-mode no ;; esac
exec "$@"
