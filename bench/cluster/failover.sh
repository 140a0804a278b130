#!/usr/bin/env bash
# Requests that fail while a node leaves, and the time until they succeed again.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

RATE=500
BEFORE=10
AFTER=90
EVENT=""

usage() {
    cat <<'HELP'
Usage: failover.sh --event COMMAND [OPTIONS]

Sends requests at a fixed rate, each on a connection of its own, runs COMMAND, and prints how many failed, the time
from the first failure to the last one, and the availability. COMMAND is yours: it decides what fails, for example

  --event 'kubectl drain NODE --ignore-daemonsets --delete-emptydir-data'
  --event 'ssh NODE sudo systemctl poweroff --force --force'
  --event 'kubectl delete pod --namespace metallb-system --selector component=speaker --field-selector spec.nodeName=NODE'

Repair the node before the next run: the script does not.

  --event COMMAND         what happens; run by a shell
  --rate N                requests per second (default 500)
  --before N              seconds before the event (default 10)
  --after N               seconds after it (default 90)
HELP
    common_help
}

while [[ $# -gt 0 ]]; do
    case "$1" in
        --help) usage; exit 0 ;;
        --event) EVENT="${2:?--event needs a command}"; shift 2 ;;
        --rate) RATE="${2:?--rate needs a number}"; shift 2 ;;
        --before) BEFORE="${2:?--before needs a number}"; shift 2 ;;
        --after) AFTER="${2:?--after needs a number}"; shift 2 ;;
        *)
            common_option "$@"
            [[ "$TAKEN" -gt 0 ]] || fail "unknown option $1; see --help"
            shift "$TAKEN"
            ;;
    esac
done

[[ -n "$EVENT" ]] || fail "--event is missing; see --help"
need vegeta jq
begin
serve "$WEB_IMAGE" 80
RESULTS="$(mktemp)"
ATTACK=""
finish() {
    [[ -z "$ATTACK" ]] || kill "$ATTACK" 2>/dev/null || true
    rm -f "$RESULTS"
    remove
}
trap finish EXIT
echo "GET http://$HOST/" | vegeta attack -rate "$RATE" -duration "$((BEFORE + AFTER))s" -timeout 1s -keepalive=false \
    -output "$RESULTS" &
ATTACK=$!
sleep "$BEFORE"
echo "# $(date --utc +%T.%3N) event: $EVENT"
bash -c "$EVENT" >&2 || echo "# the event's command failed"
wait "$ATTACK"
ATTACK=""
vegeta report "$RESULTS"
# The time of a failed request is when it was sent.
vegeta encode --to json "$RESULTS" | jq --slurp --raw-output '
    def seconds: sub("\\.[0-9]+"; "") | sub("[+-][0-9:]+$"; "Z") | fromdateiso8601;
    def fraction: (capture("\\.(?<part>[0-9]+)").part // "0") | "0." + . | tonumber;
    [.[] | select(.code != 200) | .timestamp | seconds + fraction] as $failed
    | "requests \(length), failed \($failed | length), " +
      "from the first failure to the last \(if $failed == [] then 0 else ($failed | max) - ($failed | min) end) s, " +
      "availability \(100 * (1 - ($failed | length) / length)) %"'
