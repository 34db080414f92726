#!/usr/bin/env bash
# The official image's start contract: options or a configuration file may stand alone, the server
# leaves root if it may, and its data folder is made its own if nothing else is in there.
set -euo pipefail

may() { setpriv --dump | grep -q "Capability bounding set:.*\b$1\b"; }

case ${1-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "${1-}" = redis-server ]; then
  if [ "$(id -u)" = 0 ] && may setuid && may setgid; then
    strangers=$(find . -mindepth 1 -maxdepth 1 ! -name '*.rdb' ! -name appendonlydir)
    [ -n "$strangers" ] || find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid redis --regid redis --clear-groups --no-new-privs \
      --inh-caps=-all --bounding-set=-all "$0" "$@"
  fi
  [ "$(umask)" != 0022 ] || umask 0077
  # Off by default in the official image: there, only published ports are reachable anyway.
  case "$* $(cat "${2-/dev/null}" 2>/dev/null)" in
    *protected-mode*) ;;
    *) set -- "$@" --protected-mode no ;;
  esac
fi
exec "$@"
