#!/usr/bin/env bash
# Prints the generated part of command-line.md, the help text of every command. To renew it:
#   sed -i '/^<!-- generated/q' docs/command-line.md && docs/command-line.sh >> docs/command-line.md
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

outrigger() {
  OUTRIGGER_OPTS=-Dpicocli.usage.width=110 "$here/outrigger" "$@"
}

# The names of a command's subcommands, from its help.
subcommands() {
  awk '/^Commands:/ {on = 1; next} /^[^ ]/ {on = 0} on && /^  [a-z]/ {print $1}' <<<"$1"
}

show() {
  local help name
  help=$(outrigger "$@" --help)
  printf '\n## outrigger%s\n\n```\n%s\n```\n' "$(printf ' %s' "$@")" "$help"
  for name in $(subcommands "$help"); do
    show "$@" "$name"
  done
}

for name in $(subcommands "$(outrigger --help)"); do
  show "$name"
done
