#!/bin/bash
# enter.sh OUT: the program that runs commands inside a node.
set -euo pipefail
gcc -O2 -s -Wall -Werror -o "$1/enter" "$(dirname "${BASH_SOURCE[0]}")/enter.c"
