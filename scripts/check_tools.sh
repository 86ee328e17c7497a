#!/usr/bin/env bash
# Says which of the needed tools is missing or too old. Usage: check_tools.sh PYTHON
set -u
python=${1:-python3}
failed=0

missing() {
  echo "setup: $1 is missing or too old: $2" >&2
  failed=1
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  missing "Python 3.11+" "install Python 3.11 or newer, or call make with PYTHON=/path/to/python3.11"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  missing "the venv module" "install python3-venv"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null ||
  missing "Node 20+" "install Node.js 20 or newer"
npm --version >/dev/null 2>&1 || missing "npm" "install npm"
git --version >/dev/null 2>&1 || missing "git" "install git"
[ "$(uname -sm)" = "Linux x86_64" ] ||
  missing "Linux on x86-64" "the pinned forge, cast and anvil binaries are for that platform (this is $(uname -sm))"
exit $failed
