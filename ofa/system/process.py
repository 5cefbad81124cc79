"""This process: its environment, device, seeds, and a tag by which others can tell whether it lives."""

from __future__ import annotations

import ctypes
import logging
import os
import random
import socket
import warnings
from pathlib import Path

import psutil

from ofa.errors import UserError
from ofa.system.machine import cores, cpu_flags, cpu_name

log = logging.getLogger(__name__)
# glibc's mallopt parameters, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NVIDIA_DRIVER = Path("/dev/nvidiactl")
# What MKL's AVX-512 code path of server processors uses, and the names MKL_DEBUG_CPU_TYPE has for its paths.
AVX512 = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})
MKL_CPU_TYPES = {"AVX-512": "7", "AVX2": "5"}
# Libraries' variables for the folder they keep files in, and its name in cache_dir.
HOMES = {"PPNLP_HOME": "paddlenlp", "MPLCONFIGDIR": "matplotlib", "HF_HOME": "huggingface"}


def number(name: str, default: int, least: int = 0) -> int:
    """A whole number from the environment; of several with commas between them, the first.

    Raises:
        UserError: if the variable ``name`` is something else.
    """
    value = (os.environ.get(name) or str(default)).partition(",")[0]
    if not (value.isdecimal() and value.isascii() and int(value) >= least):
        raise UserError(f"{name}: {value!r} in the environment is not allowed; allowed: a whole number from {least}")
    return int(value)


def mkl_path() -> str:
    """The fastest of MKL's code paths that this processor can run."""
    return "AVX-512" if cpu_flags() >= AVX512 else "AVX2"


def prepare(threads: int | None = None, jobs: int = 1) -> list[str]:
    """Set up this process for training on CPU; returns what was done, in words.

    Environment variables that are already set take precedence, except for the number of threads. ``OFA_TUNE=0``
    turns all of them off; the threads are then MKL_NUM_THREADS, or one.

    Args:
        threads: CPU threads for the math libraries; null takes all cores this process may use, or
            its part of them where a launcher started several processes on this machine.
        jobs: jobs like this one at once, which share these cores. More threads than cores make each of
            them many times slower.
    """
    quiet()
    if os.environ.get("OFA_TUNE") == "0":
        return ["process left as it is (OFA_TUNE=0)"]
    # Not OMP_NUM_THREADS: Paddle warns of it, and `set_device` tells OpenMP the number.
    neighbours = jobs * number("PADDLE_LOCAL_SIZE", 1, 1)
    os.environ["MKL_NUM_THREADS"] = str(threads or max(1, cores() // neighbours))
    count = os.environ["MKL_NUM_THREADS"]
    done = [f"{count} CPU thread" + "s" * (count != "1")]
    if "AMD" in cpu_name() and "MKL_DEBUG_CPU_TYPE" not in os.environ:
        # The MKL that Paddle ships picks its slowest code path on AMD unless told what the CPU can do.
        os.environ["MKL_DEBUG_CPU_TYPE"] = MKL_CPU_TYPES[mkl_path()]
        done.append(f"MKL's {mkl_path()} path on AMD")
    if _keep_memory():
        done.append("freed memory kept for reuse")
    if NVIDIA_DRIVER.exists() and "NVIDIA_TF32_OVERRIDE" not in os.environ:
        # TF32 rounds the factors of FP32 products to 10 bits: errors of 1e-3, where parity is checked to 1e-4.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        done.append("FP32 products in FP32, not TF32")
    return done


def _keep_memory() -> bool:
    """Stop glibc from handing large tensors back to the system after every operation.

    Each such tensor is page-faulted in anew the next time, which made elementwise operations up to
    eleven times slower. Does nothing on other C libraries.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)) and bool(libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
    except (OSError, AttributeError):
        return False


def find_homes(cache_dir: Path) -> None:
    """Let libraries that keep files in the home folder keep them in ``cache_dir``, if there is no home to write to.

    A container with --read-only or --user often has none. Comes before these libraries are imported.
    """
    if os.access(Path.home(), os.W_OK):
        return
    for variable, name in HOMES.items():
        os.environ.setdefault(variable, str(cache_dir.absolute() / name))


def quiet() -> None:
    """Keep the dependencies' warnings and progress chatter off the terminal."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for module in (
        "paddle",
        "paddleslim",
        "paddlenlp",
        "mlflow",
        "_distutils_hack",
        "setuptools",
        "pkg_resources",
        "requests",
    ):
        warnings.filterwarnings("ignore", module=rf"{module}(\..*)?")
    warnings.filterwarnings("ignore", message=".*ccache.*")
    for name in ("alembic", "mlflow", "matplotlib", "filelock", "urllib3", "paddle", "paddlenlp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # A Chinese font without the weight that Matplotlib asks for.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    # A busy or full database, as a page of traceback each time; the sender says it in a line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def set_device(device: str, key: str = "hardware.device") -> str:
    """Select the device Paddle runs on; returns ``cpu`` or ``gpu:<index>``.

    Args:
        device: auto, cpu or gpu.
        key: what asked for it, in the words of an error.

    Raises:
        UserError: if a GPU is asked for where Paddle has none, or fewer than ``hardware.devices``.
    """
    import paddle

    # Both take SIGTERM for themselves as they load, and it would end a job at once, whatever handler it had set:
    # so they load now, before it sets one.
    paddle.disable_signal_handler()
    import paddlenlp  # noqa: F401

    usable = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    if device == "gpu" and not usable:
        raise UserError(f"{key}: gpu is not there (Paddle sees none); allowed here: cpu, auto")
    if device == "cpu" or not usable:
        paddle.set_device("cpu")
        use_threads(threads())
        if os.environ.get("OFA_TUNE") != "0" and "FLAGS_use_stride_kernel" not in os.environ:
            # A transposed view is copied anew by every product that reads it; a copy made once is cheaper.
            paddle.set_flags({"FLAGS_use_stride_kernel": False})
        return "cpu"
    index = number("FLAGS_selected_gpus", 0)  # set by what launches several
    if index >= paddle.device.cuda.device_count():
        raise UserError(
            f"hardware.devices: there is no GPU for process {index + 1}, Paddle sees "
            f"{paddle.device.cuda.device_count()}; use fewer, or hardware.device=cpu"
        )
    name = f"gpu:{index}"
    paddle.set_device(name)  # returns a Place, whose text is another
    return name


def threads() -> int:
    """CPU threads of this process, as :func:`prepare` set them."""
    return number("MKL_NUM_THREADS", 1, 1)


def sharing() -> int:
    """How many threads may share the rows of a batch: those of this process on a CPU, on a GPU one."""
    import paddle

    return threads() if paddle.get_device() == "cpu" else 1


def use_threads(count: int) -> None:
    """Let the math libraries use ``count`` threads for what the calling thread asks of them."""
    import paddle

    paddle.base.core.set_num_threads(count)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and Paddle. Training reseeds Paddle at each step from (seed, step)."""
    import numpy as np
    import paddle

    random.seed(seed)
    np.random.seed(seed % 2**32)
    paddle.seed(seed)


BOOT_S = 60.0  # boot times closer than this are one boot: the clock may have been set since


def process_tag() -> str:
    """Names this process among all that run or ran, so that a later start can tell whether it lives."""
    started = psutil.Process().create_time()
    return f"{socket.gethostname()} {psutil.boot_time():.0f} {os.getpid()} {started:.2f}"


def is_dead(tag: str) -> bool:
    """Whether the process a tag names is of this machine, and gone."""
    host, boot, pid, started = tag.split()
    if host != socket.gethostname():
        return False
    if abs(float(boot) - psutil.boot_time()) > BOOT_S:
        return True
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" != started
    except psutil.Error:
        return True
