"""Compiles all kernels for a GPU that need not be there, and prints what they read and write at once.

A process of its own runs this: in that of the tests kernels may be interpreted.
"""

import json
import re

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nases_env.children.cuda import max_pool, norm_relu

IMAGES = {"images", "pooled", "outputs", "gradients", "returned"}
TYPES = {"chosen": "*u8", "momentum": "fp32", "eps": "fp32"}
NUMBERS = {"share", "parts", "count", "pixels", "length", "groups"}
CONSTANTS = {"ROWS": 64, "COLUMNS": 64, "GROUP": 8, "PARTS": 128, "SIZE": 7, "BLOCK": 1024, "INDEX": tl.int32}
KERNELS = [each for module in (max_pool, norm_relu) for each in vars(module).values() if hasattr(each, "arg_names")]


ONES = dict.fromkeys(("share", "parts", "length", "groups", "pixels"), 1)
"""Triton compiles anew for a number that is one, and takes it as a constant."""


def type_of(name, images, statistics, constants):
    if name in constants:
        return "constexpr"
    return TYPES.get(name) or ("i32" if name in NUMBERS else f"*{images if name in IMAGES else statistics}")


def accesses(kernel, images, statistics, compute, ones):
    """Reads and writes in what a kernel becomes, of images and statistics of these types."""
    names = kernel.arg_names
    constants = CONSTANTS | {"COMPUTE": compute} | (ONES if ones else {})
    types = {name: type_of(name, images, statistics, constants) for name in names}
    values = {(place,): constants[name] for place, name in enumerate(names) if name in constants}
    aligned = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(names) if types[name].startswith("*")}
    code = triton.compile(ASTSource(kernel, types, values, aligned), target=GPUTarget("cuda", 90, 32)).asm["ptx"]
    return sorted(set(re.findall(r"\b(?:ld|st)\.(?:global|local)\.[\w.]+", code)))


if __name__ == "__main__":
    kinds = {"bf16": ("fp32", tl.float32), "fp32": ("fp32", tl.float32), "fp64": ("fp64", tl.float64)}
    found = {
        f"{kernel.__module__.split('.')[-1]}{kernel.__name__} {images}{' of ones' * ones}": accesses(
            kernel, images, *kind, ones
        )
        for kernel in KERNELS
        for images, kind in kinds.items()
        for ones in ((False, True) if images == "bf16" else (False,))
    }
    print(json.dumps(found))
