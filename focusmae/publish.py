"""Uploads the embedded weights and their model card to a repository on the Hugging Face Hub, in one commit.

The card is ``README.md`` of the weights' folder, as it is. One commit, instead of the client's streamed upload, which
may end between two files: the files belong together, and together they are small.
"""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

from focusmae.errors import FocusMAEError, SettingsError, WeightsError
from focusmae.hub import SHIPPED
from focusmae.hub.sentences import HTTPError, status_of

CARD = "README.md"
PUBLISHED = (".safetensors", ".json")


def publish(repo: str, token: str | None = None, folder: Path = SHIPPED, private: bool = False) -> str:
    """Create ``repo`` ("name" or "owner/name") if it is not there yet, upload ``folder``, and return the commit's URL.

    token: with the right to write; None: HF_TOKEN, or what ``hf auth login`` has stored. Files that the Hub has already
    are not sent again.

    Raises:
        SettingsError: a name that the Hub does not allow, a token that is missing, unknown or may not write there.
        WeightsError: no card or no weights in ``folder``, or a Hub that is out of reach or answers with an error.
    """
    files = published_files(folder)
    api = HfApi(token=token)
    try:
        created = api.create_repo(repo, private=private or None, exist_ok=True)
        commit = api.create_commit(
            created.repo_id,
            [CommitOperationAdd(file.name, str(file)) for file in files],
            commit_message=f"FocusMAE: {len(files)} files",
        )
    except Exception as error:  # the client also lets through what its transport stumbles over
        raise _explained(repo, error) from error
    return str(commit.commit_url)


def published_files(folder: Path) -> list[Path]:
    """The card, then the weights, of ``folder``. Raises WeightsError if either is missing."""
    if not (folder / CARD).is_file():
        raise WeightsError(f"The folder {folder.name} has no {CARD}, which is the model card; write one first.")
    weights = sorted(file for file in folder.iterdir() if file.suffix in PUBLISHED)
    if not any(file.suffix == PUBLISHED[0] for file in weights):
        raise WeightsError(f"The folder {folder.name} holds no .safetensors file; train or fetch the weights first.")
    return [folder / CARD, *weights]


def _explained(repo: str, error: Exception) -> FocusMAEError:
    """What kept the Hub from taking the files, in one sentence."""
    status = status_of(error)
    if isinstance(error, HFValidationError):
        return SettingsError(f"{repo!r} is no name for a repository: use owner/name, of letters, digits, - and _.")
    if isinstance(error, OfflineModeIsEnabled):
        return SettingsError("HF_HUB_OFFLINE is set, so nothing can be published: unset it and try again.")
    if status == 401 and not isinstance(error, RepositoryNotFoundError):
        return SettingsError(
            "The Hub knows no token here that may write: give --token, set HF_TOKEN, or run `hf auth login`."
        )
    if status in (401, 403, 404):
        return SettingsError(f"This token may not write to {repo}: make one that may, or choose another name.")
    if status is not None:
        return WeightsError(f"The Hub answered with error {status} and took nothing: publish again later.")
    if isinstance(error, (HTTPError, OSError)):
        return WeightsError("The Hub cannot be reached, so nothing was published: check the connection and try again.")
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return WeightsError(f"Nothing was published, for the client says: {reason[:300]}.")
