"""Kernels in Triton compile for a GPU, which takes no GPU, and read as much at once as it can."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
WIDE = {"bf16": "v4.b32", "fp32": "v4.b32", "fp64": "v2.b64"}


def test_kernels_compile_and_read_images_sixteen_bytes_at_once():
    command = [sys.executable, str(Path(__file__).with_name("compiled.py"))]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 8 * 4
    for name, accesses in found.items():
        assert name.endswith("ones") or f"ld.global.{WIDE[name.split()[1]]}" in accesses, name
        assert not any("local" in access for access in accesses), name  # registers are enough
