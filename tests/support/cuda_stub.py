"""A stand-in for NVIDIA's runtime and driver: one device, on which nothing can be done.

PyTorch's fake tensors need no device, but its autograd engine asks how many there are.
"""

import os
import shutil
import subprocess
from pathlib import Path

import torch

# What the engine asks of the runtime: each call succeeds.
_RUNTIME = """
int cudaGetDeviceCount(int *n) { *n = 1; return 0; }
int cudaGetDevice(int *device) { *device = 0; return 0; }
int cudaSetDevice(int device) { return 0; }
int cudaGetLastError(void) { return 0; }
int cudaPeekAtLastError(void) { return 0; }
int cudaDeviceGetStreamPriorityRange(int *low, int *high)
    { *low = 0; *high = -1; return 0; }
int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return 0; }
int cudaStreamQuery(void *stream) { return 0; }
"""
# Of the driver: there is no context on the device; all else fails.
_CONTEXT = """
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active)
    { *flags = 0; *active = 0; return 0; }
"""


def environment(folder):
    """What a process is given to find the stand-in; None where it cannot be made.

    It takes a C compiler, Linux, and a PyTorch that is built for CUDA.
    """
    library = Path(torch.__file__).parent / "lib" / "libcaffe2_nvrtc.so"
    if not (library.exists() and shutil.which("cc") and shutil.which("nm")):
        return None
    command = ["nm", "-D", "--undefined-only", library]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in listed.splitlines()}
    wanted = sorted(n for n in names if n.startswith("cu") and n not in _CONTEXT)
    driver = _CONTEXT + "".join(
        f"int {name}(void) {{ return 100; }}\n" for name in wanted
    )
    for name, source in (("libcuda.so.1", driver), ("runtime.so", _RUNTIME)):
        (folder / "source.c").write_text(source)
        subprocess.run(
            [
                "cc",
                "-w",
                "-shared",
                "-fPIC",
                f"-Wl,-soname,{name}",
                "-o",
                name,
                "source.c",
            ],
            cwd=folder,
            check=True,
        )
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(folder),
        "LD_PRELOAD": str(folder / "runtime.so"),
    }
