"""A small library for keeping PyTorch models, and in `classroom` the course around it.

What to copy with each, and what to install, says the README's table; taught in notebook:

    state_dicts   look into state dicts, compare, rename, load what fits      01, 05
    checkpoints   save and load a training run; every byte is checked         02
    atomic        write a file so that a crash leaves the old or the new one  02
    training      seeds, random generators, an epoch, an accuracy             02
    sampling      an order of the data that follows from (seed, epoch)        02
    devices       choose a device, load onto it, all or nothing               04
    dtypes        what becomes of numbers in fewer bits                       04
    onnx_export   export, prove parity, describe, quantize                    06, 09
    quantization  the affine quantizer written out, whole models, sizes       08, 09
    measurement   interleaved timing, memory, processor, fresh processes      01, 03, 07
    arguments, quiet   argument checks; leave out what a library prints

Save, Load, Ship 0.2.0: helpers/__init__.py · repairs: CHANGELOG.md
"""
