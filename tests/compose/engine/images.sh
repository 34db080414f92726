# Part of `engine`: the images. Each carries a hash of what it was made from, and is made again only
# when that changes.
# shellcheck shell=bash
: "${here:?}" "${checkout:?}" "${cache:?}"
hash_label=tradewind.stand-in
base=tradewind-stand-in/debian:trixie
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
host_certificates=/usr/local/share/ca-certificates

# Settings of package clients that builds in containers need as much as the host does.
host_settings=(
  {http,https,no}_proxy {HTTP,HTTPS,NO}_PROXY
  PIP_{INDEX_URL,EXTRA_INDEX_URL,TRUSTED_HOST,DEFAULT_TIMEOUT}
  UV_{DEFAULT_INDEX,INDEX,INDEX_URL,EXTRA_INDEX_URL,HTTP_TIMEOUT}
  GO{PROXY,SUMDB,NOSUMDB,PRIVATE}
)

label_of() { docker image inspect --format "{{ index .Config.Labels \"$hash_label\" }}" "$1" 2>/dev/null; }

# What the host adds to an ordinary Debian, as lines of a Dockerfile: its settings, and for clients
# that bring certificates of their own (uv, requests) the bundle with the host's added.
host_environment() {
  local name
  for name in "${host_settings[@]}"; do
    [ -z "${!name-}" ] || echo "ENV $name=\"${!name}\""
  done
  if compgen -G "$host_certificates/*.crt" >/dev/null; then
    for name in SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE; do
      echo "ENV $name=/etc/ssl/certs/ca-certificates.crt"
    done
  fi
}

# Debian trixie with the host's certificates and settings: what all images start from.
build_base() {
  local inputs root changes=() line
  inputs=$({ cat "${BASH_SOURCE[0]}"; echo "$mirror"; host_environment
    find "$host_certificates" -name '*.crt' -exec cat {} +; } | sha256sum | cut -d' ' -f1)
  [ "$(label_of "$base")" != "$inputs" ] || return 0
  root=$(mktemp -d)
  debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$mirror"
  find "$host_certificates" -name '*.crt' -exec cp -t "$root$host_certificates" {} +
  chroot "$root" update-ca-certificates
  # What official slim images do too: start no service while an image is built, keep neither the
  # package files nor their manuals.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  cat >"$root/etc/apt/apt.conf.d/keep-nothing" <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
  printf 'path-exclude %s\n' '/usr/share/'{doc,info,locale,man}'/*' >"$root/etc/dpkg/dpkg.cfg.d/slim"
  rm -rf "$root"/usr/share/{doc,info,locale,man}/* "$root"/var/{cache/apt/{*.bin,archives/*.deb},lib/apt/lists/*}
  while read -r line; do
    changes+=(--change "$line")
  done < <(host_environment; echo 'CMD ["bash"]'; echo "LABEL $hash_label=$inputs")
  tar -C "$root" -c . | docker import "${changes[@]}" - "$base"
  rm -rf "$root"
}

# Puts the named programs into the cache.
build_with_go() {
  mkdir -p "$cache"
  docker run --rm --interactive --volume "$cache:/out" "$base" \
    bash -s -- "$@" <"$here/build-with-go.sh"
}

# stand_in NAME FOLDER [FILE...]: FOLDER's Dockerfile under the official name, with more files.
stand_in() {
  local name=$1 context inputs current
  context=$(mktemp -d)
  cp "$here/images/$2"/* "${@:3}" "$context"
  inputs=$({ label_of "$base"; cat "$context"/*; } | sha256sum | cut -d' ' -f1)
  current=$(label_of "$name") || current=missing
  case $current in
    "$inputs") ;;
    "" | "<no value>") echo "engine: $name is not ours and stays as it is" ;;
    *) docker build --tag "$name" --label "$hash_label=$inputs" "$context" ;;
  esac
  rm -rf "$context"
}

build_images() {
  local minio
  # shellcheck disable=SC2016
  # The one image whose name compose.yaml leaves open; its default stands there alone.
  minio=${MINIO_IMAGE:-$(sed -n 's/.*\${MINIO_IMAGE:-\([^}]*\)}.*/\1/p' "$checkout/compose.yaml")}
  [ -n "$minio" ] || fail "compose.yaml names no default for MINIO_IMAGE"
  [ -x "$cache/minio" ] || build_with_go minio
  stand_in python:3.13-slim-trixie python
  stand_in postgres:17-trixie postgres
  stand_in redis:8-trixie redis
  stand_in caddy:2.11-alpine caddy
  stand_in "$minio" minio "$cache/minio"
}
