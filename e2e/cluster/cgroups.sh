# The cgroups of one instance: /sys/fs/cgroup/CONTROLLER/yurt-INSTANCE/NAME, NAME a node or `keepers`. Source it after env.sh.
#
# Being in the `pids` one is what makes a process ours: taking the cluster down kills these and no others.

# cgroup_create NAME: in every hierarchy.
cgroup_create() {
  local controller directory file
  for controller in $CGROUP_CONTROLLERS; do
    for directory in "/sys/fs/cgroup/$controller/$CGROUP" "/sys/fs/cgroup/$controller/$CGROUP/$1"; do
      mkdir -p "$directory"
      # A new cpuset is empty, and nothing can run in it.
      [ "$controller" = cpuset ] && for file in cpuset.cpus cpuset.mems; do
        [ -n "$(cat "$directory/$file")" ] || cat "${directory%/*}/$file" >"$directory/$file"
      done
    done
  done
  return 0
}

# cgroup_enter NAME: moves the calling shell, and so what it starts from now on. (0 is whoever writes it, in any pid namespace.)
cgroup_enter() {
  local controller
  for controller in $CGROUP_CONTROLLERS; do
    echo 0 >"/sys/fs/cgroup/$controller/$CGROUP/$1/cgroup.procs"
  done
}

# cgroup_clear NAME: removes what an earlier life of the node left below its cgroup. A machine that boots has none;
# with twenty left-over pod cgroups the kubelet takes two minutes to start.
cgroup_clear() {
  local controller
  for controller in $CGROUP_CONTROLLERS; do
    find "/sys/fs/cgroup/$controller/$CGROUP/$1" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
  done
  return 0
}
