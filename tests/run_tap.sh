#!/bin/sh
# Run one test program so that its outcome is TAP on standard output: run_tap.sh PROGRAM [ARGUMENT...]
# The exit status is that of the program unless its TAP tells of the failure already.
#
# test_*    criterion; its TAP goes through a file, so that what a test prints cannot spoil it
# fuzz_*    one case: its whole corpus replayed
# others    one case: the exit status (77: skipped)
program=$1
shift
name=$(basename "$program")
corpus=${PGSEAL_SRCDIR:-.}/tests/fuzz/corpus/${name#fuzz_}

one_case() {
	"$@" >&2
	status=$?
	echo 1..1
	case $status in
	0) echo "ok 1 - $name" ;;
	77) echo "ok 1 - $name # SKIP" ;;
	*) echo "not ok 1 - $name (exit status $status)" ;;
	esac
	exit 0
}

case $name in
test_*)
	report=$(mktemp) || exit 99
	trap 'rm -f "$report"' EXIT
	"$program" --tap="$report" "$@" >&2
	status=$?
	cat "$report"
	! grep -q '^not ok' "$report" || status=0
	exit "$status"
	;;
fuzz_*)
	if "$program" -help=1 2>&1 | grep -q 'libFuzzer'; then
		one_case "$program" -runs=0 "$corpus"
	fi
	one_case "$program" "$corpus" "$@"
	;;
*)
	one_case "$program" "$@"
	;;
esac
