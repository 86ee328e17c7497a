#!/usr/bin/env bash
# Makes the npm compiler look like one native solc, the same file for forge, py-solc-x and ape.
# Usage: install_solc.sh FOLDER   (FOLDER is inside the project; SOLCX_BINARY_PATH points to it)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
version=$(node -p "require('$root/node_modules/solc/package.json').version")
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
target="$folder/solc-v$version"
shim=$(realpath --relative-to="$folder" "$root/scripts/solc.cjs")
rm -f "$target" "$folder"/version-*
cat > "$target" <<SHIM
#!/usr/bin/env bash
here=\$(cd "\$(dirname "\${BASH_SOURCE[0]}")" && pwd)
BITWATT_SOLC_VERSION_FILE="\$here/version-$version" exec node "\$here/$shim" "\$@"
SHIM
chmod +x "$target"
"$target" --version > "$folder/.version" # answered from this file later: loading the compiler takes a second
mv "$folder/.version" "$folder/version-$version"
