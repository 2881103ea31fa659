#!/bin/sh
# Fails on an include of a higher floor, and proves first that it can fail.
srcdir=${PGSEAL_SRCDIR:-.}
floors="base wire tls loop core admin"

# Floors above the given one, as an alternation for a regular expression.
above() {
	seen=no list=
	for floor in $floors; do
		[ "$seen" = yes ] && list=${list:+$list|}$floor
		[ "$floor" = "$1" ] && seen=yes
	done
	echo "$list"
}

# Prints every include in tree $1 by floor $2 that is not below it: a higher floor's header, or
# another floor's private one.
breaches() {
	higher=$(above "$2")
	if [ -n "$higher" ]; then
		grep -rEn --include='*.[ch]' --include='*.def' \
			"^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]([^\">]*/)?($higher)/" \
			"$1/src/$2" "$1/include/pgseal/$2" 2>/dev/null
	fi
	grep -rEn --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*\"[^\"]*_priv\.h\"" \
		"$1/src/$2" "$1/include/pgseal/$2" 2>/dev/null | while IFS= read -r line; do
		header=$(printf '%s\n' "$line" | sed 's/.*"\([^"]*\)".*/\1/')
		[ -f "$1/src/$2/$(basename "$header")" ] || printf '%s\n' "$line"
	done
}

case_number=0
failed=0
verdict() {
	case_number=$((case_number + 1))
	if [ "$1" = yes ]; then
		echo "ok $case_number - $2"
	else
		echo "not ok $case_number - $2"
		failed=1
	fi
}

scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/src/wire" "$scratch/src/core" "$scratch/include/pgseal/base"

echo 1..11

probe() { # what, file, include line, breach expected
	printf '%s\n' "$3" >"$scratch/$2"
	floor=$(basename "$(dirname "$2")")
	found=no
	[ -n "$(breaches "$scratch" "$floor")" ] && found=yes
	rm "$scratch/$2"
	[ "$found" = "$4" ] && verdict yes "$1" || verdict no "$1"
}
probe "an upward include is seen" src/wire/a.c '#include "pgseal/core/pool.h"' yes
probe "an upward include in a header is seen" include/pgseal/base/a.h '# include <pgseal/wire/frame.h>' yes
probe "another floor's private header is seen" src/core/a.c '#include "frame_priv.h"' yes
probe "a relative upward include is seen" src/wire/a.c '#include "../core/x.h"' yes
probe "a downward include is allowed" src/core/a.c '#include "pgseal/wire/frame.h"' no

for floor in $floors; do
	found=$(breaches "$srcdir" "$floor")
	if [ -z "$found" ]; then
		verdict yes "$floor includes nothing from above"
	else
		printf '%s\n' "$found" | sed 's/^/# /'
		verdict no "$floor includes nothing from above"
	fi
done
exit $failed
