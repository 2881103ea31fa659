#!/bin/sh
# What contrib/check and .ci/run make of programs that fail, fail once, crash, or are unstable in numbers:
# both run here in a tree of fakes, where "building" takes no time and a test program is a shell script.
srcdir=$(cd "${PGSEAL_SRCDIR:-.}" && pwd)
case_number=0
failed=0
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
build=$scratch/build/check
# what the make that runs this was told is not meant for the fakes
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES TESTS PROGRAMS DRIVERS PGSEAL_BUILD_DIR PGSEAL_BINARY
unset UNSTABLE_MAX JOBS
export PGSEAL_DIES_IN=

verdict() { # status, what
	case_number=$((case_number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $case_number - $2"
	else
		sed 's/^/# /' "$scratch/said"
		echo "not ok $case_number - $2"
		failed=1
	fi
}

# ---- a tree of fakes ----

mkdir -p "$scratch/contrib" "$scratch/.ci" "$scratch/tests/stress" "$build"
cp "$srcdir/contrib/check" "$scratch/contrib/check"
cp "$srcdir/.ci/run" "$scratch/.ci/run"
printf '#!/bin/sh\nexit 0\n' >"$scratch/contrib/install-deps"
printf '#!/bin/sh\ncp "%s/Makefile" .\n' "$scratch" >"$scratch/configure"

# The targets that contrib/check asks for, the real driver behind them.
cat >"$scratch/Makefile" <<END
LOGS = \$(TESTS:=.log)
.PHONY: all check check-drivers distcheck
all distcheck:
check:
	rm -f \$(LOGS)
	\$(MAKE) test-suite.log
test-suite.log: \$(LOGS)
	! grep -E '^:test-result: (FAIL|ERROR)' /dev/null \$(LOGS:.log=.trs)
%.log:
	env AM_TAP_AWK=awk sh '$srcdir/build-aux/tap-driver.sh' --test-name \$* --log-file \$@ \\
		--trs-file \$*.trs --color-tests no --enable-hard-errors yes --expect-failure no -- \\
		sh ./fake \$*
check-drivers:
	@planned=0; \\
	for driver in \$\$DRIVERS pgseal; do \\
		sh ./fake \$\$driver drivers; planned=\$\$((planned + 2)); \\
	done; echo 1..\$\$planned
END

# Two cases each; .runs tells how often it ran. The name says what it does: once_*, for one, fails in
# its second case the first time. What runs beside another program in a repeat fails by its own word.
cat >"$build/fake" <<'END'
echo run >>"$1.runs"
run=$(wc -l <"$1.runs")
case $2 in
drivers) prefix="$1 session: " ;;
*) prefix= && echo 1..2 ;;
esac
case $1$run in
crash_*1 | killed*) kill -KILL $$ ;;
bail1) echo "Bail out! words of $1" && exit 1 ;;
fewer2) prefix="$prefix# SKIP " ;;
esac
[ "$1" != pgseal ] || prefix="pgseal lived, "
echo "ok 1 - ${prefix}first"
mkdir alone 2>/dev/null || [ "$run" -eq 1 ] || echo "not ok 2 - not alone"
[ "$1$run" != raced1 ] || echo "# WARNING: ThreadSanitizer: data race"
case $1$run in
raced1 | once*1 | never* | fewer1 | pgseal"$PGSEAL_DIES_IN") echo "not ok 2 - ${prefix}second" && echo "# words of $1, run $run" ;;
*) echo "ok 2 - ${prefix}second" ;;
esac
rmdir alone 2>/dev/null
exit 0
END

# A mixed load of four cases, and what contrib/check says the nth time it is asked, for .ci/run.
cat >"$scratch/tests/stress/mixed_load.sh" <<END
#!/bin/sh
cd '$scratch' && echo run >>load.runs
case \$(cat load)\$(wc -l <load.runs) in
once1 | never* | fewer1) echo "ok 1 - first"; echo "not ok 2 - words of the load"; exit 1 ;;
killed1) echo "ok 1 - first"; kill -KILL \$\$ ;;
fewer2) echo "ok 1 - first"; exit 0 ;;
esac
echo "ok 1 - first"
echo "ok 2 - second"
END
cat >"$scratch/fake_check" <<END
#!/bin/sh
cd '$scratch' && echo run >>check.runs
said=says.\$(wc -l <check.runs)
[ ! -e "\$said" ] || exec cat "\$said"
echo "10 passed, 0 failed"
END
chmod +x "$scratch/contrib/install-deps" "$scratch/configure" "$scratch/tests/stress/mixed_load.sh" \
	"$scratch/fake_check"

# ---- contrib/check ----

# Test programs, and the drivers if DRIVERS says which; its exit status to $status.
check() { # programs
	rm -f "$build"/*.runs
	TESTS=$1 "$scratch/contrib/check" >"$scratch/said" 2>&1
	status=$?
}

check_drivers() { # drivers
	rm -f "$build"/*.runs
	DRIVERS=$1 "$scratch/contrib/check" >"$scratch/said" 2>&1
	status=$?
}

runs() { # program
	wc -l <"$build/$1.runs"
}

# The lines before the last one that name who is unstable or has failed, the last line, and whether it is a success.
names='^(unstable|failed): '
ends() { # lines, success expected
	printf '%s\n' "$1" >"$scratch/expected"
	# what is named is named there, and nowhere else
	tail -n "$(grep -c . "$scratch/expected")" "$scratch/said" | cmp -s - "$scratch/expected" &&
		[ "$(grep -cE "$names" "$scratch/said")" -eq "$(grep -cE "$names" "$scratch/expected")" ] &&
		if [ "$2" = yes ]; then [ "$status" -eq 0 ]; else [ "$status" -ne 0 ]; fi
}

said() { # words, times
	[ "$(grep -c "$1" "$scratch/said")" -eq "$2" ]
}

check "raced"
ends "failed: raced
1 passed, 1 failed" no && said "is no accident" 1
verdict $? "what a sanitizer has told stays failed"

check "good"
ends "2 passed, 0 failed" yes && [ "$(runs good)" -eq 1 ]
verdict $? "what passes runs once"

check "good once_a"
ends "unstable: once_a (make check)
4 passed, 0 failed" yes && [ "$(runs good)" -eq 1 ] && [ "$(runs once_a)" -eq 2 ]
verdict $? "what fails once is repeated, counted as passed and named"
said "words of once_a, run 1" 1
verdict $? "its first words are kept"

check "good never"
ends "failed: never
3 passed, 1 failed" no && [ "$(runs never)" -eq 2 ]
verdict $? "what fails twice has failed, and no case counts twice"
said "words of never, run 1" 1 && said "words of never, run 2" 1
verdict $? "the words of both times are told"

check "good killed"
[ "$(runs killed)" -eq 2 ] && [ "$status" -ne 0 ] && said '^unstable' 0 && said '^failed: killed$' 1 &&
	tail -n 1 "$scratch/said" | grep -q '^2 passed, [1-9][0-9]* failed$'
verdict $? "what crashes twice without a case has failed"

check "good crash_a"
ends "unstable: crash_a (make check)
4 passed, 0 failed" yes
verdict $? "what crashes once is unstable"

check "good fewer"
ends "failed: fewer
3 passed, 1 failed" no
verdict $? "a repeat that skips what failed is none"

check "once_a once_b good"
ends "unstable: once_a (make check)
unstable: once_b (make check)
6 passed, 0 failed" yes
verdict $? "two unstable programs are accidents, each repeated alone"

check "once_a once_b crash_c"
ends "unstable: crash_c (make check)
unstable: once_a (make check)
unstable: once_b (make check)
6 passed, 1 failed" no
verdict $? "three unstable programs are a failure"

UNSTABLE_MAX=3
export UNSTABLE_MAX
check "once_a once_b crash_c"
tail -n 1 "$scratch/said" | grep -qx "6 passed, 0 failed" && [ "$status" -eq 0 ]
verdict $? "unless the caller counts by himself"
unset UNSTABLE_MAX

check "once_a once_b once_c once_d once_e once_f"
tail -n 7 "$scratch/said" | tr '\n' ' ' | grep -qx "\(failed: once_[a-f] \)\{6\}6 passed, 6 failed " &&
	[ "$status" -ne 0 ] &&  [ "$(runs once_a)" -eq 1 ]
verdict $? "six that fail at once are not repeated"

check "good missing/once"
ends "2 passed, 1 failed" no
verdict $? "a program without any result fails, though no case does"

check "once_a missing/once"
ends "unstable: once_a (make check)
2 passed, 1 failed" no
verdict $? "also beside one that is unstable"

check_drivers "one two"
ends "6 passed, 0 failed" yes && [ "$(runs one)" -eq 1 ]
verdict $? "drivers that pass run once"

check_drivers "one once_a"
ends "unstable: driver once_a (make check-drivers)
6 passed, 0 failed" yes && [ "$(runs one)" -eq 1 ] && [ "$(runs once_a)" -eq 2 ]
verdict $? "a driver that fails once is repeated without the others"
said "======== .*once_a failed" 1
verdict $? "its first words are kept too"

check_drivers "one never"
ends "failed: driver never
5 passed, 1 failed" no && [ "$(runs one)" -eq 1 ] && [ "$(runs never)" -eq 2 ]
verdict $? "a driver that fails twice has failed"

check_drivers "one fewer"
ends "failed: driver fewer
5 passed, 1 failed" no
verdict $? "a driver whose repeat skips what failed has failed"

check_drivers "one crash_a"
ends "unstable: all drivers (make check-drivers)
6 passed, 0 failed" yes && [ "$(runs one)" -eq 2 ]
verdict $? "if cases are missing, all drivers are repeated"

check_drivers "one bail"
ends "unstable: all drivers (make check-drivers)
6 passed, 0 failed" yes && said "Bail out! words of bail" 2
verdict $? "and if they bail out"

PGSEAL_DIES_IN=1
check_drivers "one never"
ends "failed: all drivers
5 passed, 1 failed" no && [ "$(runs one)" -eq 2 ]
verdict $? "and if pgseal dies; then what any of them fails has failed"

PGSEAL_DIES_IN=2
check_drivers "one once_a"
[ "$status" -ne 0 ] && said '^unstable' 0
verdict $? "a driver under which pgseal dies in the repeat has failed"
PGSEAL_DIES_IN=

# ---- .ci/run ----

cp -f "$scratch/fake_check" "$scratch/contrib/check"
ci() { # load: good, once, never, killed or fewer
	rm -f "$scratch"/*.runs
	echo "$1" >"$scratch/load"
	"$scratch/.ci/run" >"$scratch/said" 2>&1
	status=$?
	rm -f "$scratch"/says.*
}

# five runs of contrib/check with 10 cases, two loads with 2, clang and distcheck
ci good
ends "56 passed, 0 failed" yes
verdict $? "a run without trouble counts all of its stages"

ci once
ends "unstable: tests/stress/mixed_load.sh (mixed load under ASan and UBSan)
56 passed, 0 failed" yes
verdict $? "a load that fails once is repeated and named"
said "words of the load" 2
verdict $? "its first words are told at the end once more"

ci killed
ends "unstable: tests/stress/mixed_load.sh (mixed load under ASan and UBSan)
56 passed, 0 failed" yes
verdict $? "a load that dies without saying so has failed, too"

ci never
ends "failed: mixed load under ASan and UBSan
failed: mixed load under TSan
54 passed, 2 failed" no
verdict $? "a load that fails twice has failed"

ci fewer
ends "failed: mixed load under ASan and UBSan
55 passed, 1 failed" no
verdict $? "a load whose repeat leaves out what failed has failed"

printf 'unstable: a (make check)\nunstable: driver b (make check-drivers)\n9 passed, 0 failed\n' >"$scratch/says.1"
ci good
tail -n 3 "$scratch/said" | head -n 2 | tr '\n' ' ' | grep -qx 'unstable: a (check) unstable: driver b (check) ' &&
	tail -n 1 "$scratch/said" | grep -qx "55 passed, 0 failed" && [ "$status" -eq 0 ]
verdict $? "what contrib/check names is named with the stage"

printf 'unstable: a (make check)\n10 passed, 0 failed\n' | tee "$scratch/says.1" >"$scratch/says.4"
ci once
tail -n 1 "$scratch/said" | grep -qx "56 passed, 1 failed" && [ "$status" -ne 0 ] &&
	tail -n 4 "$scratch/said" | grep -qx 'unstable: a (stress under TSan)'
verdict $? "three in all stages together are a failure"

printf 'failed: a\nfailed: driver b\n8 passed, 2 failed\n' >"$scratch/says.2"
echo "0 passed, 1 failed" >"$scratch/says.4"
ci good
cat >"$scratch/expected" <<'END'
failed: a (unit tests and fuzz corpora under ASan and UBSan)
failed: driver b (unit tests and fuzz corpora under ASan and UBSan)
failed: stress under TSan
44 passed, 3 failed
END
tail -n 4 "$scratch/said" | cmp -s - "$scratch/expected" && [ "$status" -ne 0 ]
verdict $? "what failed is named with its stage, or the stage alone"

echo "1..$case_number"
exit $failed
