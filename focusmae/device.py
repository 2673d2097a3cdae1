"""Device, number format, threads and allocator: decided once per process, before the first large tensor.

On a CPU the two settings here are worth more than any rewrite of a model: glibc otherwise maps and unmaps every
tensor above 32 MB, and float32 products otherwise miss the faster kernels.
"""

import ctypes
import functools
import os
import platform

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_TOP_PAD_BYTES = 64 << 20
_ARENAS = 2  # so that blocks kept by one of the server's threads serve the others


@functools.cache
def setup() -> torch.device:
    """Set this process up once and return the device that models run on ("cuda" where there is one, else "cpu")."""
    _keep_large_blocks()
    torch.set_float32_matmul_precision("medium")
    threads = os.environ.get("FOCUSMAE_THREADS")
    if threads:
        torch.set_num_threads(max(1, int(threads)))
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe() -> str:
    """One line for the foot of the page: device and number format."""
    device = setup()
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, float32"
    return f"CPU, {torch.get_num_threads()} threads, float32"


def _keep_large_blocks() -> None:
    """Tell glibc to keep freed blocks (same as MALLOC_MMAP_MAX_=0 and friends); does nothing elsewhere."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc" or "MALLOC_MMAP_MAX_" in os.environ:
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, -1)
    libc.mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)
    libc.mallopt(_M_ARENA_MAX, _ARENAS)
