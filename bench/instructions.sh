#!/usr/bin/env bash
# Instructions per operation, counted by callgrind, beside the committed counts. Unlike times, they are the same on a
# busy machine.
#
#     bench/instructions.sh [--update] [--output <file>] [<folder of the programs>]
#
# Each operation runs twice, a different number of times; the difference leaves out what happens once. Each Asio that
# the programs may be built for has its counts in bench/instructions/. Without --update, the exit status is 1 where a
# count is more than 3% above the committed one, and 77 where none are committed for this Asio, or those are for another
# configuration (compiler, C library …), with which they can't be compared. --update writes the counts of this run to the
# file of its Asio: look at the difference before you commit it. --output writes them to another file.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=$here/../build/bench/bench
update=0
output=
while (($#)); do
    case $1 in
        --update) update=1 ;;
        --output)
            output=${2:?--output needs a file}
            shift
            ;;
        -*)
            sed -n '2,/^set/{/^#/!d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
            exit 2
            ;;
        *) programs=$1 ;;
    esac
    shift
done

counted=(bench_instructions bench_instructions_of_helpers bench_instructions_beside_spawn bench_instructions_on_boost_asio)
for program in "${counted[@]}"; do
    if [[ ! -x $programs/$program ]]; then
        echo "no $programs/$program: build it first, with: cmake --preset bench && cmake --build --preset bench" >&2
        exit 2
    fi
done
if ! command -v valgrind >/dev/null; then
    echo "valgrind is not installed" >&2
    exit 2
fi

configuration() {
    local program
    for program in "${counted[@]}"; do
        echo "# $program: $("$programs/$program" --configuration), $(uname -m)"
    done
}

# One operation, by the name of its program and its own: prints both and its count.
count() {
    local program=$1 operation=$2 few=500 many=5500 times log total totals=()
    for times in "$few" "$many"; do
        if ! log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$operation" "$times" 2>&1); then
            tail -n 20 <<<"$log" >&2
            return 1
        fi
        total=$(awk '/Collected *:/ { print $NF }' <<<"$log")
        [[ $total =~ ^[0-9]+$ ]] || return 1
        totals+=("$total")
    done
    printf '%s %s %d\n' "${program##*/}" "$operation" \
        $(((totals[1] - totals[0] + (many - few) / 2) / (many - few)))
}
export -f count

if [[ ! $("$programs/bench_instructions" --configuration) =~ ((Boost\.)?Asio)\ ([0-9.]+) ]]; then
    echo "bench_instructions doesn't say which Asio it was built for" >&2
    exit 2
fi
asio="${BASH_REMATCH[1]} ${BASH_REMATCH[3]}"
expected=${asio,,}
expected=$here/instructions/${expected/ /-}.expected

# Fails, and says why, where the committed counts can't be compared with those of this run.
comparable() {
    if [[ ! -f $expected ]]; then
        echo "No counts are committed for $asio: nothing to compare with here."
        return 1
    fi
    if ! cmp -s <(configuration) <(grep '^#' "$expected"); then
        echo "The committed counts are for another configuration: nothing to compare with here."
        diff <(grep '^#' "$expected") <(configuration) || true
        return 1
    fi
}

if ((!update)) && [[ -z $output ]]; then
    comparable || exit 77
fi
measured=$(mktemp)
trap 'rm -f "$measured"' EXIT

# Counts don't depend on what else the machine does: as many at once as it has processors. In the order of the programs.
{
    configuration
    for program in "${counted[@]}"; do
        "$programs/$program" | sed "s|^|$programs/$program |"
    done | xargs -P "$(nproc)" -n 2 bash -c 'count "$@"' count | sort
} >"$measured"

if [[ -n $output ]]; then
    cat "$measured" >"$output"
fi
if ((update)); then
    cat "$measured" >"$expected"
    grep -v '^#' "$expected"
    exit 0
fi
if ! comparable; then
    grep -v '^#' "$measured"
    exit 77
fi

awk '
    /^#/ { next }
    FNR == NR { before[$1 " " $2] = $3; next }
    {
        key = $1 " " $2
        seen[key] = 1
        if (!(key in before)) { note = "not committed yet"; bad = 1 }
        else {
            change = ($3 - before[key]) * 100 / before[key]
            note = sprintf("%+.1f%%", change)
            if (change > 3) { note = note "  REGRESSION"; bad = 1 }
            else if (change < -3) note = note "  better: bench/instructions.sh --update"
        }
        printf "%-32s %-34s %6d  committed %6s  %s\n", $1, $2, $3, before[key], note
    }
    END {
        for (key in before) if (!(key in seen)) { print key ": committed, but not measured"; bad = 1 }
        exit bad
    }
' "$expected" "$measured"
