"""How pip gets the energybench that runs here, into an environment of asv's."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from energybench.gating.commits import git

DISTRIBUTION = "energybench"


def own_requirement() -> str:
    """How pip gets the energybench that runs here: its version on an index, its commit, or its folder."""
    distribution = metadata.distribution(DISTRIBUTION)
    text = distribution.read_text("direct_url.json")
    return requirement_of(distribution.version, json.loads(text) if text else None)


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
