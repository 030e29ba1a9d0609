# shellcheck shell=bash
# Sourced by the tools: one place that knows where the checkout's Python, collections and Ansible settings are.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$root/.venv/bin:$PATH"
export ANSIBLE_CONFIG="$root/ansible.cfg"
export ANSIBLE_COLLECTIONS_PATH="$root/.ansible/collections"
export ANSIBLE_HOME="$root/.ansible/home"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}"
# Where the lab writes its inventory, as lab/paths.py has it.
export HOLDFAST_LAB_INVENTORY="$root/.lab${HOLDFAST_LAB_PREFIX:+/families/$HOLDFAST_LAB_PREFIX}/inventory"
cd "$root"
