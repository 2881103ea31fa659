#!/bin/sh
# DISCARD ALL takes a snapshot, and so may wait for transactions of others for as long as they last.
#
# Package: postgresql-15 15.20-0+deb12u1 (Debian 12); pgseal has no part in it.
#
# A client may make SERIALIZABLE, READ ONLY, DEFERRABLE the defaults of its session. The first
# snapshot in such a transaction waits until the serializable transactions that were open and may
# write have ended. With a pooler the session goes to the next client, and what is sent in between
# is in a transaction of those defaults as well: DISCARD ALL and the usual SELECT 1 wait, for a
# client that may never end its transaction. RESET ALL needs no snapshot. If it goes first, in a
# transaction that says what it is (so that nothing else in it can wait either), DISCARD ALL goes
# through.
#
# Seen:
#
#   nothing else is open:
#     goes through: DISCARD ALL
#   a serializable transaction is open elsewhere:
#     waits for SafeSnapshot in "DISCARD ALL": DISCARD ALL
#     waits for SafeSnapshot in "SELECT 1": SELECT 1
#     goes through: RESET ALL
#     goes through: BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE / SELECT 1 / RESET ALL /
#         COMMIT / DISCARD ALL
#     waits for SafeSnapshot in "SELECT 1": BEGIN / SELECT 1 / RESET ALL / COMMIT / DISCARD ALL
#   it has ended:
#     goes through: DISCARD ALL
# shellcheck source=findings/lib/postgres.sh
. "$(dirname "$0")/lib/postgres.sh"

# A session of such defaults in the background. It cannot hang: RESET ALL keeps a timeout that was
# given at the start.
session() { # statement ...
	words=
	for statement; do
		words="${words:+$words / }$statement"
		set -- "$@" -c "$statement"
		shift
	done
	PGAPPNAME=pooled PGOPTIONS='-c statement_timeout=60s' "$bin/psql" -Xq -v ON_ERROR_STOP=1 \
		-c "SET default_transaction_isolation = serializable" \
		-c "SET default_transaction_read_only = on" \
		-c "SET default_transaction_deferrable = on" "$@" >answer 2>&1 &
	helpers="$writer $!"
}

# Which statement of it waits? What is found waiting is cancelled; found stays empty when the
# session has ended by itself.
where_it_waits() { # process
	while [ -z "$found" ] && kill -0 "$1" 2>/dev/null; do
		found=$(ask "SELECT 'waits for ' || wait_event || ' in \"' || query || '\"'
			FROM pg_stat_activity
			WHERE application_name = 'pooled' AND wait_event = 'SafeSnapshot'")
	done
	[ -z "$found" ] || ask "SELECT pg_cancel_backend(pid)
		FROM pg_stat_activity WHERE application_name = 'pooled'" >said
}

expect() { # what is to be seen, statement ...
	wanted=$1 found=
	shift
	session "$@"
	pid=$!
	where_it_waits "$pid"
	if wait "$pid"; then
		found="${found:+$found, but ends well}"
		found=${found:-goes through}
	elif [ -z "$found" ]; then
		found="fails: $(head -n 1 answer)"
	fi
	helpers=$writer
	echo "  $found: $words"
	[ "$found" = "$wanted" ] || { changed=1; echo "  CHANGED, it was: $wanted"; }
}

writer=
echo "nothing else is open:"
expect "goes through" "DISCARD ALL"

mkfifo orders
PGAPPNAME=writer "$bin/psql" -Xq <orders >/dev/null &
writer=$!
helpers=$writer
exec 3>orders
echo "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1;" >&3
until [ "$(ask "SELECT state, query FROM pg_stat_activity WHERE application_name = 'writer'")" = \
	"idle in transaction|SELECT 1;" ]; do
	kill -0 "$writer" || give_up "the other transaction"
done

echo "a serializable transaction is open elsewhere:"
expect 'waits for SafeSnapshot in "DISCARD ALL"' "DISCARD ALL"
expect 'waits for SafeSnapshot in "SELECT 1"' "SELECT 1"
expect "goes through" "RESET ALL"
expect "goes through" "BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE" "SELECT 1" "RESET ALL" \
	"COMMIT" "DISCARD ALL"
expect 'waits for SafeSnapshot in "SELECT 1"' "BEGIN" "SELECT 1" "RESET ALL" "COMMIT" "DISCARD ALL"

echo "COMMIT;" >&3
exec 3>&-
wait "$writer" || give_up "the end of the other transaction"
writer=
helpers=
echo "it has ended:"
expect "goes through" "DISCARD ALL"
exit $changed
