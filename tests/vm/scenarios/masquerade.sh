# A pod behind a node whose neighbour "outside" knows no way back to the pod's subnet.
. /scenarios/words.sh
config=/configs/masquerade.json
ip netns add pod
ip netns add outside
ip link add uplink type veth peer name eth0 netns outside
ip address add 192.0.2.1/24 dev uplink
ip link set uplink up
ip -n outside address add 192.0.2.2/24 dev eth0
ip -n outside link set eth0 up
part "masquerade add"
result=$(plugin ADD pod <$config)
echo "$result"
part "masquerade check"
check pod $config "${result%exit*}"
part "masquerade node"
ip -brief address
part "masquerade pings"
ping_from pod 10.1.3.1
ping_from pod 192.0.2.2
part "masquerade delete"
plugin DEL pod <$config
part "masquerade check after"
check pod $config "${result%exit*}"
part "masquerade node after"
ip -brief address
