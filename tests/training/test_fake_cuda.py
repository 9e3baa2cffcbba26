"""Training on CUDA without a GPU: whole steps on PyTorch's fake tensors.

The backward pass, Adam and the limit of the gradients' norm run on the CUDA device's
code paths, with a stand-in for NVIDIA's driver. A read of a value, a mix of devices, or
a copy that is waited for raises. What is not reached: the kernels themselves, cuDNN (it
is asked for the size of its own memory), NCCL, copies from pinned memory.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import cuda_stub, fake_training


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="makes a library for Linux")
@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_whole_steps(tmp_path):
    environment = cuda_stub.environment(tmp_path)
    if environment is None:
        pytest.skip("needs a C compiler, and a PyTorch that is built for CUDA")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", fake_training.__file__],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(Path(fake_training.__file__).parents[2])},
    )
    assert done.stdout.splitlines() == list(fake_training.CASES), done.stderr
