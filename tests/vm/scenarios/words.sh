# Words of the scenarios. Each scenario runs in the network namespace of its node.
# What follows a `part` line, up to the next one, is the text that a test reads.

part() { printf '\n== %s\n' "$*"; }

# on_node NAME SCRIPT ARGUMENTS: runs a scenario on a node of its own.
on_node() {
    local node=$1 script=$2
    ip netns add "$node"
    shift 2
    ip netns exec "$node" sh "/scenarios/$script" "$@"
}

# plugin COMMAND POD <CONFIG: calls the plugin as a runtime does.
# The pod's name is also its container id.
plugin() {
    CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 CNI_IFNAME=eth0 \
        CNI_PATH=/opt/cni/bin /opt/cni/bin/bridge
    printf '\nexit %d\n' $?
}

# check POD CONFIG RESULT: CHECK, with the result that the ADD before printed.
check() {
    local config
    read -r config <"$2"
    printf '{"prevResult":%s,%s' "$3" "${config#?}" >/run/check.json
    plugin CHECK "$1" </run/check.json
}

# ping_from POD ADDRESS: says whether the address answers.
ping_from() {
    if ip netns exec "$1" ping -c 1 -W 1 "$2" >/dev/null; then
        echo "$1 reaches $2"
    else
        echo "$1 does not reach $2"
    fi
}
