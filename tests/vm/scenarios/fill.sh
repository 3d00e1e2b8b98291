# Ten of a subnet's thirteen addresses are in use when the machine is switched off.
. /scenarios/words.sh
part "fill boot"
read -r boot </proc/sys/kernel/random/boot_id
echo "$boot"
for pod in c1 c2 c3 c4 c5 c6 c7 c8 c9 c10; do
    ip netns add $pod
    part "fill $pod"
    plugin ADD $pod </configs/small.json
done
part "fill disk"
tar -C / -cz var/lib | base64
