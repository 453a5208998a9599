# The node's name, and a systemd without what makes no sense here.

mkdir -p "$root"/etc/systemd/{system,system.conf.d,journald.conf.d} "$root/lib/modules"
echo "$node" >"$root/etc/hostname"
printf '127.0.0.1 localhost\n%s %s\n' "$(node_ip "$node")" "$node" >"$root/etc/hosts"
echo "$INSTANCE $node" | md5sum | cut -c1-32 >"$root/etc/machine-id"

# Nobody answers there: CoreDNS forwards to what this file names, and must not find itself.
echo "nameserver 10.99.0.254" >"$root/etc/resolv.conf"

# Else a reboot waits 90 s for pods that ignore SIGTERM.
printf '[Manager]\nDefaultTimeoutStopSec=5s\n' >"$root/etc/systemd/system.conf.d/10-yurt.conf"

for unit in console-getty.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
