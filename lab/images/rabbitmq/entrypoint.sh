#!/bin/sh
# Starts RabbitMQ: RABBITMQ_DEFAULT_USER, RABBITMQ_DEFAULT_PASS and RABBITMQ_DEFAULT_VHOST of the official image's
# contract (each also as NAME_FILE). The node is rabbit@localhost: a pod's name changes, its data must not be lost.
set -eu
export HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- RABBITMQ_NODENAME="${RABBITMQ_NODENAME:-rabbit@localhost}"
[ "$#" -gt 0 ] || set -- rabbitmq-server
[ "$1" = rabbitmq-server ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
  exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi
[ -z "${RABBITMQ_DEFAULT_USER_FILE:-}" ] || RABBITMQ_DEFAULT_USER=$(cat "$RABBITMQ_DEFAULT_USER_FILE")
[ -z "${RABBITMQ_DEFAULT_PASS_FILE:-}" ] || RABBITMQ_DEFAULT_PASS=$(cat "$RABBITMQ_DEFAULT_PASS_FILE")
umask 077
{
  echo 'listeners.tcp.default = 5672'
  echo 'loopback_users = none'
  [ -z "${RABBITMQ_DEFAULT_USER:-}" ] || echo "default_user = $RABBITMQ_DEFAULT_USER"
  [ -z "${RABBITMQ_DEFAULT_PASS:-}" ] || echo "default_pass = $RABBITMQ_DEFAULT_PASS"
  [ -z "${RABBITMQ_DEFAULT_VHOST:-}" ] || echo "default_vhost = $RABBITMQ_DEFAULT_VHOST"
} > /tmp/rabbitmq.conf
unset RABBITMQ_DEFAULT_USER RABBITMQ_DEFAULT_PASS RABBITMQ_DEFAULT_USER_FILE RABBITMQ_DEFAULT_PASS_FILE
export RABBITMQ_CONFIG_FILE=/tmp/rabbitmq.conf
exec "$@"
