#!/bin/sh
# run.sh [SECONDS [TARGET...]]: fuzzes each target for that long (60), begins with its corpus. What is found lies in
# build/fuzz/found; put it into tests/fuzz/corpus/TARGET once it is mended, and every test run replays it.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
seconds=${1:-60}
[ $# -eq 0 ] || shift
build=$root/build/fuzz

if [ ! -f "$build/build.ninja" ]; then
    mkdir -p "$root/build"
    CC=clang-14 meson setup "$build" "$root" -Dfuzzers=true -Dtests=none -Dbuildtype=debug -Doptimization=1 \
        -Db_lundef=false -Db_sanitize=address,undefined "-Dc_args=-fsanitize=fuzzer-no-link" >"$root/build/fuzz-setup.log" 2>&1 || {
        cat "$root/build/fuzz-setup.log" >&2
        exit 1
    }
fi

if [ $# -eq 0 ]; then
    for source in "$root"/tests/fuzz/fuzz_*.c; do
        target=${source##*/fuzz_}
        set -- "$@" "${target%.c}"
    done
fi

status=0
for target; do
    ninja -C "$build" "tests/fuzz/fuzz_$target" >"$build/$target.build.log" 2>&1 || {
        tail -n 40 "$build/$target.build.log" >&2
        exit 1
    }
    mkdir -p "$build/corpus/$target" "$build/found/$target" "$root/tests/fuzz/corpus/$target"
    echo "fuzz: $target for $seconds s"
    if ! "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/found/$target/" "$build/corpus/$target" "$root/tests/fuzz/corpus/$target" \
        >"$build/$target.log" 2>&1; then
        tail -n 60 "$build/$target.log" >&2
        echo "fuzz: $target FAILED; the input is in $build/found/$target, the whole log is $build/$target.log" >&2
        status=1
        continue
    fi
    grep -E '^stat::(number_of_executed_units|new_units_added)|^#[0-9]+.*DONE' "$build/$target.log" || true
done
exit $status
