# Runs in a container of the base image: builds the named programs into /out, from the Go module
# proxy. One run for all, because they share most of what they are made of.
# shellcheck shell=bash
set -euo pipefail
compose=v2.40.3
buildx=v0.38.2
minio=v0.0.0-20260212201848-7aac2a2c5b7c   # upstream is archived: its last commit

apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends golang-go
# Newer than Debian's, which fetches it from the module proxy by itself; buildx needs this one.
export GOTOOLCHAIN=go1.26.8
export CGO_ENABLED=0 GOBIN=/tmp/bin GOFLAGS='-trimpath -buildvcs=false'

# Both plugins are asked for their version by Compose, and know it only from the linker.
for program in "$@"; do
  case $program in
    docker-compose)
      # Its module has a replace directive, which `go install` refuses.
      mkdir /tmp/compose && cd /tmp/compose
      go mod init scratch
      go get "github.com/docker/compose/v2/cmd@$compose"
      go build -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$compose" \
        -o "$GOBIN/docker-compose" github.com/docker/compose/v2/cmd
      ;;
    docker-buildx)
      go install -ldflags "-s -w -X github.com/docker/buildx/version.Version=$buildx" \
        "github.com/docker/buildx/cmd/buildx@$buildx"
      mv "$GOBIN/buildx" "$GOBIN/docker-buildx"
      ;;
    minio)
      go install -ldflags '-s -w' "github.com/minio/minio@$minio"
      ;;
  esac
  install -t /out "$GOBIN/$program"
done
