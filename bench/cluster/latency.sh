#!/usr/bin/env bash
# Latency of HTTP at a fixed rate, with fortio.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

RATE=1000
CONNECTIONS=50
SECONDS_EACH=30
ROUNDS=10

usage() {
    cat <<'HELP'
Usage: latency.sh [OPTIONS]

Measures the latency of HTTP through a load balancer at a fixed rate: percentiles 50, 75, 90, 99 and 99.9 of each
round, as JSON, one file a round.

  --rate N                requests per second (default 1000)
  --connections N         connections (default 50)
  --seconds N             seconds of a round (default 30)
  --rounds N              rounds (default 10)
  --output DIRECTORY      where the JSON is written (default .)
HELP
    common_help
}

OUTPUT="."
while [[ $# -gt 0 ]]; do
    case "$1" in
        --help) usage; exit 0 ;;
        --rate) RATE="${2:?--rate needs a number}"; shift 2 ;;
        --connections) CONNECTIONS="${2:?--connections needs a number}"; shift 2 ;;
        --seconds) SECONDS_EACH="${2:?--seconds needs a number}"; shift 2 ;;
        --rounds) ROUNDS="${2:?--rounds needs a number}"; shift 2 ;;
        --output) OUTPUT="${2:?--output needs a directory}"; shift 2 ;;
        *)
            common_option "$@"
            [[ "$TAKEN" -gt 0 ]] || fail "unknown option $1; see --help"
            shift "$TAKEN"
            ;;
    esac
done

need fortio
mkdir -p "$OUTPUT"
begin
serve "$WEB_IMAGE" 80
load() {
    fortio load -qps "$RATE" -c "$CONNECTIONS" -uniform -nocatchup -p 50,75,90,99,99.9 "$@" "http://$HOST/"
}
echo "# warm-up"
load -t 10s -quiet >/dev/null
for round in $(seq "$ROUNDS"); do
    echo "# round $round"
    load -t "${SECONDS_EACH}s" -json "$OUTPUT/latency-$round.json"
done
