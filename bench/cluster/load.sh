#!/usr/bin/env bash
# Maximum of HTTP requests with wrk, a ramp with vegeta, and throughput with iperf3.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SECONDS_EACH=30
ROUNDS=10
MODE="http"

usage() {
    cat <<'HELP'
Usage: load.sh [OPTIONS]

Measures what a load balancer carries.

  --mode http             wrk with 10, 50, 100 and 200 connections; then vegeta at 1000, 2000, 5000 and 10,000
                          requests per second (the default)
  --mode throughput       iperf3 with 10 streams
  --seconds N             seconds of a step (default 30)
  --rounds N              rounds of all steps (default 10)
HELP
    common_help
}

while [[ $# -gt 0 ]]; do
    case "$1" in
        --help) usage; exit 0 ;;
        --mode) MODE="${2:?--mode needs a value}"; shift 2 ;;
        --seconds) SECONDS_EACH="${2:?--seconds needs a number}"; shift 2 ;;
        --rounds) ROUNDS="${2:?--rounds needs a number}"; shift 2 ;;
        *)
            common_option "$@"
            [[ "$TAKEN" -gt 0 ]] || fail "unknown option $1; see --help"
            shift "$TAKEN"
            ;;
    esac
done

http() {
    local clients rate
    for clients in 10 50 100 200; do
        echo "# wrk, $clients connections"
        wrk --threads "$((clients < 10 ? clients : 10))" --connections "$clients" --duration "${SECONDS_EACH}s" \
            --latency "http://$HOST/"
    done
    for rate in 1000 2000 5000 10000; do
        echo "# vegeta, $rate requests per second"
        echo "GET http://$HOST/" | vegeta attack -rate "$rate" -duration "${SECONDS_EACH}s" | vegeta report
    done
}

case "$MODE" in
    http)
        need wrk vegeta
        begin
        serve "$WEB_IMAGE" 80
        for round in $(seq "$ROUNDS"); do
            echo "# round $round"
            http
        done
        ;;
    throughput)
        need iperf3
        # The control connection and the streams of a test must reach the same server.
        REPLICAS=1
        begin
        serve "$IPERF_IMAGE" 5201 --server
        for round in $(seq "$ROUNDS"); do
            echo "# round $round"
            iperf3 --client "$ADDRESS" --parallel 10 --time "$SECONDS_EACH" --json
        done
        ;;
    *) fail "unknown mode $MODE; see --help" ;;
esac
