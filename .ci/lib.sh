# shellcheck shell=bash
# Shared by the scripts of this folder: timed steps, and a table of them at the end.
# Source it, then: step <name> <command> [<argument>...]
#
# A script that calls another shares its list of steps with it, through the file that GREENBACK_CI_STEPS names.
# Commands are joined with && where one needs the other: "set -e" does not hold below "step … || …".

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
mkdir -p build/ci-logs

jobs=${GREENBACK_CI_JOBS:-$(nproc)}

if [[ -z ${GREENBACK_CI_STEPS:-} ]]; then
    GREENBACK_CI_STEPS=$(mktemp)
    export GREENBACK_CI_STEPS
    trap 'summary; rm -f "$GREENBACK_CI_STEPS"' EXIT
fi

# Runs a command and notes its result and time. What it prints is also kept in build/ci-logs.
step() {
    local name=$1 log="build/ci-logs/${1//[^a-z0-9-]/_}.log" start=$SECONDS status=0 result=ok
    shift
    printf '\n=== %s\n' "$name"
    "$@" 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
    ((status == 0)) || result=FAILED
    printf '%s\t%d\t%s\t%s\n' "$name" $((SECONDS - start)) "$result" \
        "$(grep -E '[0-9]+% tests passed' "$log" | tail -n 1)" >>"$GREENBACK_CI_STEPS"
    return "$status"
}

summary() {
    local name seconds result tests passed=0 failed=0
    printf '\n%-24s %8s  %-7s %s\n' step seconds result tests
    while IFS=$'\t' read -r name seconds result tests; do
        printf '%-24s %8d  %-7s %s\n' "$name" "$seconds" "$result" "$tests"
        if [[ $tests =~ ([0-9]+)\ tests\ failed\ out\ of\ ([0-9]+) ]]; then
            failed=$((failed + BASH_REMATCH[1]))
            passed=$((passed + BASH_REMATCH[2] - BASH_REMATCH[1]))
        fi
    done <"$GREENBACK_CI_STEPS"
    if ((passed + failed > 0)); then
        printf '\n%d passed, %d failed\n' "$passed" "$failed"
    fi
}

# Installs packages; with the argument "all", those of every configuration.
set_up() {
    step "setup${1:+ ($1)}" .ci/setup "$@"
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
    export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 # hits for a clone in another folder too
}

# Configures, builds and tests one preset; more arguments are for the configuration. The wrapper, if any, is a command
# that runs another.
wrapper=()
preset() {
    cmake --preset "$@" &&
        "${wrapper[@]}" cmake --build --preset "$1" -j "$jobs" &&
        "${wrapper[@]}" ctest --preset "$1" -j "$jobs" --output-on-failure --no-tests=error
}

# Some kernels randomise addresses more than a compiler's ThreadSanitizer can take, and its programs then start only
# sometimes: they are run without randomisation there.
find_thread_sanitizer_wrapper() {
    local compiler=$1 program=build/thread-sanitizer-probe
    echo 'int main() {}' | "$compiler" -fsanitize=thread -x c++ -o "$program" - || return
    for _ in {1..20}; do
        if ! "$program" 2>/dev/null; then
            wrapper=(setarch "$(uname -m)" -R)
            echo "ThreadSanitizer needs: ${wrapper[*]}"
            "${wrapper[@]}" "$program" || return
            break
        fi
    done
}

# Fails unless every test program of a preset holds all the given symbols: a sanitizer that is not there finds nothing.
require_symbols() {
    local preset=$1 program symbols symbol count=0
    shift
    for program in "build/$preset"/tests/test_*; do
        [[ -f $program && -x $program ]] || continue
        symbols=$(nm "$program") || return
        for symbol in "$@"; do
            if [[ $symbols != *"$symbol"* ]]; then
                echo "$program has no $symbol: it was built without the sanitizer" >&2
                return 1
            fi
        done
        count=$((count + 1))
    done
    if ((count == 0)); then
        echo "build/$preset/tests has no test programs" >&2
        return 1
    fi
    echo "$count test programs have $*"
}

address_sanitizer() {
    preset "$1" && require_symbols "$1" __asan_init __ubsan_handle
}
thread_sanitizer() {
    find_thread_sanitizer_wrapper "$2" && preset "$1" && require_symbols "$1" __tsan_init
}

# The whole suite on the newest standalone Asio that Debian has.
newer_asio() {
    rm -rf build/debian/asio
    .ci/debian-package sid build/debian/asio libasio-dev && preset newer-asio
}

# Its instruction counts, after that. Where Debian's Asio is newer than the committed counts, the test skips itself, and
# CTest keeps to itself what it says.
newer_asio_bench() {
    preset newer-asio-bench || return
    grep -hE '^(No counts are|The committed counts)' build/newer-asio-bench/Testing/Temporary/LastTest.log || true
}
