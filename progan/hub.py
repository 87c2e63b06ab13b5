"""Networks on the Hugging Face Hub: `progan push`, and hf://organisation/name to load them.

A repository holds network.safetensors, its model card as README.md, and samples.png. The package
huggingface_hub is needed.
"""

import re
from pathlib import Path
from typing import Any

from progan.errors import UserError

NETWORK_FILE, CARD_FILE, SAMPLES_FILE = "network.safetensors", "README.md", "samples.png"
_ADDRESS = re.compile(r"hf:/{1,2}(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?/?")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_LOGIN = "Log in with `hf auth login`, or set HF_TOKEN"


def is_hub_address(path: Path | str) -> bool:
    """True for hf://organisation/name, also as a Path, which has one slash less."""
    return str(path).startswith("hf:/")


def fetch_network(address: Path | str) -> Path:
    """Return the network file of hf://organisation/name[@revision], from the cache if it is there.

    Raises:
        UserError: No such repository or file, no access, no network, or a wrong address.
    """
    match = _ADDRESS.fullmatch(str(address))
    if match is None:
        raise UserError(
            f"{address} is not an address such as hf://organisation/name, or …/name@v2."
        )
    hub = _import_hub()
    try:
        found = hub.hf_hub_download(match["repo"], NETWORK_FILE, revision=match["revision"])
    except Exception as error:
        raise UserError(f"Cannot fetch {address}: {_describe(error)}") from error
    return Path(found)


def push_network(network: Path, repo: str, *, private: bool, samples: bytes, card: str) -> str:
    """Upload a network file, its card and a sheet of samples; return the page of the repository.

    Raises:
        UserError: A wrong name, no access, or no network.
    """
    require_repository_name(repo)
    hub = _import_hub()
    api = hub.HfApi()
    try:
        page = api.create_repo(repo, private=private, exist_ok=True)
        contents = {NETWORK_FILE: network, CARD_FILE: card.encode(), SAMPLES_FILE: samples}
        files = [
            hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
            for name, content in contents.items()
        ]
        api.create_commit(repo, files, commit_message=f"Upload {network.name}")
    except Exception as error:  # httpx's, huggingface_hub's
        raise UserError(f"Cannot upload to {repo}: {_describe(error)}") from error
    return str(page)


def require_repository_name(repo: str) -> None:
    """Raise UserError unless it names a repository, or if huggingface_hub is not installed."""
    if not _REPO.fullmatch(repo):
        raise UserError(f"{repo!r} is not the name of a repository, such as organisation/name.")
    _import_hub()


def _import_hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            'The Hub needs the package huggingface_hub: pip install "progan[hub]"'
        ) from error
    return huggingface_hub


def _describe(error: Exception) -> str:
    """Return what went wrong in a request and how to mend it."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "LocalEntryNotFoundError" in kinds or "OfflineModeIsEnabled" in kinds:
        return (
            "the Hub cannot be reached, and the network is not in the cache. Check the connection, "
            "and that HF_HUB_OFFLINE is not set."
        )
    if "RevisionNotFoundError" in kinds:
        return "the repository has no such revision."
    if "GatedRepoError" in kinds:  # a kind of RepositoryNotFoundError
        return f"access is granted on request only. Ask for it on the repository's page. {_LOGIN}."
    if "RepositoryNotFoundError" in kinds:
        return f"there is no such repository, or it is private. {_LOGIN}."
    if "EntryNotFoundError" in kinds:
        return f"the repository has no {NETWORK_FILE}: it was not made by progan push."
    if status in (401, 403):
        return f"access is denied ({status}). {_LOGIN}, of an account that may."
    if status == 404:
        return f"there is no such repository (404), or it is private. {_LOGIN}."
    return " ".join(str(error).split()) or type(error).__name__
