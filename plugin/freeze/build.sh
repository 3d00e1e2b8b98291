#!/bin/sh
# plugin/freeze/build.sh [OUT]: freeze the plugin into one static executable.
#
# Needs a distribution's own Python with its static library, and a C compiler.
# IMAGE=0 leaves the started interpreter out (image.c says what it is), FULL_INIT=1
# initialises all of it (main.c), PYTHON names another interpreter, PACKAGE another
# plugin folder, PYPROJECT another pyproject.toml, CFLAGS more flags for the compiler.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/build/pycni}
package=${PACKAGE:-$root/plugin}
pyproject=${PYPROJECT:-$root/pyproject.toml}
image=${IMAGE:-1}
full_init=${FULL_INIT:-0}
full_option=
[ "$full_init" = 0 ] || full_option=--full-init
wraps=
for name in malloc calloc realloc free PyThread_get_thread_ident PyThread_get_thread_ident_ex; do
    [ "$image" = 0 ] || wraps="$wraps -Wl,--wrap=$name"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "build.sh: $*" >&2
    exit 1
}

# Prints folder, name and include path if $1 has its static library and headers.
describe() {
    "$1" -I - <<'PYTHON'
import os, sys, sysconfig
get = sysconfig.get_config_var
library = os.path.join(get("LIBPL"), get("LIBRARY"))
headers = sysconfig.get_path("include")
complete = os.path.exists(library) and os.path.exists(headers + "/Python.h")
if sys.version_info >= (3, 11) and complete:
    print(library, headers)
PYTHON
}

# The newest of the distribution: a Python from elsewhere, first on PATH, often
# lacks the static library or was built without what this link needs.
find_python() {
    for candidate in $(printf '%s\n' /usr/bin/python3.* | grep -E '\.[0-9]+$' | sort -rV); do
        if [ -n "$(describe "$candidate")" ]; then
            echo "$candidate"
            return
        fi
    done
}

python=${PYTHON:-$(find_python)}
[ -n "$python" ] || fail "no /usr/bin/python3.x (3.11 or newer) with its static library;" \
    "on Debian and Ubuntu: apt-get install python3 python3-dev libpython3-dev"
found=$(describe "$python")
[ -n "$found" ] || fail "$python has no static library or headers, or is older than 3.11"
library=${found%% *}
headers=${found##* }
command -v gcc >/dev/null || fail "no C compiler; on Debian and Ubuntu: apt-get install gcc libc6-dev"

"$python" -I "$here/freeze.py" "$package" "$pyproject" "$work/frozen.c" $full_option

# The order matters: image.c marks the border between Python's variables and libc's.
# norelro: the image must be writable, and a call of mprotect is spared.
# shellcheck disable=SC2086  # CFLAGS is a list of words
gcc -O2 -Wall -static -no-pie -DIMAGE="$image" -DFULL_INIT="$full_init" ${CFLAGS:-} -I"$headers" -o "$work/maker" \
    "$here/main.c" "$here/setns.c" "$here/absent.c" "$work/frozen.c" \
    "$library" "$here/image.c" -lm \
    -Wl,--gc-sections,--build-id=none,-z,muldefs,-z,norelro $wraps
strip "$work/maker"

if [ "$image" = 1 ]; then
    "$python" -I "$here/image.py" "$work/maker" "$work/pycni"
else
    mv "$work/maker" "$work/pycni"
fi

answer=$(CNI_COMMAND=VERSION "$work/pycni" </dev/null) || fail "the new file cannot say its version: $answer"
case $answer in
*supportedVersions*) ;;
*) fail "the new file's answer to VERSION: $answer" ;;
esac

mkdir -p "$(dirname "$out")"
cp "$work/pycni" "$out.new"
chmod 755 "$out.new"
mv "$out.new" "$out"
echo "$out: $(wc -c <"$out") bytes, $("$python" -I -c 'import sys; print("Python", *sys.version.split()[:1])')"
