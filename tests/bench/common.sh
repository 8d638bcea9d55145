# Sourced by the comparisons of this folder: building, lists, figures, and ending servers.
# shellcheck shell=bash

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }

# Builds what is compared; sets `load`, `rutter`, `work`, and where servers and clients run. Reads
# `build` and `rutter`.
prepare() {
    ulimit -n "$(ulimit -Hn)"   # 10,000 sessions are 10,000 descriptors, here and in the server
    local target=${CARGO_TARGET_DIR:-target}
    [[ $build = no ]] || { say 'building'; cargo build --release --locked >&2; }
    say 'building the load client'
    load=$(cargo bench --bench load --no-run --locked --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"load".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    [[ -x $load ]] || { say 'the load client does not build: see cargo bench --no-run'; exit 2; }
    [[ -n $rutter ]] || rutter=$target/release/rutter
    work=$(mktemp -d)
    pids=()
    trap finish EXIT
    trap 'exit 130' INT TERM
    on_server=() on_client=()
    if (($(nproc) > 1)); then
        on_server=(taskset -c 0) on_client=(taskset -c 1)
    fi
}
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}

generate() { # name, VRPs
    say "writing lists of $2 VRPs"
    "$load" generate --vrps "$2" --out "$work/$1.base" --changed "$work/$1.changed" "${@:3}" \
        >"$work/$1.sums"
}

stop() { # pid
    kill "$1" 2>/dev/null || true
    for _ in {1..50}; do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

figure() { awk -v name="$1" '$1 == name { print $2; exit }'; }

# Three digits count.
short() { awk -v x="$1" 'BEGIN { printf "%.*f", (x < 1 ? 3 : x < 10 ? 2 : x < 100 ? 1 : 0), x }'; }

ratio() { # of, to
    if [[ -n ${1:-} && -n ${2:-} ]]; then
        awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf (a / b < 10 ? "%.2f" : "%.0f"), a / b; else printf "-" }'
    else
        printf -- '-'
    fi
}
