#!/usr/bin/env bash
# Looks for what pip cannot bring: `tools/system_packages.sh demo|test [python]`. What is missing it installs through
# apt where it may (as root); elsewhere it prints the command and stops. Instant when nothing is missing.
set -euo pipefail
purpose=${1:?usage: tools/system_packages.sh demo|test [python]}
python=${2:-python3}

missing=() # Debian packages
reasons=() # the same in words

# need PACKAGE WHY COMMAND...: the package is missing unless the command succeeds
need() {
    local package=$1 why=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        missing+=("$package")
        reasons+=("  $package: $why")
    fi
}
on_path() { for name in "$@"; do command -v "$name" && return 0; done; return 1; }
library() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -F "$1 "; }
vulkan_driver() { compgen -G '/usr/share/vulkan/icd.d/*.json' || compgen -G '/etc/vulkan/icd.d/*.json'; }
python_headers() { "$python" -c 'import pathlib, sysconfig as s, sys; sys.exit(not pathlib.Path(s.get_path("include"), "Python.h").exists())'; }
node_18() { [ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ]; }

check() {
    missing=() reasons=()
    need g++ "a C++ compiler, to build fpsample (a dependency of nerfstudio)" on_path c++ g++ clang++
    need python3-venv "Python's venv module" "$python" -c 'import venv, ensurepip'
    need python3-dev "Python's headers, to build fpsample" python_headers
    if [ "$(uname -s)" = Linux ]; then
        need libgl1 "libGL, for open3d (imported by ns-export)" library libGL.so.1
        need libopengl0 "libOpenGL, for pymeshlab (imported by ns-export)" library libOpenGL.so.0
        need libegl1 "libEGL, for open3d" library libEGL.so.1
        need libgomp1 "OpenMP, for open3d" library libgomp.so.1
        need libvulkan1 "the Vulkan loader, for wgpu" library libvulkan.so.1
        need mesa-vulkan-drivers "a Vulkan driver (a software one where there is no GPU)" vulkan_driver
    fi
    if [ "$purpose" = test ]; then
        need chromium "a browser with WebGPU, for the tests of the page" on_path chromium chromium-browser google-chrome google-chrome-stable
        need ffmpeg "for ns-render" on_path ffmpeg
        need nodejs "Node.js 18 or newer, for the tests of the page" node_18
        need npm "npm, for the tests of the page" on_path npm
    fi
}

check
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

printf 'setup: these system packages are missing (Debian names):\n' >&2
printf '%s\n' "${reasons[@]}" >&2
command="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    printf 'Install them and try again. On Debian or Ubuntu:\n  sudo sh -c "%s"\n' "$command" >&2
    exit 1
fi
echo "setup: $command"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"

check
if [ ${#missing[@]} -gt 0 ]; then
    printf 'setup: apt-get installed them, and yet these are not found:\n' >&2
    printf '%s\n' "${reasons[@]}" >&2
    exit 1
fi
