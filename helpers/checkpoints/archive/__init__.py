"""Is this `.pt` whole, and safe to open? Nothing in it is executed to find out.

`torch.save` writes a zip archive: a pickle, one record per storage, and the archive's own
bookkeeping. Begin with `container.py`: the records and what guards each byte. `pickles.py`
reads the pickle without obeying it, and `errors.py` names what can be wrong.

Save, Load, Ship 0.2.0: helpers/checkpoints/archive/__init__.py · repairs: CHANGELOG.md
"""
