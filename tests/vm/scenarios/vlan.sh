# vlan.sh CONFIG: one configuration from ADD to DEL.
. /scenarios/words.sh
case=${1##*/}
case=${case%.json}
pod=pod-$case
read -r config <"$1"
ip netns add "$pod"
part "$case add"
plugin ADD "$pod" <"$1"
part "$case filtering"
read -r filtering </sys/class/net/bridge0/bridge/vlan_filtering
echo "$filtering"
part "$case vlans"
bridge -compressvlans vlan show
part "$case node"
ip -brief address
part "$case pod"
ip -n "$pod" -brief address
case $config in
*subnet*)
    part "$case routes"
    ip -n "$pod" route
    ip -n "$pod" -6 route
    ;;
esac
part "$case delete"
plugin DEL "$pod" <"$1"
part "$case node after"
ip -brief address
part "$case pod after"
ip -n "$pod" -brief address
