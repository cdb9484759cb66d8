"""Which instructions numba's target has. It may be told to leave some alone (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES)."""

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The instruction families that the kernels are made of.

    Attributes:
        name: what a record says of it.
        lanes: 32-bit integers in a vector register.
        dot: how four products of bytes are summed: `vnni` (vpdpbusd), `madd` (vpmaddubsw, vpmaddwd) or `shifts`.
        vpopcnt: whether single bits are counted by an instruction of its own (AVX-512 VPOPCNTDQ).
        ternary: whether any function of three vectors is one instruction (vpternlog).
    """

    name: str
    lanes: int
    dot: str
    vpopcnt: bool = False
    ternary: bool = False


@cache
def target() -> Target:
    """The families of numba's own target, from AVX-512 down to portable vector code."""
    from numba.core.registry import cpu_target

    flags = set(cpu_target.target_context.codegen().magic_tuple()[2].split(","))
    return choose({flag[1:] for flag in flags if flag.startswith("+")})


def choose(features: set[str]) -> Target:
    """The best families among LLVM's names of features (`avx512vnni`)."""
    if {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= features:
        vnni, vpopcnt = "avx512vnni" in features, "avx512vpopcntdq" in features
        name = "avx512" + "-vnni" * vnni + "-vpopcntdq" * vpopcnt
        return Target(name=name, lanes=16, dot="vnni" if vnni else "madd", vpopcnt=vpopcnt, ternary=True)
    if "avx2" in features:
        vnni = "avxvnni" in features
        return Target(name="avx2" + "-vnni" * vnni, lanes=8, dot="vnni" if vnni else "madd")
    return Target(name="portable", lanes=4, dot="shifts")
