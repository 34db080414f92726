#!/usr/bin/env bash
# The fork's start contract: arguments alone, `minio ...` and `silo ...` all start its server.
case ${1-} in
  silo) ;;
  minio) set -- silo "${@:2}" ;;
  *) set -- silo "$@" ;;
esac
exec "$@"
