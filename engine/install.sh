#!/bin/sh
# Creates .venv from the lock file. Needs Python 3.11 or newer, and the network until the cache is filled.
set -eu
cd "$(dirname -- "$0")/.."
cache=${CLASSROOM_CACHE:-$HOME/.cache/sovereign-classroom}
# Prefer the distribution's Python: apt updates it, and it starts faster than one built by hand.
usable() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=${PYTHON:-$(if usable /usr/bin/python3; then echo /usr/bin/python3; else echo python3; fi)}
which=$("$python" -c 'import sys; print(sys.base_prefix, *sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))') || {
  echo "error: $python is $("$python" --version); Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2
  exit 1
}
lock=$(cat engine/uv.lock requirements.lock pyproject.toml | sha256sum | cut -c1-16)
stamp=.venv/.lock
wanted="$lock $(pwd -P) $which"
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
start=$(date +%s)
echo "Python environment …"
uv_home=$cache/uv-$(sha256sum < engine/uv.lock | cut -c1-16)
if ! [ -x "$uv_home/bin/uv" ]; then
  usable "$python" || {
    if [ "$(id -u)" = 0 ]; then
      apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    else
      echo "error: $python lacks the module ensurepip: run \`sudo apt-get install python3-venv\`" >&2
      exit 1
    fi
  }
  rm -rf "$uv_home"
  mkdir -p "$cache"
  "$python" -m venv "$uv_home.new"
  "$uv_home.new/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r engine/uv.lock
  mv "$uv_home.new" "$uv_home"
fi
# Use the certificate authorities that this machine trusts.
export UV_CACHE_DIR="$cache/uv" UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_SYSTEM_CERTS=true
rm -rf .venv
"$python" -m venv --without-pip .venv
uv() { "$uv_home/bin/uv" pip "$@" --quiet --python .venv/bin/python; }
# Compile once here: every `up` starts Python several times.
uv sync --offline --compile-bytecode --require-hashes requirements.lock 2>/dev/null \
  || uv sync --compile-bytecode --require-hashes requirements.lock
uv install --offline --no-deps --no-build-isolation -C editable_mode=compat -e .
.venv/bin/python -m compileall -q classroom portal rehearsal
echo "$wanted" > "$stamp"
echo "Python environment: done in $(($(date +%s) - start)) s"
