"""What wrappers leave in the names of a model's tensors.

Save, Load, Ship 0.2.0: helpers/model_files/wrapper_names.py · repairs: CHANGELOG.md
"""

from helpers.model_files.verdicts import Findings

_WRAPPERS = {
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FullyShardedDataParallel",
    "_checkpoint_wrapped_module.": "activation checkpointing",
    "module.": "nn.DataParallel",
    "base_model.model.": "peft",
    "model.": "a class around the model, such as Lightning's,",
}
# The first three stand anywhere in a name, the others begin it.
_ANYWHERE, _FIRST = list(_WRAPPERS)[:3], list(_WRAPPERS)[3:]


def note_wrappers(findings: Findings, names: list[str], are_text: bool = True) -> None:
    """Say what wrappers left in the names of tensors, and add the line that takes it out.

    There is none where some keys are no text.

    >>> from pathlib import Path
    >>> note_wrappers(found := Findings(Path("a.pt")), ["module.fc.weight"])
    >>> found.notes
    ["Names hold 'module.', which nn.DataParallel leaves."]
    """
    found = [inner for inner in _ANYWHERE if any(inner in name for name in names)]
    calls = [f".replace({some!r}, '')" for some in found]
    for inner in found:
        names = [name.replace(inner, "") for name in names]
    for first in _FIRST:
        if names and all(name.startswith(first) for name in names):
            found.append(first)
            names = [name.removeprefix(first) for name in names]
    # The other two could belong to the model.
    calls += [".removeprefix('module.')"] if "module." in found else []
    for some in found:
        findings.notes.append(f"Names hold {some!r}, which {_WRAPPERS[some]} leaves.")
    if calls and findings.opens and are_text:
        state, key = findings.opens[-1].split()[0], "key" + "".join(calls)
        line = f"{state} = {{{key}: value for key, value in {state}.items()}}"
        findings.opens.append(line)
