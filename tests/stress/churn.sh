#!/bin/sh
# Clients that come and go: churn.sh PGSEAL
#
# Connects, asks and leaves, over and over, by many clients at once; then thousands come to stay idle
# and leave. Fails when a client is lost, when descriptors are left behind, when the second half of
# the churn leaves more memory in use than the first, or when most of the crowd's memory is not given
# back. Output is TAP. Needs `make tests/bench/load` in the build directory of PGSEAL. Environment, with
# defaults:
#
#   CHURN_SECONDS=60    duration of the coming and going; a long run: 600
#   CHURN_CLIENTS=50    at once
#   CROWD=5000          clients that stay for a moment
set -u
pgseal=$1
seconds=${CHURN_SECONDS:-60} clients=${CHURN_CLIENTS:-50} crowd=${CROWD:-5000}
srcdir=$(cd "$(dirname "$0")/../.." && pwd)
load=$(dirname "$pgseal")/tests/bench/load
dir=$(mktemp -d "${TMPDIR:-/tmp}/pgseal-churn.XXXXXX") || exit 1
chmod 755 "$dir"
pid=
case_number=0
failed=0

verdict() { # status, what
	case_number=$((case_number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $case_number - $2"
	else
		echo "not ok $case_number - $2"
		failed=1
	fi
}

cleanup() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	"$srcdir/contrib/demo-postgres" stop "$dir/postgres"
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

give_up() {
	echo "Bail out! $1"
	tail -n 50 "$dir/pgseal.log" >&2 2>/dev/null
	exit 1
}

# ---- what pgseal holds ----

descriptors() {
	ls "/proc/$pid/fd" | wc -l
}

memory_kb() {
	awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"
}

# settle MOST: wait until there are at most so many descriptors; prints how many there are.
settle() {
	tries=0
	while [ "$(descriptors)" -gt "$1" ] && [ "$tries" -lt 100 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	descriptors
}

# ---- the run ----

[ -x "$load" ] || give_up "no $load: make tests/bench/load"
ulimit -n "$((crowd + 1000))" 2>/dev/null || crowd=500
"$srcdir/contrib/demo-pki" "$dir/pki" alice || give_up "no certificates"
server_port=$("$srcdir/contrib/demo-postgres" start "$dir/postgres" "$dir/pki" alice) || give_up "no PostgreSQL"
port=$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))

cat >"$dir/pgseal.ini" <<END
[pgseal]
listen_addr = 127.0.0.1
listen_port = $port
listen_backlog = 4096
client_tls_cert_file = $dir/pki/server.crt
client_tls_key_file = $dir/pki/server.key
client_tls_ca_file = $dir/pki/ca.crt
server_tls_ca_file = $dir/pki/ca.crt
server_tls_cert_file = $dir/pki/pgseal.crt
server_tls_key_file = $dir/pki/pgseal.key
default_pool_size = 10
max_client_conn = 100000
log_connections = 0
log_disconnections = 0
[databases]
app = host=127.0.0.1 port=$server_port dbname=app
END

"$pgseal" "$dir/pgseal.ini" >"$dir/pgseal.log" 2>&1 &
pid=$!

# run WHAT MODE CLIENTS SECONDS: one load, and what pgseal holds behind it
run() {
	"$load" -m "$2" -P "$port" -k "$dir/pki" -p "$pid" -c "$3" -t "$4" >"$dir/load.out" 2>"$dir/load.err"
	status=$?
	sed 's/^/# /' "$dir/load.err"
	verdict "$status" "$1: no client was lost"
	# descriptors of before: $5, when given
	[ -z "${5:-}" ] || {
		left=$(settle "$5")
		[ "$left" -le "$5" ]
		verdict $? "$1: $left descriptors are open, $5 were before"
	}
}

tries=0
until "$load" -m idle -P "$port" -k "$dir/pki" -c 1 -t 0 >/dev/null 2>&1; do
	tries=$((tries + 1))
	kill -0 "$pid" 2>/dev/null || give_up "pgseal ended at once"
	[ "$tries" -lt 100 ] || give_up "pgseal does not answer"
	sleep 0.2
done

# The servers, caches and buffers that stay are made first.
half=$(((seconds + 1) / 2))
run "warming up" connect "$clients" 2
before=$(descriptors)
run "first half" connect "$clients" "$half" "$before"
first=$(memory_kb)
echo "# $(cut -f1 "$dir/load.out") connections in $half s, $first kB in use"
run "second half" connect "$clients" "$half" "$before"
second=$(memory_kb)
echo "# $(cut -f1 "$dir/load.out") connections in $half s, $second kB in use"
[ "$second" -le $((first + first / 20 + 1024)) ]
verdict $? "memory does not grow: $first kB, then $second kB"

run "a crowd of $crowd" idle "$crowd" 1 "$before"
during=$(cut -f9 "$dir/load.out")
behind=$(memory_kb)
echo "# $crowd clients: $second kB before, $during kB with them, $behind kB behind them"
[ $(((behind - second) * 2)) -lt $((during - second)) ]
verdict $? "most of the crowd's memory is given back"

kill -TERM "$pid"
wait "$pid"
status=$?
pid=
verdict "$status" "pgseal ended by SIGTERM with status $status"
echo "1..$case_number"
[ "$failed" -eq 0 ] || tail -n 100 "$dir/pgseal.log" >&2
exit $failed
