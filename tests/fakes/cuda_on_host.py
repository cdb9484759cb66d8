"""The CUDA kernels of workloads/qnn/cuda/_binary_source.py, run by the host compiler's build of the same source."""

import ctypes
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from energybench.workloads.qnn.cuda._binary_source import KERNELS
from energybench.workloads.qnn.cuda.binary_mma import Compile, Launch

_SOURCE = Path(__file__).with_suffix(".cpp")
_FLAGS = ("-O1", "-std=c++17", "-fno-exceptions", "-fwrapv", "-ffp-contract=off", "-shared", "-fPIC", "-w")


def compiler(folder: Path) -> Compile:
    """What compiles a kernel into a folder; equal constants are compiled once."""

    def compiled(defines: str, name: str) -> Launch:
        signal = "const uint2" if name == "few_columns" else "const uint4"
        # Without a name outside, the kernel that is not called is not compiled.
        kernels = KERNELS.replace('extern "C" __global__', "static")
        text = _SOURCE.read_text().replace("KERNELS_HERE", kernels)
        text = f"#define CALLED {name}\n#define SIGNAL {signal}\n{defines}{text}"
        path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
        if not path.exists():
            source = path.with_suffix(".cpp")
            source.write_text(text)
            subprocess.run(["g++", *_FLAGS, "-o", str(path), str(source)], check=True)
        return _launcher(ctypes.CDLL(str(path)))

    return compiled


def _launcher(library: ctypes.CDLL) -> Launch:
    def launch(grid: tuple[int, int, int], block: tuple[int, int, int], arguments: Sequence[Tensor | int]) -> None:
        tensors = [a for a in arguments if isinstance(a, Tensor)]
        assert all(tensor.device.type == "cpu" for tensor in tensors)
        pointers = (ctypes.c_void_p * len(tensors))(*[tensor.data_ptr() for tensor in tensors])
        sizes = (ctypes.c_int * 5)(*[a for a in arguments if not isinstance(a, Tensor)])
        library.launch(grid[0], grid[1], block[0], pointers, sizes)

    return launch
