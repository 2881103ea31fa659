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

# Is standard input, as a whole, a run of lines of that file?
stands_in() {
	awk -v wanted=0 '
		FNR == NR { line[wanted++] = $0; next }
		{ text[n++] = $0 }
		END {
			for (i = 0; i + wanted <= n; i++) {
				for (k = 0; k < wanted && text[i + k] == line[k]; k++)
					;
				if (k == wanted && wanted > 0)
					exit 0
			}
			exit 1
		}' - "$1"
}

# What is written by hand around it is free.
holds() { # file, option that prints what it must hold
	if [ ! -x "$binary" ]; then
		verdict ok "$1 is up to date # SKIP pgseal is not built"
	elif "$binary" "$2" | stands_in "$srcdir/$1"; then
		verdict ok "$1 is up to date"
	else
		echo "# it does not hold what 'pgseal $2' prints"
		verdict "not ok" "$1 is up to date"
	fi
}

echo 1..4
none_has "no path of anybody's machine" '(^|[^A-Za-z0-9_.$}])/(hom[e]|Users|wor[k]|root)/[A-Za-z0-9_]'
none_has "no blanks at line ends" '[ 	]+$'
holds etc/pgseal.ini --print-sample
holds man/pgseal.ini.5 --print-man
exit $failed
