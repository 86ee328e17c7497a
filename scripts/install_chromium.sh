#!/usr/bin/env bash
# Debian's Chromium with Chinese glyphs for the journeys; fails where it cannot be installed.
set -u
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk >/dev/null && exit 0
fi
echo "e2e: chromium is not here and cannot be installed (needs root and apt): install Debian's package chromium" >&2
exit 1
