# Two pods in VLAN 100, behind its gateway, and one in VLAN 200 with the same subnet.
. /scenarios/words.sh
for pod in red1 red2 blue; do
    ip netns add $pod
    part "traffic add $pod"
    plugin ADD $pod <"/configs/${pod%[0-9]}.json"
done
part "traffic pings"
{
    ping_from red1 10.1.2.1 &
    ping_from red1 10.1.2.3 &
    ping_from red2 10.1.2.2 &
    ping_from red1 10.1.2.100 &
    ping_from blue 10.1.2.2 &
    ping_from blue 10.1.2.1 &
    wait
} | sort
