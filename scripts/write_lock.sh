#!/bin/sh
# Print exact pins of everything in an environment but the project itself: no hashes and no local versions, so that pip
# takes the build (CPU or GPU) that its own settings point to.
set -eu
cat <<'EOF'
# Written by `make lock`. Exact versions for `make`; users of the library get the ranges in pyproject.toml.
EOF
"$1" -m pip freeze --all --exclude-editable --exclude spanbert --exclude pip | sed -E 's/\+[a-z0-9.]+$//' | grep -v '^nvidia-\|^triton=\|^cuda-'
