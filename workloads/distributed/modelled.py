"""What nobody measured of a training: the energy of its wire, and how it would scale to many hosts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from energybench.model import Modelled

if TYPE_CHECKING:
    from energybench.workloads.distributed._recipe import Recipe
    from energybench.workloads.distributed._task import Whole


def curve(recipe: "Recipe", link: str, whole: "Whole") -> dict[str, Any] | None:
    return None


def wire_joules(recipe: "Recipe", link: str, whole: "Whole") -> Mapping[str, Modelled]:
    return {}
