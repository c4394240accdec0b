#!/bin/bash
# A real Kubernetes 1.34.2 API on loopback only: etcd 3.6.6, the API server, the controller manager, the scheduler, kubectl,
# and one pretended node (kwok 0.7.0), whose pods run no containers: their logs are files, exec runs commands of this machine.
# All of it is built as tool dependencies from the Go module proxy ({kubernetes,etcd,kwok}/go.mod beside this file).
#   kube.sh [start]   build if needed, start with an empty store, print KUBECONFIG, SERVER, tokens ...
#   kube.sh smoke     try what the tests rely on: one line for each thing
#   kube.sh stop      end what start started (by pid)
#   kube.sh build     only what takes minutes: the programs
# Settings (environment): KUBE_ROOT (all state), KUBE_BIN (the programs), KUBE_PORT (this port and the next 6 are used),
#   KUBE_EXEC=0 (no exec: with 1, whoever on this machine reaches the node's port can run commands as you),
#   KUBE_KEEP=1 (keep the store of the last start)
# A test steers pods by labels (stages on top of kwok's own):
#   fake-exit=N      a pod of a Job ends Failed, with exit code N
#   fake-ready=no    a pod stays Pending, so that its rollout never ends
# A pod logs LOG_DIR/default.log (lines in CRI form: 2026-01-02T15:04:05.000000000Z stdout F TEXT), unless an object of kind Logs
#   (kwok.x-k8s.io/v1alpha1) with the pod's namespace and name, or a ClusterLogs with a selector, names another file.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=${KUBE_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/remint-kube}; BIN=${KUBE_BIN:-$ROOT/bin}; PORT=${KUBE_PORT:-16443}
mkdir -p "$ROOT" "$BIN"; ROOT=$(cd "$ROOT" && pwd); BIN=$(cd "$BIN" && pwd)
URL=https://127.0.0.1:$PORT; ETCD=http://127.0.0.1:$((PORT+1)); PEER=http://127.0.0.1:$((PORT+2))
KCM=$((PORT+3)); SCHED=$((PORT+4)); KUBELET=$((PORT+5)); DEAD=$((PORT+6))
export KUBECONFIG=$ROOT/kubeconfig PATH=$BIN:$PATH
log(){ echo "[kube] $*" >&2; }
alive(){ # pidfile, word in the command line
  [ -s "$1" ] && local p && p=$(cat "$1") && [ -r "/proc/$p/cmdline" ] && tr '\0' ' ' <"/proc/$p/cmdline" | grep -q -- "$2"; }
endpid(){ alive "$1" "$2" || { rm -f "$1"; return 0; }; local p; p=$(cat "$1"); kill -TERM "$p"
  for _ in $(seq 1 60); do kill -0 "$p" 2>/dev/null || break; sleep .25; done
  if kill -0 "$p" 2>/dev/null; then kill -KILL "$p"; fi; rm -f "$1"; log "ended $2 pid $p"; }
run(){ # name, command ...: one background server, its pid and log under ROOT
  local n=$1; shift; alive "$ROOT/$n.pid" "$n" && return 0
  setsid nohup "$@" >"$ROOT/log/$n.log" 2>&1 </dev/null & echo $! >"$ROOT/$n.pid"; }
until_ok(){ # seconds, server that must stay alive, command ...
  local n=$(($1*5)) s=$2; shift 2
  for _ in $(seq 1 "$n"); do "$@" >/dev/null 2>&1 && return 0; alive "$ROOT/$s.pid" "$s" || break; sleep .2; done
  log "not ready: $*"; tail -5 "$ROOT/log/$s.log" >&2; return 1; }
k(){ timeout 60 kubectl --request-timeout=20s "$@"; }

need(){ # commands, each a Debian package of the same name: what is missing is installed
  local c miss=()
  for c in "$@"; do command -v "$c" >/dev/null || miss+=("$c"); done
  [ ${#miss[@]} -gt 0 ] || return 0
  log "apt-get install ${miss[*]}"
  apt-get update -qq >&2; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${miss[@]}" >/dev/null; }

build(){
  need curl jq openssl
  local v=k8s.io/component-base/version c want=()
  for c in kube-apiserver kube-controller-manager kube-scheduler kubectl; do [ -x "$BIN/$c" ] || want+=("k8s.io/kubernetes/cmd/$c"); done
  if [ ${#want[@]} -gt 0 ]; then log "building ${want[*]##*/} (all four: 4 to 8 min on 2 cores, cold)"
    (cd "$HERE/kubernetes" && CGO_ENABLED=0 timeout 1800 go build -trimpath \
      -ldflags "-s -w -X $v.gitVersion=v1.34.2 -X $v.gitMajor=1 -X $v.gitMinor=34" -o "$BIN/" "${want[@]}"); fi
  if [ ! -x "$BIN/etcd" ]; then log "building etcd"
    (cd "$HERE/etcd" && CGO_ENABLED=0 timeout 900 go build -trimpath -ldflags '-s -w' -o "$BIN/etcd" go.etcd.io/etcd/server/v3); fi
  if [ ! -x "$BIN/kwok" ]; then log "building kwok"
    (cd "$HERE/kwok" && CGO_ENABLED=0 timeout 900 go build -trimpath -ldflags '-s -w' -o "$BIN/kwok" sigs.k8s.io/kwok/cmd/kwok); fi
}
kwokdir(){ (cd "$HERE/kwok" && timeout 300 go mod download sigs.k8s.io/kwok && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok); }

keys(){ # one self-signed certificate for API server and fake kubelet, a service account key, two static tokens
  mkdir -p "$ROOT/pki"; cd "$ROOT/pki"
  [ -s server.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=kube-loopback \
      -addext 'subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc' -keyout server.key -out server.crt 2>/dev/null
  [ -s sa.key ] || openssl genrsa -out sa.key 2048 2>/dev/null
  [ -s admin.token ] || openssl rand -hex 20 >admin.token
  [ -s rotator.token ] || openssl rand -hex 20 >rotator.token
  printf '%s,admin,admin,system:masters\n%s,rotator,rotator\n' "$(cat admin.token)" "$(cat rotator.token)" >tokens.csv
  cat >"$KUBECONFIG" <<K
apiVersion: v1
kind: Config
clusters: [{name: loop, cluster: {server: "$URL", certificate-authority: $ROOT/pki/server.crt}}]
users: [{name: admin, user: {token: $(cat admin.token)}}, {name: rotator, user: {token: $(cat rotator.token)}}]
contexts: [{name: admin, context: {cluster: loop, user: admin}}, {name: rotator, context: {cluster: loop, user: rotator}}]
current-context: admin
K
}

start(){
  umask 077; build; mkdir -p "$ROOT/log" "$ROOT/logs" "$ROOT/exec"; keys; cd "$ROOT"
  local kw; kw=$(kwokdir)
  if ! alive etcd.pid etcd && [ "${KUBE_KEEP:-0}" != 1 ]; then rm -rf "$ROOT/etcd"; fi
  run etcd "$BIN/etcd" --data-dir "$ROOT/etcd" --unsafe-no-fsync --listen-client-urls $ETCD --advertise-client-urls $ETCD \
      --listen-peer-urls $PEER --initial-advertise-peer-urls $PEER --initial-cluster default=$PEER
  until_ok 60 etcd curl -fsS -m 2 $ETCD/health
  # ServiceAccount would demand a token volume in every pod; TaintNodesByCondition would keep the fake node not-ready.
  run kube-apiserver "$BIN/kube-apiserver" --etcd-servers=$ETCD --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$PORT" \
      --tls-cert-file=pki/server.crt --tls-private-key-file=pki/server.key --kubelet-preferred-address-types=InternalIP \
      --service-account-key-file=pki/sa.key --service-account-signing-key-file=pki/sa.key --service-account-issuer=https://kubernetes.default.svc \
      --token-auth-file=pki/tokens.csv --authorization-mode=RBAC --service-cluster-ip-range=10.0.0.0/24 \
      --endpoint-reconciler-type=none --disable-admission-plugins=ServiceAccount,TaintNodesByCondition
  until_ok 90 kube-apiserver kubectl --request-timeout=2s get --raw /readyz
  run kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$KUBECONFIG" --service-account-private-key-file=pki/sa.key \
      --leader-elect=false --bind-address=127.0.0.1 --secure-port=$KCM --cert-dir=pki/kcm \
      --controllers=deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,job-controller,cronjob-controller,serviceaccount-controller,namespace-controller,garbage-collector-controller
  run kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$KUBECONFIG" --leader-elect=false --bind-address=127.0.0.1 --secure-port=$SCHED --cert-dir=pki/sched
  # kwok's objects live in the API (CRDs), so a test can add stages, log files and exec rules by itself
  k apply --server-side -f "$kw/kustomize/crd/bases" >/dev/null
  k wait --for=condition=established --timeout=30s crd -l '!none' >/dev/null
  run kwok "$BIN/kwok" --kubeconfig="$KUBECONFIG" --manage-all-nodes=true --node-ip=127.0.0.1 --node-port=$KUBELET --server-address=127.0.0.1:$KUBELET \
      --tls-cert-file="$ROOT/pki/server.crt" --tls-private-key-file="$ROOT/pki/server.key" --enable-crds=Stage,Logs,ClusterLogs,Exec,ClusterExec
  stages "$kw"
  until_ok 30 kwok k wait --for=condition=Ready --timeout=1s node/fake-0
  cat >"$ROOT/env" <<V
KUBECONFIG=$KUBECONFIG
SERVER=$URL
CA_FILE=$ROOT/pki/server.crt
ADMIN_TOKEN=$(cat pki/admin.token)
ROTATOR_TOKEN=$(cat pki/rotator.token)
KUBECTL=$BIN/kubectl
LOG_DIR=$ROOT/logs
DEAD_PORT=$DEAD
V
  cat "$ROOT/env"
}
stages(){ # kwok's own stages for nodes and pods, with our two labels cut out of them, and ours
  local kw=$1 f; [ -s "$ROOT/logs/default.log" ] || echo "$(date -u +%FT%T.%NZ) stdout F fake pod log" >"$ROOT/logs/default.log"
  for f in "$kw"/kustomize/stage/{node,pod}/fast/{node,pod}-*.yaml; do
    [ ! -e "$f" ] || case $f in
      *pod-ready*) k create -f "$f" --dry-run=client -o json | jq '.spec.selector.matchExpressions+=[{key:".metadata.labels[\"fake-ready\"]",operator:"DoesNotExist"}]' ;;
      *pod-complete*) k create -f "$f" --dry-run=client -o json | jq '.spec.selector.matchExpressions+=[{key:".metadata.labels[\"fake-exit\"]",operator:"DoesNotExist"}]' ;;
      *) cat "$f"; echo ---; continue ;;
    esac; echo ---; done | k apply -f - >/dev/null
  { cat <<Y
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-fail}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: '.metadata.deletionTimestamp', operator: DoesNotExist}
    - {key: '.metadata.labels["fake-exit"]', operator: Exists}
    - {key: '.status.phase', operator: In, values: [Running]}
  next:
    statusTemplate: |
      phase: Failed
      containerStatuses:
      {{ \$exit := index .metadata.labels "fake-exit" }}
      {{ range .spec.containers }}
      - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: false, started: false, restartCount: 0, state: {terminated: {exitCode: {{ \$exit }}, reason: Error, startedAt: {{ Now | Quote }}, finishedAt: {{ Now | Quote }}}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata: {name: all}
spec: {logs: [{logsFile: $ROOT/logs/default.log, follow: true}]}
---
apiVersion: v1
kind: Node
metadata: {name: fake-0, labels: {type: kwok, kubernetes.io/hostname: fake-0, kubernetes.io/os: linux}, annotations: {kwok.x-k8s.io/node: fake}}
status: {allocatable: {cpu: "32", memory: 256Gi, pods: "110"}, capacity: {cpu: "32", memory: 256Gi, pods: "110"}}
---
Y
    [ "${KUBE_EXEC:-1}" != 1 ] || cat <<Y
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterExec
metadata: {name: all}
spec: {execs: [{local: {workDir: $ROOT/exec, envs: [{name: FAKE_POD, value: "1"}]}}]}
Y
  } | k apply -f - >/dev/null
}

bad=0
check(){ # text, expected pattern, output
  if grep -qE -- "$2" <<<"$3"; then echo "ok   $1"; else echo "FAIL $1: want $2, got: $3"; bad=$((bad+1)); fi; }
smoke(){
  local n o rv; n=smoke-$(openssl rand -hex 4); k create namespace "$n" >/dev/null
  K(){ k -n "$n" "$@" 2>&1 || true; }
  wait_for(){ timeout 60 kubectl -n "$n" wait --timeout=30s "$@" 2>&1 || true; }
  # Secret, optimistic locking
  o=$(printf '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"TOKEN":"b25l"}}' | K create -f -); check 'Secret created' created "$o"
  rv=$(K get secret s -o 'jsonpath={.metadata.resourceVersion}')
  o=$(K patch secret s --type=merge -p "{\"metadata\":{\"resourceVersion\":\"$rv\"},\"data\":{\"TOKEN\":\"dHdv\"}}"); check 'patch, current resourceVersion' patched "$o"
  o=$(K patch secret s --type=merge -p "{\"metadata\":{\"resourceVersion\":\"$rv\"},\"data\":{\"TOKEN\":\"dGhyZWU=\"}}"); check 'patch, stale resourceVersion: Conflict' 'Conflict|object has been modified' "$o"
  # RBAC of the low-privilege user: nothing, then one Secret by name
  o=$(K --context=rotator get secret s); check 'rotator without role: 403' 'Forbidden.*cannot get resource "secrets"' "$o"
  K create role one --verb=get,patch,update --resource=secrets --resource-name=s >/dev/null; K create rolebinding one --role=one --user=rotator >/dev/null
  o=$(K --context=rotator get secret s -o name); check 'rotator with role: get' '^secret/s$' "$o"
  o=$(K --context=rotator get secrets); check 'rotator: list still 403' 'Forbidden.*cannot list' "$o"
  o=$(curl -sS -m 10 --cacert "$ROOT/pki/server.crt" -H 'Authorization: Bearer wrong' "$URL/api/v1/namespaces/$n/secrets/s" -w ' %{http_code}'); check 'wrong token: 401' ' 401$' "$o"
  # Jobs from a CronJob: one completes, one fails
  local c; for c in good bad; do
    jq -n --arg c $c '{apiVersion:"batch/v1",kind:"CronJob",metadata:{name:$c},spec:{schedule:"0 0 1 1 *",suspend:true,jobTemplate:{spec:{backoffLimit:0,template:{
      metadata:{labels:(if $c=="bad" then {"fake-exit":"3"} else {} end)},spec:{restartPolicy:"Never",containers:[{name:"c",image:"none"}]}}}}}}' | K apply -f - >/dev/null
    K create job --from=cronjob/$c $c-1 >/dev/null; done
  o=$(wait_for --for=condition=complete job/good-1); check 'Job from CronJob: Complete' 'condition met' "$o"
  o=$(wait_for --for=condition=failed job/bad-1); check 'Job with fake-exit=3: Failed' 'condition met' "$o"
  o=$(K get pods -l job-name=bad-1 -o 'jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}'); check 'its exit code is 3' '^3$' "$o"
  # Deployment: first rollout, restart, a rollout that never completes
  K create deployment d --image=none --replicas=2 >/dev/null
  roll(){ timeout 60 kubectl -n "$n" rollout status deployment/d --timeout="${1:-30s}" 2>&1 || true; }
  o=$(roll); check 'Deployment rolled out' 'successfully rolled out' "$o"
  K rollout restart deployment/d >/dev/null; o=$(roll); check 'restart rolled out' 'successfully rolled out' "$o"
  o=$(K get deployment d -o 'jsonpath={.metadata.generation}/{.status.observedGeneration}/{.status.updatedReplicas}'); check 'generation 2 observed, 2 updated' '^2/2/2$' "$o"
  # logs and exec through the API server (as kubectl logs / exec)
  local p; p=$(K get pods -l app=d -o 'jsonpath={.items[0].metadata.name}')
  o=$(K logs "$p"); check 'pod logs from the default file' 'fake pod log' "$o"
  printf '%s stdout F login ok\n%s stderr F token=bad\n' "$(date -u +%FT%T.%NZ)" "$(date -u +%FT%T.%NZ)" >"$ROOT/logs/$n.log"
  jq -n --arg n "$n" --arg p "$p" --arg f "$ROOT/logs/$n.log" '{apiVersion:"kwok.x-k8s.io/v1alpha1",kind:"Logs",metadata:{namespace:$n,name:$p},spec:{logs:[{containers:["none"],logsFile:$f}]}}' | K apply -f - >/dev/null
  for _ in $(seq 1 25); do o=$(K logs "$p" --tail=5); grep -q 'login ok' <<<"$o" && break; sleep .2; done; check 'pod logs from a file of its own' 'login ok' "$o"
  if [ "${KUBE_EXEC:-1}" = 1 ]; then
    o=$(K exec "$p" -- sh -c 'echo "$FAKE_POD:$((6*7))"'); check 'exec of a local command' '^1:42$' "$o"
    o=$(echo via-stdin | K exec -i "$p" -- sh -c 'read -r x; echo "$x"'); check 'exec -i with standard input' '^via-stdin$' "$o" # its end is not passed on: cat would hang
    o=$(K exec "$p" -- sh -c 'exit 3'); check 'exec of a failing command is an error' 'exit status 3' "$o"; fi # kwok answers InternalError, not an exit code
  K patch deployment d --type=merge -p '{"spec":{"progressDeadlineSeconds":3,"template":{"metadata":{"labels":{"fake-ready":"no"}}}}}' >/dev/null
  o=$(roll 20s); check 'fake-ready=no: rollout fails' 'exceeded its progress deadline' "$o"
  timeout 60 kubectl delete namespace "$n" --timeout=45s >/dev/null && echo 'ok   namespace deleted' || { echo 'FAIL namespace delete'; bad=$((bad+1)); }
  rm -f "$ROOT/logs/$n.log"; [ $bad = 0 ]
}

case ${1:-start} in
  start) start ;;
  build) build ;;
  smoke) smoke ;;
  stop) for s in kwok kube-scheduler kube-controller-manager kube-apiserver etcd; do endpid "$ROOT/$s.pid" "$s"; done ;;
  *) echo "start|build|smoke|stop" >&2; exit 2 ;;
esac
