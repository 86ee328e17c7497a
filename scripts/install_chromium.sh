#!/usr/bin/env bash
# Debian's Chromium with Chinese glyphs for the journeys; where it cannot be installed, says so and goes on.
set -u
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk >/dev/null && exit 0
fi
echo "e2e: chromium is not here and cannot be installed (needs root and apt): the journeys are skipped" >&2
