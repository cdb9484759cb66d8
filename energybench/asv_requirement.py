"""How pip gets the energybench that runs here, into an environment of asv's."""

import json
import os
import re
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from energybench.gating.commits import git

DISTRIBUTION = "energybench"
CHECKOUT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+")


class RequirementError(ValueError):
    """What pip cannot get energybench by, or asv cannot hand to it; the message says what can be given."""


def own_requirement(checkout: Path = CHECKOUT) -> str:
    """How pip gets the energybench that runs here: its version on an index, its commit, or its folder."""
    distribution = metadata.distribution(DISTRIBUTION)
    text = distribution.read_text("direct_url.json")
    origin = json.loads(text) if text else None
    if origin is None and (checkout / "pyproject.toml").is_file():
        origin = {"url": checkout.as_uri()}
    return requirement_of(distribution.version, origin)


def checked_requirement(text: str) -> str:
    """A requirement of energybench as pip takes it, without spaces: a version, an address, or a folder that is there.

    Raises:
        RequirementError: it is none of these, or has braces, which asv would fill in.
    """
    text = text.strip()
    place = Path(text).expanduser()
    if (os.sep in text or text.startswith(".")) and place.exists():
        return f"{DISTRIBUTION}@{place.resolve().as_uri()}"
    if ADDRESS.fullmatch(text):
        text = f"{DISTRIBUTION}@{text}"
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise RequirementError(_refused(text)) from error
    extras = f"[{','.join(sorted(found.extras))}]" if found.extras else ""
    plain = f"{found.name}{extras}@{found.url}" if found.url else f"{found.name}{extras}{found.specifier}"
    if canonicalize_name(found.name) != DISTRIBUTION or found.marker or set(plain) & set("{} "):
        raise RequirementError(_refused(text))
    return plain


def _refused(text: str) -> str:
    return (
        f"{text!r} is no requirement of {DISTRIBUTION} that asv can hand to pip; give a version, as "
        f"{DISTRIBUTION}==0.1.0, the address of a repository with its commit, as git+https://ADDRESS@COMMIT, or a "
        "folder that is there"
    )


def requirement_of(version: str, origin: dict[str, Any] | None) -> str:
    """A requirement that pins energybench, without spaces.

    Args:
        version: of the distribution.
        origin: its direct_url.json (PEP 610); None where it came from an index.
    """
    if origin is None:
        return f"{DISTRIBUTION}=={version}"
    url = str(origin["url"])
    if "vcs_info" in origin:
        return f"{DISTRIBUTION}@{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    if url.startswith("file://") and (remote := _remote(Path(unquote(urlsplit(url).path)))):
        return f"{DISTRIBUTION}@git+{remote}"
    return f"{DISTRIBUTION}@{url}"


def _remote(folder: Path) -> str | None:
    """Address and commit of a checkout that others can fetch as well."""
    address = git_says(folder, "remote", "get-url", "origin") if folder.is_dir() else None
    commit = git_says(folder, "rev-parse", "HEAD")
    if not address or not commit or not address.startswith(("https://", "ssh://")):
        return None
    parts = urlsplit(address)
    # Who fetches by https may have a token in the address; what is written here is committed.
    host = parts.netloc.rpartition("@")[2] if parts.scheme == "https" else parts.netloc
    return f"{urlunsplit(parts._replace(netloc=host))}@{commit}"


def git_says(folder: Path, *words: str) -> str | None:
    """What git says, stripped; None where it fails."""
    said = git(folder, *words)
    return None if said is None else said.decode(errors="replace").strip()
