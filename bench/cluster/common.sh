# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this file use its variables
# What the scripts of this directory share: a namespace of their own with a Service and a client, removed at
# the end. Sourced, not run.

set -euo pipefail

readonly NAMESPACE="${FAIRLEAD_BENCH_NAMESPACE:-fairlead-bench-$$}"
readonly WEB_IMAGE="${FAIRLEAD_BENCH_WEB_IMAGE:-nginx:stable}"
readonly IPERF_IMAGE="${FAIRLEAD_BENCH_IPERF_IMAGE:-networkstatic/iperf3:latest}"
POLICY="Local"
REPLICAS=6
CLASS=""

# Prints options that all scripts have.
common_help() {
    cat <<'HELP'
  --policy Local|Cluster  externalTrafficPolicy of the Service (default Local)
  --replicas N            pods behind the Service (default 6)
  --class NAME            loadBalancerClass of the Service: which load balancer serves it, where two run side by
                          side (default: none)
  --help                  this text

The script creates the namespace FAIRLEAD_BENCH_NAMESPACE (default fairlead-bench-PID), and removes it at the end.
It refuses a namespace that exists. FAIRLEAD_BENCH_WEB_IMAGE and FAIRLEAD_BENCH_IPERF_IMAGE name other images.
Run it on a machine outside the cluster that reaches the addresses of the pool: a client in the cluster does not
take the way of real clients.
HELP
}

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || fail "$program is not installed"
    done
}

# Takes a common option: sets TAKEN to the number of arguments that it used, 0 for an unknown one.
common_option() {
    TAKEN=2
    case "$1" in
        --policy) POLICY="${2:?--policy needs a value}" ;;
        --replicas) REPLICAS="${2:?--replicas needs a number}" ;;
        --class) CLASS="${2:?--class needs a name}" ;;
        *) TAKEN=0 ;;
    esac
}

remove() {
    kubectl delete namespace "$NAMESPACE" --wait=false >/dev/null || true
}

# Creates the namespace; what is in it goes with it, also when the script fails or is interrupted.
begin() {
    need kubectl
    if kubectl get namespace "$NAMESPACE" >/dev/null 2>&1; then
        fail "namespace $NAMESPACE exists: name another one in FAIRLEAD_BENCH_NAMESPACE"
    fi
    kubectl create namespace "$NAMESPACE" >&2
    trap remove EXIT
    echo "# $(date --utc +%FT%TZ), policy $POLICY, $REPLICAS pods, class ${CLASS:-(default)}"
    kubectl get nodes -o wide | sed 's/^/# /'
}

# Creates a Deployment and its Service: IMAGE PORT [ARGUMENT...]. Sets ADDRESS.
serve() {
    local image="$1" port="$2" args="" class=""
    shift 2
    [[ $# -eq 0 ]] || args="args: [$(printf '"%s",' "$@")]"
    [[ -z "$CLASS" ]] || class="loadBalancerClass: $CLASS"
    kubectl apply --namespace "$NAMESPACE" --filename - >&2 <<MANIFEST
apiVersion: apps/v1
kind: Deployment
metadata: { name: server }
spec:
  replicas: $REPLICAS
  selector: { matchLabels: { app: server } }
  template:
    metadata: { labels: { app: server } }
    spec:
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: { matchLabels: { app: server } }
      containers:
        - name: server
          image: $image
          $args
          ports: [{ containerPort: $port }]
          readinessProbe: { tcpSocket: { port: $port }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: server }
spec:
  type: LoadBalancer
  externalTrafficPolicy: $POLICY
  $class
  selector: { app: server }
  ports: [{ port: $port, protocol: TCP }]
MANIFEST
    kubectl rollout status --namespace "$NAMESPACE" deployment/server --timeout=180s >&2
    local second
    for second in $(seq 60); do
        ADDRESS="$(kubectl get service server --namespace "$NAMESPACE" \
            --output 'jsonpath={.status.loadBalancer.ingress[0].ip}')"
        [[ -z "$ADDRESS" ]] || break
        [[ "$second" -lt 60 ]] || fail "the Service got no address in 60 s: see 'kubectl describe service'"
        sleep 1
    done
    # An IPv6 address stands in brackets in a URL.
    HOST="$ADDRESS"
    [[ "$ADDRESS" != *:* ]] || HOST="[$ADDRESS]"
    for second in $(seq 60); do
        if timeout 1 bash -c "exec 3<>'/dev/tcp/$ADDRESS/$port'" 2>/dev/null; then
            echo "# address $ADDRESS, port $port"
            return
        fi
        sleep 1
    done
    fail "$ADDRESS does not answer on port $port within 60 s"
}
