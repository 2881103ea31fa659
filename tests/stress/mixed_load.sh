#!/bin/sh
# Everything at once against one pgseal: mixed_load.sh PGSEAL
#
# pgbench by the simple and by the extended protocol, and with prepared statements, of two identities with parameters
# of their own, over mutual TLS; clients that reconnect for each transaction, clients that cancel, and a reload every
# second; then SIGTERM. Fails on a report of a
# sanitizer, a crash, and any transaction that failed without having been cancelled by its own client.
# Output is TAP. Environment, with defaults:
#
#   CLIENTS=64          pgbench sessions, a third of them each simple, extended and prepared
#   POOL_SIZE=20        server connections
#   LOAD_SECONDS=20     duration
#   RECONNECTING=4      clients that connect anew for each transaction
#   CANCELLING=4        clients that cancel their queries
set -u
pgseal=$1
clients=${CLIENTS:-64} pool_size=${POOL_SIZE:-20} seconds=${LOAD_SECONDS:-20}
reconnecting=${RECONNECTING:-4} cancelling=${CANCELLING:-4}
srcdir=$(cd "$(dirname "$0")/../.." && pwd)
canceller=$(dirname "$pgseal")/tests/stress/canceller
dir=$(mktemp -d "${TMPDIR:-/tmp}/pgseal-load.XXXXXX") || exit 1
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
	cat "$dir/pgseal.log" >&2 2>/dev/null
	exit 1
}

ulimit -n 8192 2>/dev/null || true
"$srcdir/contrib/demo-pki" "$dir/pki" alice bob || give_up "no certificates"
server_port=$("$srcdir/contrib/demo-postgres" start "$dir/postgres" "$dir/pki" alice) || give_up "no PostgreSQL"
port=$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))

cat >"$dir/pgseal.ini" <<EOF
[pgseal]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir = $dir
client_tls_cert_file = $dir/pki/server.crt
client_tls_key_file = $dir/pki/server.key
client_tls_ca_file = $dir/pki/ca.crt
server_tls_ca_file = $dir/pki/ca.crt
server_tls_cert_file = $dir/pki/pgseal.crt
server_tls_key_file = $dir/pki/pgseal.key
default_pool_size = $pool_size
max_client_conn = 5000
log_connections = 0
log_disconnections = 0
[databases]
app = host=127.0.0.1 port=$server_port dbname=app
[identities]
anybody = cn:/[a-z]+/ roles=alice
EOF

export PGHOST=localhost PGHOSTADDR=127.0.0.1 PGDATABASE=app PGUSER=alice PGSSLMODE=verify-full
export PGSSLROOTCERT="$dir/pki/ca.crt" PGCONNECT_TIMEOUT=60

# Directly, with the pooler's own certificate, so that alice owns the tables.
PGPORT=$server_port PGSSLCERT="$dir/pki/pgseal.crt" PGSSLKEY="$dir/pki/pgseal.key" \
	pgbench -i -q -s 5 >"$dir/init.log" 2>&1 || { cat "$dir/init.log" >&2; give_up "pgbench -i failed"; }

export PGPORT="$port" PGSSLCERT="$dir/pki/alice.crt" PGSSLKEY="$dir/pki/alice.key"
export TSAN_OPTIONS="${TSAN_OPTIONS:-second_deadlock_stack=1}"
export ASAN_OPTIONS="detect_leaks=1 detect_stack_use_after_return=1 ${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1 ${UBSAN_OPTIONS:-}"
"$pgseal" "$dir/pgseal.ini" >"$dir/pgseal.log" 2>&1 &
pid=$!

tries=0
until psql -XqAtc 'SELECT 1' >/dev/null 2>"$dir/psql.log"; do
	tries=$((tries + 1))
	kill -0 "$pid" 2>/dev/null || give_up "pgseal ended at once"
	[ "$tries" -lt 100 ] || { cat "$dir/psql.log" >&2; give_up "pgseal does not answer"; }
	sleep 0.2
done

# bench NAME OPTION...: one pgbench in the background; its status goes to a file
bench() {
	name=$1
	shift
	{
		pgbench -n -T "$seconds" -b select-only@4 -b simple-update@1 "$@" >"$dir/$name.log" 2>&1
		echo $? >"$dir/$name.status"
	} &
	jobs_started="$jobs_started $!"
}

jobs_started=
third=$(((clients + 2) / 3))
bench simple -M simple -c "$third" -j 2
PGOPTIONS="-c work_mem=5MB -c TimeZone=Asia/Tokyo" PGSSLCERT="$dir/pki/bob.crt" PGSSLKEY="$dir/pki/bob.key" \
	bench extended -M extended -c "$third" -j 2
PGSSLCERT="$dir/pki/bob.crt" PGSSLKEY="$dir/pki/bob.key" bench prepared -M prepared -c "$third" -j 2
bench reconnecting -M simple -C -c "$reconnecting" -j 1
i=0
while [ "$i" -lt "$cancelling" ]; do
	i=$((i + 1))
	{
		"$canceller" "" "$seconds" >"$dir/cancel.$i.log" 2>&1
		echo $? >"$dir/cancel.$i.status"
	} &
	jobs_started="$jobs_started $!"
done

# Reload until the load is over.
reloads=0
for job in $jobs_started; do
	while kill -0 "$job" 2>/dev/null; do
		kill -HUP "$pid" 2>/dev/null && reloads=$((reloads + 1))
		sleep 1
	done
	wait "$job"
done

for name in simple extended prepared reconnecting; do
	status=$(cat "$dir/$name.status")
	grep -E '^(number of transactions actually|number of failed|tps|initial connection)' "$dir/$name.log" | sed "s/^/# $name: /"
	if [ "$status" -ne 0 ] || grep -q aborted "$dir/$name.log"; then
		sed 's/^/# /' "$dir/$name.log" | head -n 40
		status=1
	fi
	verdict "$status" "$name: no transaction failed"
done

status=0
for file in "$dir"/cancel.*.status; do
	[ -e "$file" ] || continue
	sed 's/^/# canceller: /' "${file%.status}.log"
	[ "$(cat "$file")" -eq 0 ] || status=1
done
verdict "$status" "cancellers lost nothing but what they cancelled"

kill -0 "$pid" 2>/dev/null
verdict $? "pgseal is alive after $reloads reloads"

kill -TERM "$pid" 2>/dev/null
tries=0
while kill -0 "$pid" 2>/dev/null; do
	tries=$((tries + 1))
	[ "$tries" -ne 600 ] || kill -KILL "$pid"
	sleep 0.1
done
wait "$pid"
status=$?
pid=
verdict "$status" "pgseal ended by SIGTERM with status $status"

grep -E 'Sanitizer|runtime error:|[Aa]ssertion' "$dir/pgseal.log" >"$dir/reports"
[ ! -s "$dir/reports" ]
verdict $? "no report of a sanitizer"
echo "1..$case_number"
[ "$failed" -eq 0 ] || { echo "---- pgseal's log"; tail -n 400 "$dir/pgseal.log"; } >&2
exit $failed
