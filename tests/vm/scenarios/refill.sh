# After the reboot: what was on the disk is there again, no pod is.
. /scenarios/words.sh
part "refill boot"
read -r boot </proc/sys/kernel/random/boot_id
echo "$boot"
tar -C / -xzf /disk.tar.gz
for pod in d1 d2 d3 d4 d5 d6 d7 d8 d9 d10 d11 d12 d13 d14; do
    ip netns add $pod
    part "refill $pod"
    plugin ADD $pod </configs/small.json
done
