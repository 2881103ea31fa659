#!/bin/sh
# What must be true of the tree itself: nothing names the machine it was made on, and what is
# generated from the settings table is up to date.
srcdir=${PGSEAL_SRCDIR:-.}
binary=${PGSEAL_BINARY:-./pgseal}
case_number=0
failed=0
verdict() {
	case_number=$((case_number + 1))
	echo "$1 $case_number - $2"
	[ "$1" = ok ] || failed=1
}

# The files that are ours: those that git does not ignore, else (a release tarball) all.
files() {
	git -C "$srcdir" ls-files --cached --others --exclude-standard 2>/dev/null | grep . ||
		(cd "$srcdir" && find COPYING ./*.md ./*.ac ./*.am contrib etc include man src tests -type f)
}

# A home directory or a build directory of somebody's; [e] keeps this line from finding itself.
none_has() { # what, pattern
	found=$(files | grep -v 'tests/fuzz/corpus/' | (cd "$srcdir" && xargs grep -IlE "$2" 2>/dev/null))
	if [ -z "$found" ]; then
		verdict ok "$1"
	else
		printf '%s\n' "$found" | sed 's/^/# /'
		verdict "not ok" "$1"
	fi
}

same() { # file, option that prints it
	if [ ! -x "$binary" ]; then
		verdict ok "$1 is up to date # SKIP pgseal is not built"
	elif "$binary" "$2" | diff -u "$srcdir/$1" - | sed 's/^/# /' | grep .; then
		echo "# remedy: pgseal $2 >$1"
		verdict "not ok" "$1 is up to date"
	else
		verdict ok "$1 is up to date"
	fi
}

echo 1..4
none_has "no path of anybody's machine" '(^|[^A-Za-z0-9_.$}])/(hom[e]|Users|wor[k]|root)/[A-Za-z0-9_]'
none_has "no blanks at line ends" '[ 	]+$'
same etc/pgseal.ini --print-sample
same man/pgseal.ini.5 --print-man
exit $failed
