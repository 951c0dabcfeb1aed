# ./dev fresh: commands in a bare Debian 12 root. Read by ./dev.

command_fresh() {
  local base=/var/tmp keep=
  while [ $# -gt 0 ]; do
    case $1 in
      --dir) base=${2:?--dir needs a directory}; shift 2 ;;
      --keep) keep=1; shift ;;
      *) break ;;
    esac
  done
  [ $# -gt 0 ] || set -- demo test
  [ "$(id -u)" -eq 0 ] || die "fresh needs root (debootstrap and chroot)"
  need fresh
  [ -z "$(git status --porcelain)" ] || say "note: uncommitted changes are not in the clone"

  local root mirror
  root=$(mktemp -d "$base/sluice-fresh.XXXXXX")
  chmod 755 "$root" # it becomes /, which every user must be able to enter, apt's own too
  # The mounts below live in a namespace of their own and vanish with it.
  [ -n "$keep" ] || trap "rm -rf --one-file-system '$root'" EXIT
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)
  say "debootstrap bookworm into $root"
  debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" \
    "${mirror:-http://deb.debian.org/debian}" >"$root.log" 2>&1 || { tail "$root.log" >&2; die "debootstrap failed"; }
  rm -f "$root.log"
  apt-config dump | grep -E '^Acquire::(https?::(P|p)roxy|Check-)' \
    >"$root/etc/apt/apt.conf.d/90host" || true
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  # Whom this host trusts besides: its network may answer in their name.
  if [ -d /usr/local/share/ca-certificates ]; then
    cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
  fi
  git clone -q "file://$PWD" "$root/root/sluice"

  local command
  for command in "$@"; do
    say "./dev $command, in the bare root"
    time unshare --mount --fork bash -c '
      mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount --rbind /dev "$1/dev" &&
      mount -t tmpfs tmpfs "$1/tmp" &&
      exec chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
        bash -c "cd /root/sluice && ./dev $2"' _ "$root" "$command" </dev/null
  done
}
