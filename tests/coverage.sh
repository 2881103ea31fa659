#!/bin/sh
# Lines run per floor, from the counts that a --enable-coverage build left: coverage.sh BUILD GCOV
build=$1 gcov=${2:-gcov}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# gcov tells of each file "File '...'" and then "Lines executed:P% of N"
for floor in base wire tls loop core admin .; do
	counts=$(find "$build/src/$floor" -maxdepth 1 -name '*.gcno' 2>/dev/null)
	[ -n "$counts" ] || continue
	# shellcheck disable=SC2086
	(cd "$scratch" && "$gcov" -n $counts 2>/dev/null) | awk -v floor="$floor" '
		/^File/ { ours = $0 ~ "/src/" floor "/[^/]*\\.c.$" || (floor == "." && $0 ~ "/src/[^/]*\\.c.$") }
		/^Lines executed/ && ours {
			split($0, part, /[:% ]+/)
			run += part[3] * part[5] / 100
			all += part[5]
			ours = 0
		}
		END { if (all) printf "%-6s %5.1f %% of %d lines\n", floor == "." ? "main" : floor, 100 * run / all, all }'
done
